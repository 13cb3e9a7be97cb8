"""A smooth curve of a weighted sum of players, as a spectrum: how an accuracy saturates.

Accuracy is roughly a smooth step function of the sum of the heads' contributions (a single-index
model; Ichimura, Journal of Econometrics 1993). The step makes every head interact with every other.
These interactions are too many to be found one by one; here their coefficients follow in closed
form from the players' weights and the curve's few parameters. The residual has few interactions,
which `grow` fits; the two fits alternate.
"""

from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations

import numpy as np
from jaxtyping import Complex, Float, Int

from headspex.engine.methods.growth import grow
from headspex.engine.methods.ridge import ridge
from headspex.engine.observations import Observations
from headspex.engine.spectrum import Spectrum
from headspex.engine.terms import Block

HARMONICS = 5  # of the curve, beside its straight line
MARGIN = 1.3  # half a period of the first harmonic, in largest sums seen
ROUGHNESS = 1e-4  # ridge of harmonic h: this times h^4, per mask
STEPS = 2  # of Gauss-Newton; more changed no game's R² by .002
PLAYERS = (2000, 70, 30)  # players of largest weight whose pairs, triples, quadruples are computed
MAX_TERMS = 10_000  # of the curve's spectrum
TERMS_PER_MASK = 10  # at most, as few masks determine the curve less well
TURNS = 2  # of residual and curve before the last residual; more gain less than .001 of R²


@dataclass(frozen=True, eq=False)
class Index:
    """value = constant + slope * s + sum_h Re(wave_h exp(i h frequency s)), s = chi @ weights."""

    weights: Float[np.ndarray, " players"]
    frequency: float
    constant: float
    slope: float
    waves: Complex[np.ndarray, " harmonics"]

    def predict(self, first: Float[np.ndarray, "masks players"]) -> Float[np.ndarray, " masks"]:
        """The value of masks given by their first-order characters."""
        sums = first @ self.weights
        angles = self.frequency * sums[:, None] * np.arange(1, HARMONICS + 1)
        waves = (np.exp(1j * angles) @ self.waves).real
        return np.asarray(self.constant + self.slope * sums + waves)


def saturating_fit(data: Observations) -> Spectrum:
    """A curve of a weighted sum, plus the sparse spectrum of its residual."""
    index = fit_index(data)
    for _ in range(TURNS):
        rest = _left_over(data, index)
        # The curve covers single players; their residual effects are added at the end only.
        higher = [block for block in rest.blocks if block.order > 1]
        joint = Spectrum.from_blocks(higher, n_players=data.n_players, keep=data.keep)
        index = fit_index(replace(data, values=data.values - joint.predict(data.masks)), index)
    most = min(MAX_TERMS, TERMS_PER_MASK * len(data))
    curve = index_spectrum(index, data.keep, max_terms=most)
    return Spectrum.weighted_sum([(1.0, _left_over(data, index)), (1.0, curve)])


def _left_over(data: Observations, index: Index) -> Spectrum:
    rest = replace(data, values=data.values - index.predict(data.characters()))
    if rest.constant:
        return Spectrum.from_dict({}, n_players=data.n_players, keep=data.keep)
    return grow(rest, together=False)


def fit_index(data: Observations, start: Index | None = None) -> Index:
    """Weights and curve by Gauss-Newton, from `start` or from ridge on single players."""
    centre, spread = data.mean, float(np.sqrt(data.variance))
    if data.constant:
        return Index(np.zeros(data.n_players), 1.0, centre, 0.0, np.zeros(HARMONICS, complex))
    target = (data.values - centre) / spread
    first = data.characters()
    weights = start.weights if start else ridge(first, target, data.weights)
    steps = 1 if start else STEPS
    for step in range(steps + 1):
        sums = first @ weights
        frequency = np.pi / (MARGIN * max(float(np.abs(sums).max()), 1e-6))
        curve, slopes = _basis(sums, frequency)
        numbers = _fit_curve(curve, target, data.weights, float(sums.var()))
        if step < steps:
            tilt = slopes @ numbers
            working_response = target - curve @ numbers + tilt * sums
            weights = ridge(
                first * tilt[:, None].astype(np.float32), working_response, data.weights
            )
    harmonics = spread * numbers[2:].reshape(2, HARMONICS)
    return Index(
        weights,
        frequency,
        centre + spread * float(numbers[0]),
        spread * float(numbers[1]),
        harmonics[0] - 1j * harmonics[1],
    )


def index_spectrum(
    index: Index, keep: Float[np.ndarray, " players"], *, max_terms: int = MAX_TERMS
) -> Spectrum:
    """The largest terms of the index up to order four, exactly.

    The players are independent, so E[exp(i t s) prod_{i in T} chi_i] is a product over players of
    E[exp(i t w_i chi_i)], or of E[chi_i exp(i t w_i chi_i)] for those in T.
    """
    n = len(keep)
    times = index.frequency * np.arange(1, HARMONICS + 1)[:, None]
    scale = np.sqrt(keep * (1 - keep))
    on, off = (keep - 1) / scale, keep / scale
    wave_on = keep * np.exp(1j * times * index.weights * on)
    wave_off = (1 - keep) * np.exp(1j * times * index.weights * off)
    alone = wave_on + wave_off
    alone[alone == 0] = np.finfo(float).tiny  # avoids division by 0
    whole = index.waves * np.exp(np.log(alone).sum(axis=1))
    factors = (on * wave_on + off * wave_off) / alone  # of a player inside the term
    singles = (whole @ factors).real + index.slope * index.weights
    families = [(np.arange(n)[:, None], singles)]
    heaviest = np.argsort(-np.abs(factors).max(axis=0), kind="stable")
    for order, most in enumerate(PLAYERS, start=2):
        chosen = np.sort(heaviest[:most])
        columns = chosen[_subsets(len(chosen), order)]
        if len(columns):
            families.append((columns, _coefficients(whole, factors, columns)))
    sizes = np.concatenate([np.abs(values) for _, values in families])
    least = np.sort(sizes)[-min(max_terms, len(sizes))]
    blocks = [Block(np.zeros((1, 0), int), np.array([index.constant + whole.real.sum()]))]
    for columns, values in families:
        large = np.abs(values) >= least
        blocks.append(Block(columns[large], values[large]))
    return Spectrum.from_blocks(
        [block for block in blocks if len(block.columns)], n_players=n, keep=keep
    )


def _basis(
    sums: Float[np.ndarray, " masks"], frequency: float
) -> tuple[Float[np.ndarray, "masks numbers"], Float[np.ndarray, "masks numbers"]]:
    """Constant, line, cosines and sines at the sums, and their derivatives."""
    times = frequency * np.arange(1, HARMONICS + 1)
    angles = sums[:, None] * times
    one = np.ones((len(sums), 1))
    cosines, sines = np.cos(angles), np.sin(angles)
    curve = np.concatenate([one, sums[:, None], cosines, sines], axis=1)
    slopes = np.concatenate([0 * one, one, -times * sines, times * cosines], axis=1)
    return curve, slopes


def _fit_curve(
    curve: Float[np.ndarray, "masks numbers"],
    target: Float[np.ndarray, " masks"],
    weights: Float[np.ndarray, " masks"],
    scale: float,
) -> Float[np.ndarray, " numbers"]:
    penalty = ROUGHNESS * np.tile(np.arange(1, HARMONICS + 1.0) ** 4, 2)
    system = (curve * weights[:, None]).T @ curve
    system.flat[:: len(system) + 1] += len(target) * scale * np.r_[0.0, 1e-6, penalty]
    # Least squares: if the sums take few values, cosines and constant are collinear.
    return np.asarray(np.linalg.lstsq(system, curve.T @ (weights * target))[0])


@cache
def _subsets(n: int, order: int) -> Int[np.ndarray, "terms order"]:
    """All subsets of size `order` of range(n)."""
    if order == 2:
        return np.stack(np.triu_indices(n, 1), axis=1)
    return np.array(list(combinations(range(n), order)), dtype=np.intp).reshape(-1, order)


def _coefficients(
    whole: Complex[np.ndarray, " harmonics"],
    factors: Complex[np.ndarray, "harmonics players"],
    columns: Int[np.ndarray, "terms order"],
) -> Float[np.ndarray, " terms"]:
    values = np.zeros(len(columns))
    for amplitude, factor in zip(whole, factors, strict=True):
        values += (amplitude * factor[columns].prod(axis=1)).real
    return values
