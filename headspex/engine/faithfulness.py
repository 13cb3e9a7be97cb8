"""Does the spectrum explain the function it was fitted to? R² on masks it has not seen."""

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float

from headspex.errors import UsageError

RESAMPLES = 2_000  # of the masks; the interval's ends then move by about 0.002 between seeds


@dataclass(frozen=True)
class Faithfulness:
    """R² with its 95 % interval (percentile bootstrap over masks)."""

    r2: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """The three numbers, as they stand in `--json`."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.r2:.3f} [{self.low:.3f}, {self.high:.3f}]"


def faithfulness(
    values: Float[np.ndarray, " masks"],
    predictions: Float[np.ndarray, " masks"],
    *,
    remove_mean_difference: bool = False,
    seed: int = 0,
) -> Faithfulness | None:
    """R² of predictions against measured values.

    Args:
        values: measured, one per fresh mask.
        predictions: of the spectrum, for the same masks.
        remove_mean_difference: forgive a constant offset; for other questions than were searched,
            which may be harder or easier on average (`transfer` in run.json).
        seed: fixes the bootstrap.

    Returns:
        None when all values are equal: there is no variance to explain.

    Raises:
        UsageError: fewer than two masks, or lengths that differ.
    """
    if len(values) != len(predictions) or len(values) < 2:
        raise UsageError(
            "faithfulness compares one prediction with one value for each of at least two masks, "
            f"but got {len(predictions)} predictions and {len(values)} values"
        )
    if np.ptp(values) == 0:
        return None
    if remove_mean_difference:
        predictions = predictions + (values.mean() - predictions.mean())
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(values), size=(RESAMPLES, len(values)))
    resampled = _r2(values[drawn], predictions[drawn])
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return Faithfulness(float(_r2(values, predictions)), float(low), float(high))


def _r2(
    values: Float[np.ndarray, "*batch masks"], predictions: Float[np.ndarray, "*batch masks"]
) -> Float[np.ndarray, "*batch"]:
    error = np.square(values - predictions).sum(axis=-1)
    total = np.square(values - values.mean(axis=-1, keepdims=True)).sum(axis=-1)
    # A resample of equal values has no R²; quantiles leave it out.
    return np.asarray(1 - error / np.where(total > 0, total, np.nan))
