"""An honest contest between ways to fit a spectrum.

Each method does all of its choosing inside the training part of each fold; what is compared are
predictions of masks it has not seen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import nnls

from headspex.engine.observations import Observations
from headspex.engine.spectrum import Spectrum
from headspex.support.intervals import ratio_by_cluster
from headspex.support.progress import progress
from headspex.support.seeds import stream

Method = Callable[[Observations], Spectrum]

FOLDS = 5
FOLDS_OF_MANY = 3  # where two thirds of the masks tell the methods apart as well
MANY = 500  # masks
NARROW, NARROW_HELD = 12, 4  # narrow folds, and how many of them are held out
HOPELESS = 4.0  # standard errors behind the leader after one fold at which a method drops out


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Predictions of held-out masks, and the spectra that made them."""

    data: Observations
    folds: Int[np.ndarray, " masks"]  # -1: in every fit, never held out
    held_out: dict[str, Float[np.ndarray, " masks"]]
    spectra: dict[str, list[Spectrum]]  # of each fold

    @property
    def scores(self) -> dict[str, float]:
        """Cross-validated R² of every method that stayed to the end."""
        return {name: self.r2(held_out) for name, held_out in self.held_out.items()}

    def r2(self, predictions: Float[np.ndarray, " masks"]) -> float:
        """Cross-validated R²: against the mean of all masks, held out or not; folds pooled."""
        error, total = self.squares(predictions)
        return float(1 - error.sum() / total.sum()) if total.sum() else 0.0

    def squares(
        self, predictions: Float[np.ndarray, " masks"]
    ) -> tuple[Float[np.ndarray, " masks"], Float[np.ndarray, " masks"]]:
        """Weighted squared errors of predictions, and of that mean; 0 where never held out."""
        data = self.data
        weights = np.where(self.folds >= 0, data.weights, 0.0)
        error = weights * (data.values - predictions) ** 2
        return error, weights * (data.values - data.mean) ** 2


def split(blocks: Int[np.ndarray, " masks"], seed: int) -> Int[np.ndarray, " masks"]:
    """A fold for every mask, counted from 0; a block lies in one fold, none is empty."""
    n_blocks = int(blocks.max()) + 1
    n_folds = FOLDS_OF_MANY if len(blocks) > MANY else FOLDS
    order = stream(seed, "contest").permutation(n_blocks)
    return np.asarray(order[blocks] % min(n_folds, n_blocks), dtype=np.int64)


def split_narrow(blocks: Int[np.ndarray, " masks"], seed: int) -> Int[np.ndarray, " masks"]:
    """Some narrow folds: fits see nearly all masks, for the price of judging by fewer; else -1."""
    n_blocks = int(blocks.max()) + 1
    order = stream(seed, "narrow contest").permutation(n_blocks)
    fold = order[blocks] % min(NARROW, n_blocks)
    return np.asarray(np.where(fold < NARROW_HELD, fold, -1), dtype=np.int64)


def cross_validate(
    data: Observations,
    folds: Int[np.ndarray, " masks"],
    methods: Mapping[str, Method],
) -> CrossValidation:
    """Predict held-out masks by every method.

    After its first fold a method far behind the leader drops out and is not reported.

    Args:
        data: scored masks.
        folds: of each mask; -1 is never held out.
        methods: by name.
    """
    cv = CrossValidation(data, folds, {}, {})
    with progress(len(methods), "methods on folds", unit="methods") as tell:
        for name, method in methods.items():
            _add_method(cv, name, method)
            tell(1)
    return cv


def _add_method(cv: CrossValidation, name: str, method: Method) -> None:
    """Adds a method's predictions, unless it drops out after its first fold."""
    data, folds = cv.data, cv.folds
    predictions = np.full(len(data), data.mean)
    spectra: list[Spectrum] = []
    for fold in range(int(folds.max()) + 1):
        test = folds == fold
        spectra.append(fit_or_constant(method, data.rows(np.flatnonzero(~test))))
        predictions[test] = spectra[-1].predict(data.masks[test])
        if fold == 0 and _hopeless(cv, predictions, test):
            return
    cv.held_out[name], cv.spectra[name] = predictions, spectra


def fit_or_constant(method: Method, data: Observations) -> Spectrum:
    """The method's spectrum, or the mean where there is nothing to learn."""
    if len(data) < 3 or data.constant or (data.masks == data.masks[0]).all():
        return Spectrum.from_dict({(): data.mean}, n_players=data.n_players, keep=data.keep)
    return method(data)


def _hopeless(
    cv: CrossValidation, predictions: Float[np.ndarray, " masks"], test: np.ndarray
) -> bool:
    if not cv.held_out or test.sum() < 20:
        return False
    mine = cv.squares(predictions)[0][test]
    others = [cv.squares(held_out)[0][test] for held_out in cv.held_out.values()]
    leader = min(others, key=lambda error: float(error.sum()))
    behind = mine - leader
    return bool(behind.mean() > HOPELESS * behind.std() / np.sqrt(len(behind)))


def stack(cv: CrossValidation) -> tuple[dict[str, float], Float[np.ndarray, " masks"]]:
    """Weights of a sum of the methods, and its predictions by weights of the other folds."""
    names = list(cv.held_out)
    root = np.sqrt(cv.data.weights)
    centre = cv.data.mean
    design = np.stack([cv.held_out[name] - centre for name in names], axis=1)
    target = cv.data.values - centre
    predictions = np.full(len(target), centre)  # stays where never held out
    for fold in range(int(cv.folds.max()) + 1):
        test = cv.folds == fold
        weights = nnls((design * root[:, None])[~test], (target * root)[~test])[0]
        predictions[test] = centre + design[test] @ weights
    weights = nnls(design * root[:, None], target * root)[0]
    return dict(zip(names, weights.tolist(), strict=True)), predictions


def interval(
    cv: CrossValidation, predictions: Float[np.ndarray, " masks"], blocks: Int[np.ndarray, " masks"]
) -> tuple[float, float]:
    """95 % interval of the R² over the blocks that were held out."""
    held = cv.folds >= 0
    error, total = cv.squares(predictions)
    left = ratio_by_cluster(error[held], total[held], blocks[held])
    return 1 - left.high, min(1.0, 1 - left.low)
