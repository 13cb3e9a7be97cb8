"""How well a spectrum predicts the function it was fitted to: R² on fresh masks."""

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float

from headspex.errors import UsageError
from headspex.support.scale import exponent_of, scaled_by
from headspex.support.seeds import stream

RESAMPLES = 2_000  # of the masks; the interval's ends then move by about 0.002 between seeds
LEVEL = 0.95


@dataclass(frozen=True)
class Faithfulness:
    """R² with its 95 % interval (percentile bootstrap over masks)."""

    r2: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """The three numbers, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.r2:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, eq=False)
class Measured:
    """Values of masks, with their error variances from asking only some questions.

    Attributes:
        values: unbiased estimates of each mask's score on all questions.
        noise: unbiased estimates of their error variances; 0 if all questions were asked.
    """

    values: Float[np.ndarray, " masks"]
    noise: Float[np.ndarray, " masks"]

    @classmethod
    def exactly(cls, values: Float[np.ndarray, " masks"]) -> "Measured":
        """Values without error."""
        return cls(values, np.zeros(len(values)))

    def scaled_by(self, exponent: int) -> "Measured":
        """The same in another unit: values times 2^exponent."""
        return Measured(scaled_by(self.values, exponent), scaled_by(self.noise, 2 * exponent))

    def __len__(self) -> int:
        """Number of masks."""
        return len(self.values)

    def variance(
        self, counts: Float[np.ndarray, "resamples masks"]
    ) -> Float[np.ndarray, " resamples"]:
        """Variance of the true values, in resamples of the masks.

        It is the variance of the values minus that of their errors, at least 0.

        Args:
            counts: how often each mask is drawn; each row sums to the number of masks.
        """
        n = len(self)
        spread = counts @ np.square(self.values) / n - np.square(counts @ self.values / n)
        return np.asarray(np.maximum(spread - (n - 1) / n * (counts @ self.noise) / n, 0.0))


def faithfulness(
    measured: Measured,
    predictions: Float[np.ndarray, " masks"],
    *,
    remove_mean_difference: bool = False,
    seed: int = 0,
) -> Faithfulness | None:
    """R² of predictions against measured values.

    The error variances of the values are subtracted from the squared error and from the variance of
    the values, so this estimates R² against values without error.

    Args:
        measured: of the fresh masks.
        predictions: of the spectrum, for the same masks.
        remove_mean_difference: ignore a constant offset; for held-out questions, which may be
            harder or easier on average (`transfer` in run.json).
        seed: fixes the bootstrap.

    Returns:
        None if there is no variance to explain: all values are equal, or their differences are
        within their errors.

    Raises:
        UsageError: fewer than two masks, or lengths that differ.
    """
    n = len(measured)
    if n != len(predictions) or n < 2:
        raise UsageError(
            "faithfulness compares one prediction with one value for each of at least two masks, "
            f"but got {len(predictions)} predictions and {n} values"
        )
    exponent = exponent_of(measured.values, predictions)
    measured, predictions = measured.scaled_by(-exponent), scaled_by(predictions, -exponent)
    if np.ptp(measured.values) == 0:
        return None
    counts = np.concatenate([np.ones((1, n)), resamples(n, seed)])
    total = measured.variance(counts)
    if np.mean(total == 0) > (1 - LEVEL) / 2:
        return None
    residual = measured.values - predictions
    squares = counts @ np.square(residual) / n
    noise = counts @ measured.noise / n
    if remove_mean_difference:
        squares -= np.square(counts @ residual / n)
        noise *= (n - 1) / n
    # A resample of equal values has no R² and is left out of the quantiles.
    r2 = 1 - (squares - noise) / np.where(total > 0, total, np.nan)
    low, high = np.nanquantile(r2[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    # R² is at most 1; subtracting an overestimated noise could exceed it.
    return Faithfulness(*(min(1.0, float(bound)) for bound in (r2[0], low, high)))


def resamples(n: int, seed: int) -> Float[np.ndarray, "resamples masks"]:
    """How often each of `n` masks is drawn in each resample of a bootstrap."""
    drawn = stream(seed, "bootstrap of fresh masks").integers(n, size=(RESAMPLES, n))
    places = (drawn + n * np.arange(RESAMPLES)[:, None]).ravel()
    return np.bincount(places, minlength=RESAMPLES * n).reshape(RESAMPLES, n).astype(np.float64)
