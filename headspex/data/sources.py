"""Where training data come from, and which of them become players."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float, Int

from headspex.data.value import TrainingValue, check_features
from headspex.errors import UsageError
from headspex.support.seeds import stream

Data = tuple[Float[np.ndarray, "samples ..."], Int[np.ndarray, " samples"]]

CIFAR10, CIFAR10_IMAGES = "uoft-cs/cifar10", 10_000


def read_data(name: str) -> Data:
    """Features and labels of one of `SOURCES`, or of an .npz file with both.

    Raises:
        UsageError: no such data, or none that can be read.
    """
    if name in SOURCES:
        return SOURCES[name]()
    path = Path(name)
    if path.suffix != ".npz":
        raise UsageError(
            f"no data {name!r}; known: {', '.join(SOURCES)}, or an .npz file of features and labels"
        )
    try:
        # Opened here, as numpy leaves a file open that is not an archive.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            features, labels = file["features"], file["labels"]
    # TypeError: it is a single array, not an archive of some.
    except (OSError, KeyError, ValueError, TypeError, EOFError, BadZipFile) as error:
        raise UsageError(f"{name} must hold the arrays features and labels: {error}") from error
    if labels.shape != features.shape[:1]:
        raise UsageError(
            f"{name} must hold one label a sample, but has features {list(features.shape)} and "
            f"labels {list(labels.shape)}"
        )
    if len(labels) < 2:
        raise UsageError(
            f"{name} must hold two samples or more, a test point and what it learns from, but "
            f"holds {len(labels)}"
        )
    return features, labels


def _digits() -> Data:
    """1,797 handwritten digits, 8 x 8 pixels, 0..1; they ship with scikit-learn."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.images / 16, digits.target


def _cifar10() -> Data:
    """The first 10,000 training images of CIFAR-10, 32 x 32 x 3, 0..1, from the Hub."""
    import datasets

    # The errors of a missing network and of an empty cache share no narrower class.
    try:
        rows = datasets.load_dataset(CIFAR10, split=f"train[:{CIFAR10_IMAGES}]")
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"cannot load {CIFAR10} from the Hugging Face Hub or its cache "
            f"({(str(error).splitlines() or [type(error).__name__])[0]}); check the network, or "
            "give an .npz file"
        ) from error
    images = np.stack([np.asarray(image) for image in rows["img"]])
    return images / 255, np.asarray(rows["label"])


SOURCES: dict[str, Callable[[], Data]] = {"digits": _digits, "cifar10": _cifar10}


def fingerprint(
    features: Float[np.ndarray, "samples ..."], labels: Int[np.ndarray, " samples"]
) -> str:
    """sha256 of both."""
    digest = sha256(np.ascontiguousarray(features).tobytes())
    digest.update(np.ascontiguousarray(labels).tobytes())
    return digest.hexdigest()


def near_players(
    features: Float[np.ndarray, "samples ..."],
    labels: Int[np.ndarray, " samples"],
    *,
    players: int,
    test: int = 0,
    learner: str = "rbf",
    penalty: float = 0.1,
    seed: int = 0,
) -> tuple[TrainingValue, Int[np.ndarray, " players"]]:
    """The margin of a test point as a function of the training samples nearest to it.

    The data are shuffled and halved. Of the first half, the samples closest to the test point in
    the features are players, those of its own class and of the others in equal numbers; the rest
    is left out. The test point comes from the second half.

    Returns:
        The value function, and the rows of `features` that are its players.

    Raises:
        UsageError: a test point that does not exist, too few samples near it, or as
            `TrainingValue`.
    """
    features = check_features(features)
    order = stream(seed, "halves").permutation(len(features))
    first, second = order[: len(order) // 2], order[len(order) // 2 :]
    if not 0 <= test < len(second):
        raise UsageError(f"the test point must be within 0..{len(second) - 1}, but is {test}")
    point = second[test : test + 1]
    flat = features.reshape(len(features), -1)
    distance = np.linalg.norm(flat[first] - flat[point], axis=1)
    own = labels[first] == labels[point]
    half = players // 2
    nearest = first[np.argsort(distance, kind="stable")]
    same = nearest[labels[nearest] == labels[point]][: players - half]
    other = nearest[labels[nearest] != labels[point]][:half]
    if len(same) + len(other) < players:
        raise UsageError(
            f"{players} players need as many training samples of both sides, but the half has "
            f"{int(own.sum())} of the test point's class and {int((~own).sum())} others"
        )
    chosen = np.concatenate([same, other])
    value = TrainingValue(
        features[chosen], labels[chosen], features[point], labels[point],
        learner=learner, penalty=penalty,
    )  # fmt: skip
    return value, chosen
