"""Sources of training data, and the choice of players among the samples."""

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
        UsageError: no such data, or a file that cannot be read.
    """
    if name in SOURCES:
        return SOURCES[name]()
    path = Path(name)
    if path.suffix != ".npz":
        raise UsageError(
            f"no data {name!r}; known: {', '.join(SOURCES)}, or an .npz file of features and labels"
        )
    try:
        # Opened here, as numpy does not close a file that turns out not to be an archive.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            features, labels = file["features"], file["labels"]
    # TypeError: the file holds a single array, not an archive.
    except (OSError, KeyError, ValueError, TypeError, EOFError, BadZipFile) as error:
        raise UsageError(f"{name} must hold the arrays features and labels: {error}") from error
    if labels.shape != features.shape[:1]:
        raise UsageError(
            f"{name} must hold one label per sample, but has features {list(features.shape)} and "
            f"labels {list(labels.shape)}"
        )
    if len(labels) < 2:
        raise UsageError(
            f"{name} must hold at least two samples, a test point and one to train on, but holds "
            f"{len(labels)}"
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

    # Errors of a missing network and of an empty cache have no narrower common class.
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
    """sha256 of features and labels."""
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

    The data are shuffled and halved. The test point comes from the second half. The players are the
    samples of the first half closest to it in the features, in equal numbers from its own class and
    from the others; the rest are not used.

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
    same_class = labels[first] == labels[point]
    half = players // 2
    nearest = first[np.argsort(distance, kind="stable")]
    same = nearest[labels[nearest] == labels[point]][: players - half]
    other = nearest[labels[nearest] != labels[point]][:half]
    if len(same) + len(other) < players:
        raise UsageError(
            f"{players} players need equal numbers of training samples of the test point's class "
            f"and of others, but there are {int(same_class.sum())} and {int((~same_class).sum())}"
        )
    chosen = np.concatenate([same, other])
    train, tested = (features[chosen], labels[chosen]), (features[point], labels[point])
    return TrainingValue(*train, *tested, learner=learner, penalty=penalty), chosen
