"""The engine's input: masks, their values, and the weight of each value."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from headspex.engine.characters import Keep, keep_vector
from headspex.errors import UsageError
from headspex.players import check_masks
from headspex.support.arrays import as_array, as_numbers

LARGEST = 1e305  # of a value: leaves room for sums below the largest float64
MOST_TRUSTED = 1e15  # ratio of largest to smallest weight; smaller weights are lost in a sum


@dataclass(frozen=True, eq=False)
class Observations:
    """Scored masks in the basis of the measure they were drawn from."""

    masks: Bool[np.ndarray, "masks players"]
    values: Float[np.ndarray, " masks"]
    weights: Float[np.ndarray, " masks"]  # inverse noise variances up to scale, mean 1
    keep: Float[np.ndarray, " players"]

    @property
    def n_players(self) -> int:
        """Columns of a mask."""
        return int(self.masks.shape[1])

    def __len__(self) -> int:
        """Number of masks."""
        return len(self.values)

    def rows(self, chosen: Int[np.ndarray, " chosen"]) -> "Observations":
        """The observations numbered `chosen`, weights again with mean 1."""
        weights = self.weights[chosen]
        return Observations(
            self.masks[chosen], self.values[chosen], weights / weights.mean(), self.keep
        )

    def characters(self) -> Float[np.ndarray, "masks players"]:
        """Float32 first-order characters (p - m) / sqrt(p (1 - p))."""
        scale = np.sqrt(self.keep * (1 - self.keep))
        return np.asarray((self.keep - self.masks) / scale, dtype=np.float32)

    @property
    def mean(self) -> float:
        """Weighted mean of the values."""
        return float(np.average(self.values, weights=self.weights))

    @property
    def variance(self) -> float:
        """Weighted variance of the values."""
        return float(np.average((self.values - self.mean) ** 2, weights=self.weights))

    def tame_order(self, masks_per_moment: float) -> int:
        """The most players whose character has a fourth moment below masks / `masks_per_moment`.

        With keep far from 1/2 a character of many players is nearly always small and rarely huge:
        its correlation with the values then depends on a few masks.
        """
        fourth = np.cumsum(np.log(np.sort(1 / (self.keep * (1 - self.keep)) - 3)))
        return int((fourth <= np.log(len(self) / masks_per_moment)).sum())

    @property
    def constant(self) -> bool:
        """Whether the values are equal up to rounding."""
        # The rounding of a mean is a few units in the last place.
        spread = float(np.ptp(self.values)) if len(self) else 0.0
        return spread <= 1e-13 * float(np.abs(self.values).max(initial=0.0))


def observe(
    masks: Any, values: Any, *, keep: Keep = 0.5, weights: Any | None = None
) -> Observations:
    """Check and convert user input: arrays, tensors, series, frames, sparse matrices, lists.

    Raises:
        UsageError: no masks, shapes that do not match, a NaN or infinity, entries of `masks` other
            than 0 and 1, weights that are not positive or too far apart, a keep probability
            outside (0, 1).
    """
    switched = _as_masks(masks)
    m, n = switched.shape
    scores = as_vector(values, "values", m)
    trust = np.ones(m) if weights is None else as_vector(weights, "weights", m)
    if not (trust > 0).all():
        raise UsageError(
            f"weights must be positive, but the smallest is {trust.min():g}; "
            "leave out masks of weight 0"
        )
    least, most = float(trust.min()), float(trust.max())
    if least < most / MOST_TRUSTED:
        raise UsageError(
            f"the largest weight is at most {MOST_TRUSTED:g} times the smallest, but they are "
            f"{most:g} and {least:g}; leave out masks of negligible weight"
        )
    trust = np.ldexp(trust, -int(np.frexp(most)[1]))  # so that their sum is finite
    return Observations(switched, scores, trust / trust.mean(), keep_vector(keep, n))


def connected_blocks(
    masks: Bool[np.ndarray, "masks players"], groups: Any | None = None
) -> Int[np.ndarray, " masks"]:
    """Block numbers: rows with the same mask, or of the same group, share a block.

    A fold may not split a block: a repeated mask would leak its value into the test fold.
    """
    m = len(masks)
    same_mask = np.unique(np.packbits(masks, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    if groups is None:
        return np.asarray(same_mask, dtype=np.int64)
    labels = as_array(groups, "groups")
    if labels.shape != (m,):
        raise UsageError(
            f"groups has shape {labels.shape}, but there are {m} masks; give one label per mask"
        )
    try:
        same_group = np.unique(labels, return_inverse=True)[1].reshape(-1)
    except TypeError as error:
        raise UsageError("groups must be labels of one kind, such as numbers or texts") from error
    n_masks = int(same_mask.max(initial=-1)) + 1
    size = n_masks + int(same_group.max(initial=-1)) + 1
    links = coo_array((np.ones(m), (same_mask, same_group + n_masks)), shape=(size, size))
    part = connected_components(links, directed=False)[1]
    return np.asarray(part[same_mask], dtype=np.int64)


def _as_masks(masks: Any) -> Bool[np.ndarray, "masks players"]:
    array = as_array(masks, "masks")
    if array.ndim != 2 or array.shape[1] == 0:
        raise UsageError(f"masks must have shape [masks, players], but got {array.shape}")
    if not len(array):
        raise UsageError("masks has no rows; score at least one mask")
    return check_masks(array, array.shape[1])


def as_vector(given: Any, name: str, length: int) -> Float[np.ndarray, " masks"]:
    """A finite real number for each of `length` masks, as float64.

    Args:
        given: the numbers.
        name: of the numbers, for error messages.
        length: number of masks.

    Raises:
        UsageError: another shape, a NaN or infinity, numbers beyond 1e305, or no real numbers.
    """
    array = as_numbers(given, name)
    if array.shape != (length,):
        raise UsageError(
            f"{name} has shape {array.shape}, but there are {length} masks; "
            "give one number per mask"
        )
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array))[0])
        raise UsageError(
            f"{name} must be finite, but {name}[{row}] is {array[row]}; "
            "leave out masks whose score failed"
        )
    if np.abs(array).max(initial=0.0) > LARGEST:
        row = int(np.abs(array).argmax())
        raise UsageError(
            f"{name} must lie within {LARGEST:g} of 0, but {name}[{row}] is {array[row]:g}; "
            "give them in a larger unit"
        )
    return array
