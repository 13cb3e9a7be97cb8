"""The margin of test points as a function of the training set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int

from headspex.data.learners import kernel_scores, rbf_kernel, ridge_scores, usual_width
from headspex.errors import UsageError
from headspex.players import Masks, Values, check_masks
from headspex.support.progress import progress
from headspex.support.validation import check

# bool [samples] -> model; the model: features [tests, features] -> scores [tests, classes], columns
# in ascending order of all classes.
Train = Callable[[Bool[np.ndarray, " samples"]], Callable[[np.ndarray], npt.ArrayLike]]

LEARNERS = ("ridge", "rbf")
LARGEST = 1e100  # its square is still finite
EQUAL = 1e-7  # share of a sample's norm below which distances are rounding
PENALTY = check(  # outside this range, systems or scores are lost in rounding
    "a number of 1e-9 to 1e9, in units of a sample's mean squared norm",
    lambda given: type(given) in (int, float) and 1e-9 <= given <= 1e9,
)


class TrainingValue:
    """Masks over training samples, or groups of them, to the mean margin of test points.

    The margin is the score of a point's own class minus the highest score of another, after
    training on the samples that the mask keeps.

        value = TrainingValue(x_train, y_train, x_test, y_test)
        spectrum = headspex.explain(value, value.n_players, budget=2000)

    Args:
        features: [samples, ...]; they are flattened, and a column of ones is added.
        labels: [samples], any integers.
        test_features, test_labels: of the test points; their classes must occur among `labels`.
        groups: [samples], the player 0, 1, ... that holds each sample; by default every sample is
            a player. Samples of group -1 are always in the training set.
        learner: "ridge", ridge regression on one-hot targets; "rbf", the same with a Gaussian
            kernel, both in closed form; or a training function from the subset, bool [samples], to
            a function from features to scores [tests, classes].
        penalty: of ridge regression, in units of the mean squared norm of a sample.

    Raises:
        UsageError: shapes that do not match, features that are not finite numbers of moderate size
            or (for "rbf") mostly equal, a single class, unknown test classes, a penalty outside
            its range.
    """

    def __init__(
        self,
        features: npt.ArrayLike,
        labels: npt.ArrayLike,
        test_features: npt.ArrayLike,
        test_labels: npt.ArrayLike,
        *,
        groups: npt.ArrayLike | None = None,
        learner: str | Train = "ridge",
        penalty: float = 0.1,
    ) -> None:
        self._features = _with_ones(features)
        self._tests = _with_ones(test_features)
        labels, test_labels = np.asarray(labels), np.asarray(test_labels)
        self.classes = np.unique(labels)
        if labels.shape != (len(self._features),) or test_labels.shape != (len(self._tests),):
            raise UsageError(
                f"labels are one per sample: there are {len(self._features)} training and "
                f"{len(self._tests)} test samples, but labels of shape {list(labels.shape)} and "
                f"{list(test_labels.shape)}"
            )
        if self._tests.shape[1] != self._features.shape[1] or not len(self._tests):
            raise UsageError(
                f"test points must have {self._features.shape[1] - 1} features, as the training "
                f"samples have, but got the shape {list(self._tests[:, 1:].shape)}"
            )
        if len(self.classes) < 2:
            raise UsageError("a margin needs two classes, but all training labels are equal")
        if not np.isin(test_labels, self.classes).all():
            raise UsageError("a test point's class must occur among the training labels")
        penalty = PENALTY.take("the penalty", penalty)
        self._own = np.searchsorted(self.classes, test_labels)
        self._targets = (labels[:, None] == self.classes).astype(np.float64)
        self._groups = _groups(groups, len(labels))
        if isinstance(learner, str) and learner not in LEARNERS:
            raise UsageError(f"no learner {learner!r}; known: {', '.join(LEARNERS)}, or a function")
        norm = float(np.sqrt(np.square(self._features).sum(axis=1).mean()))
        if learner == "rbf" and usual_width(self._features) <= EQUAL * norm:
            raise UsageError(
                "the learner rbf needs training samples that differ, but half of their pairs are "
                "equal; take the learner ridge, or other samples"
            )
        self._learner, self._penalty = learner, penalty

    @property
    def n_players(self) -> int:
        """Samples, or groups of them, that a mask switches."""
        return int(self._groups.max()) + 1

    def __call__(self, masks: npt.ArrayLike) -> Values:
        """The mean margin over the test points, one per mask."""
        return np.asarray(self.margins(masks).mean(axis=1))

    def margins(self, masks: npt.ArrayLike) -> Float[np.ndarray, "masks tests"]:
        """The margin of every test point, in units of the model's scores."""
        subsets = self.subsets(check_masks(masks, self.n_players))
        scores = self._scores(subsets)
        own = self._own[None, :, None]
        right = np.take_along_axis(scores, own, axis=2)[..., 0]
        others = scores.copy()
        np.put_along_axis(others, own, -np.inf, axis=2)
        return np.asarray(right - others.max(axis=2))

    def subsets(self, masks: Masks) -> Bool[np.ndarray, "masks samples"]:
        """Which samples each mask trains on."""
        always = np.ones((len(masks), 1), dtype=np.bool_)
        return np.asarray(np.append(masks, always, axis=1)[:, self._groups])

    def _scores(
        self, subsets: Bool[np.ndarray, "masks samples"]
    ) -> Float[np.ndarray, "masks tests classes"]:
        if callable(self._learner):
            return self._trained(self._learner, subsets)
        features, targets, tests = self._features, self._targets, self._tests
        penalty = self._penalty
        if self._learner == "rbf":
            width = usual_width(features)
            kernel, to_tests = (
                rbf_kernel(features, features, width),
                rbf_kernel(tests, features, width),
            )
            return kernel_scores(kernel, targets, to_tests, subsets, penalty=penalty)
        penalty *= float(np.square(features).sum(axis=1).mean())
        return ridge_scores(features, targets, tests, subsets, penalty=penalty)

    def _trained(
        self, train: Train, subsets: Bool[np.ndarray, "masks samples"]
    ) -> Float[np.ndarray, "masks tests classes"]:
        shape = (len(self._tests), len(self.classes))
        scores = np.empty((len(subsets), *shape))
        with progress(len(subsets), "train", unit="models") as done:
            for row, subset in enumerate(subsets):
                found = np.asarray(train(subset)(self._tests[:, 1:]))
                if found.shape != shape:
                    raise UsageError(
                        f"a trained model must score {shape[0]} test points and {shape[1]} "
                        f"classes, but its scores have the shape {list(found.shape)}; return one "
                        "column for every class"
                    )
                scores[row] = found
                done(1)
        return scores


def check_features(features: npt.ArrayLike) -> Float[np.ndarray, "samples ..."]:
    """Features as float64.

    Raises:
        UsageError: no samples, or entries that are not finite numbers of moderate size.
    """
    array = np.asarray(features)
    if array.ndim < 2 or not array.size or array.dtype.kind not in "biuf":
        raise UsageError(
            "features are numbers [samples, ...] of at least one sample, but got the shape "
            f"{list(array.shape)} of type {array.dtype}"
        )
    array = array.astype(np.float64)
    if not (np.abs(array) <= LARGEST).all():  # NaN too
        raise UsageError(
            f"features are finite numbers of size {LARGEST:g} at most, but some are NaN, infinite "
            "or larger; leave out those samples, or scale the features"
        )
    return array


def _with_ones(features: npt.ArrayLike) -> Float[np.ndarray, "samples features"]:
    array = check_features(features)
    flat = array.reshape(len(array), -1)
    return np.concatenate([np.ones((len(flat), 1)), flat], axis=1)


def _groups(groups: npt.ArrayLike | None, n_samples: int) -> Int[np.ndarray, " samples"]:
    if groups is None:
        return np.arange(n_samples)
    array = np.asarray(groups)
    known = np.unique(array)
    if (
        array.shape != (n_samples,)
        or not np.issubdtype(array.dtype, np.integer)
        or known[-1] < 0
        or not np.array_equal(known[known >= 0], np.arange(known[-1] + 1))
        or known[0] < -1
    ):
        raise UsageError(
            "groups give the player of each sample, 0, 1, ... without gaps, or -1 for samples that "
            f"always stay, but got {len(array)} entries from {known[0]} to {known[-1]} for "
            f"{n_samples} samples"
        )
    return array
