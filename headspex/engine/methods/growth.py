"""A sparse spectrum grown from the data: few terms, each with its own prior variance.

Sparse Bayesian learning (Tipping, JMLR 2001; batch form of Tipping & Faul, AISTATS 2003) over all
terms up to order five. The full design matrix is never formed: one matrix product scores all pairs,
and terms of higher order are found as children of terms in the model.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import lapack

from headspex.engine.characters import characters
from headspex.engine.methods.families import families
from headspex.engine.observations import Observations
from headspex.engine.spectrum import Spectrum
from headspex.engine.terms import Term

MAX_ORDER = 5  # of a grown term
ROUNDS = 24  # of growth; noise-free games improve for about twenty
UPDATES = 6  # prior updates after each round
PROGRESS = 0.003  # share of the noise that a round must explain, else growth ends
MIN_NOISE = 1e-7  # share of the values' variance below which noise is not estimated
MAX_TERMS = 1500  # the posterior costs the cube of this
MASKS_PER_MOMENT = 2  # with fewer masks per fourth moment, a term's correlations are chance
SCREENED = 1024  # players whose pairs are scored: the model's, then those with strongest singles


def grow(data: Observations, *, together: bool = True) -> Spectrum:
    """The sparse spectrum of `data`.

    Args:
        data: scored masks.
        together: whether sets may enter with all their subsets once single terms no longer do.
    """
    spread = float(np.sqrt(data.variance))
    model = _Model(data, (data.values - data.mean) / spread)
    for _ in range(ROUNDS):
        if not _improved(model, _worth_adding(model)) and not (
            together and _improved(model, _families(model))
        ):
            break
    coefficients = (model.mean * spread).tolist()
    coefficients[0] += data.mean  # the constant is the first term and never leaves
    table: dict[Term, float] = dict(zip(model.terms, coefficients, strict=True))
    return Spectrum.from_dict(table, n_players=data.n_players, keep=data.keep)


def _improved(model: "_Model", terms: list[Term]) -> bool:
    """Adds terms; returns whether they explained at least `PROGRESS` of the noise."""
    before = model.noise
    if model.add(terms):
        for _ in range(UPDATES):
            model.update()
    return model.noise <= (1 - PROGRESS) * before


def _families(model: "_Model") -> list[Term]:
    residual = model.weighted_residual.astype(np.float32)
    return families(model.data, residual, model.precision, model.terms)


class _Model:
    """Terms, their prior variances, and the posterior of their coefficients."""

    def __init__(self, data: Observations, target: Float[np.ndarray, " masks"]) -> None:
        self.data = data
        self.target = target
        self.first_order = data.characters()
        self.noise = 0.5
        self.terms: list[Term] = [()]
        self.prior = np.full(1, 1.0)
        self.columns = np.ones((len(data), 1))
        self.place = np.zeros(1, dtype=np.intp)  # of each term among the columns
        self.gram = np.full((1, 1), float(len(data)))
        self.moment = np.array([data.weights @ target])
        self.power = float(data.weights @ target**2)
        self.capacity = min(MAX_TERMS, max(2, int(0.9 * len(data))))
        self._solve()

    @property
    def weighted_residual(self) -> Float[np.ndarray, " masks"]:
        """C^-1 y, C the covariance of the values under the model."""
        full = np.zeros(self.columns.shape[1])
        full[self.place] = self.mean
        return np.asarray(self.data.weights * (self.target - self.columns @ full) / self.noise)

    @property
    def precision(self) -> float:
        """Mean of phi^T C^-1 phi over terms phi outside the model: the trace of C^-1."""
        return max(len(self.data) - float(self.determined.sum()), 1.0) / self.noise

    def _solve(self) -> None:
        root = np.sqrt(self.prior)
        system = root[:, None] * self.gram * root / self.noise
        system.flat[:: len(root) + 1] += 1
        factor, _ = lapack.dpotrf(system, lower=1)
        inverse, _ = lapack.dtrtri(factor, lower=1)  # of the factor: a third of the whole inverse
        self.mean = root * (inverse.T @ (inverse @ (root * self.moment))) / self.noise
        # How far the data, rather than the prior, determine each coefficient: 0 to 1.
        self.determined = np.clip(1 - np.square(inverse).sum(axis=0), 1e-12, 1)

    def add(self, terms: list[Term]) -> bool:
        """Adds terms, each with the prior variance that maximises its evidence on its own."""
        terms = terms[: self.capacity - len(self.terms)]
        if not terms:
            return False
        new = characters(self.data.masks, terms, self.data.keep)
        signal = new.T @ self.weighted_residual
        prior = np.maximum((signal**2 / self.precision - 1) / self.precision, 1e-3 / len(self.data))
        # In float64: with aliased terms, float32 sums make the Gram matrix indefinite.
        self.columns = np.concatenate([self.columns[:, self.place], new], axis=1, dtype=np.float64)
        self.place = np.arange(self.columns.shape[1])
        weighted = new * self.data.weights[:, None]
        cross = self.columns.T @ weighted
        self.gram = np.block([[self.gram, cross[: len(self.terms)]], [cross.T]])
        self.moment = np.concatenate([self.moment, weighted.T @ self.target])
        self.terms += terms
        self.prior = np.concatenate([self.prior, prior])
        self._solve()
        return True

    def update(self) -> None:
        """MacKay's fixed point for the prior variances and the noise; terms near 0 are dropped."""
        ratio = self.mean**2 / (self.prior * self.determined)
        self.prior *= np.clip(ratio, 1e-3, 1e3)
        self.prior[0] = 1.0  # the constant is always kept
        free = max(len(self.data) - float(self.determined.sum()), 0.05 * len(self.data))
        # Squared residual from Gram matrix and moments, as masks outnumber terms.
        left = self.power + float(self.mean @ (self.gram @ self.mean - 2 * self.moment))
        self.noise = max(MIN_NOISE, left / free)
        stays = self.prior > 1e-7
        if not stays.all():
            self.terms = [term for term, stay in zip(self.terms, stays, strict=True) if stay]
            self.prior, self.place = self.prior[stays], self.place[stays]
            self.gram, self.moment = self.gram[np.ix_(stays, stays)], self.moment[stays]
        self._solve()


def _worth_adding(model: _Model) -> list[Term]:
    """Terms whose gain in log evidence exceeds their selection cost, best first.

    The cost of a term is 2 log(number of competing terms). Few terms have their subsets in the
    model, so these need less evidence than unrelated ones.
    """
    residual = model.weighted_residual.astype(np.float32)
    first = model.first_order
    n = first.shape[1]
    known = set(model.terms)
    active = np.zeros(n, dtype=bool)
    active[[term[0] for term in model.terms if len(term) == 1]] = True
    singles = (first.T @ residual) ** 2 / model.precision
    strongest = np.sort(np.argsort(-(singles + n * n * active), kind="stable")[:SCREENED])
    wide = first[:, strongest]
    pairs = (wide.T @ (wide * residual[:, None])) ** 2 / model.precision
    left, right = np.triu_indices(len(strongest), 1)
    gains = pairs[left, right]
    left, right = strongest[left], strongest[right]
    parents = active[left].astype(np.intp) + active[right]
    rivals = np.array([n * n / 2, n, max(2, int(active.sum()))])
    found: list[tuple[float, Term]] = []
    found += _best(singles - 2 * np.log(n + 1), np.arange(n)[:, None])
    found += _best(gains - 2 * np.log(rivals + 1)[parents], np.stack([left, right], axis=1))
    for order in range(2, min(MAX_ORDER, max(2, model.data.tame_order(MASKS_PER_MOMENT)))):
        family = np.array([term for term in model.terms if len(term) == order], dtype=np.intp)
        if len(family):
            found += _best(*_children(model, family, residual))
    fresh = sorted((-gain, term) for gain, term in found if term not in known)
    return [term for _, term in fresh[: max(10, len(model.data) // 12)]]


def _children(
    model: _Model, family: Int[np.ndarray, "parents order"], residual: Float[np.ndarray, " masks"]
) -> tuple[Float[np.ndarray, " children"], Int[np.ndarray, "children order_plus_one"]]:
    """Evidence minus cost of every term that extends a term of `family` by one player."""
    n, order = model.data.n_players, family.shape[1]
    parents = characters(model.data.masks, [tuple(row) for row in family.tolist()], model.data.keep)
    gains = ((parents * residual[:, None]).T @ model.first_order) ** 2 / model.precision
    inside = np.zeros(gains.shape, dtype=bool)
    np.put_along_axis(inside, family, True, axis=1)
    row, player = np.nonzero((gains > 4) & ~inside)  # gains below 4 never exceed the cost
    players = np.sort(np.concatenate([family[row], player[:, None]], axis=1), axis=1)
    children, first, count = np.unique(players, axis=0, return_index=True, return_counts=True)
    missing = 1 - (count - 1) / order
    strangers = 2 * np.log(max(2, len(family)) * n) * missing
    relatives = 2 * np.log(max(2, len(family))) * (1 - missing)
    return gains[row, player][first] - strangers - relatives, children


def _best(
    gains: Float[np.ndarray, " terms"], players: Int[np.ndarray, "terms order"], most: int = 300
) -> list[tuple[float, Term]]:
    positive = np.flatnonzero(gains > 0)
    order = positive[np.argsort(-gains[positive], kind="stable")[:most]]
    return list(zip(gains[order].tolist(), map(tuple, players[order].tolist()), strict=True))
