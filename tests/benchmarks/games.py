"""Games whose answer is known: planted hierarchies, AND/OR heads, an accuracy, a forest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from headspex.engine.spectrum import Spectrum
from headspex.engine.terms import Term


@dataclass(frozen=True)
class Game:
    """A value function, the measure its masks are drawn from, and the noise of a value.

    `planted` holds the sizes of its Fourier coefficients (keep 1/2), where they are known.
    """

    n_players: int
    function: Callable[[np.ndarray], np.ndarray]
    keep: float = 0.5
    noise: float = 0.0  # standard deviation
    planted: Mapping[Term, float] = field(default_factory=dict)


def sizes(table: Mapping[Term, float]) -> dict[Term, float]:
    """How large each term is."""
    return {term: abs(value) for term, value in table.items()}


def hierarchy(n: int, *, noise: float = 0.0, seed: int = 0) -> Game:
    """Sets of two to four players with all their subsets; coefficients decay by .6 per order."""
    rng = np.random.default_rng(4000 + n + seed)
    table: dict[Term, float] = {(): 0.3}
    for _ in range(max(15, n // 6)):
        top = sorted(rng.choice(n, rng.integers(2, 5), replace=False).tolist())
        for order in range(1, len(top) + 1):
            for term in combinations(top, order):
                table[term] = table.get(term, 0.0) + rng.normal() * 0.6 ** (order - 1)
    spectrum = Spectrum.from_dict(table, n_players=n)
    scale = noise * float(np.sqrt(spectrum.variance))
    return Game(n, spectrum.predict, noise=scale, planted=sizes(table))


def complete_hierarchy(n: int, *, seed: int = 0) -> Game:
    """Ten sets of five players, all subsets, coefficients uniform in (-1, 1)."""
    rng = np.random.default_rng(5000 + n + seed)
    table: dict[Term, float] = {}
    for _ in range(10):
        top = sorted(rng.choice(n, 5, replace=False).tolist())
        for order in range(6):
            table.update({term: rng.uniform(-1, 1) for term in combinations(top, order)})
    return Game(n, Spectrum.from_dict(table, n_players=n).predict, planted=sizes(table))


def peaks(n: int, *, seed: int = 0) -> Game:
    """Ten lone sets of five players, coefficients uniform in (-1, 1)."""
    rng = np.random.default_rng(9000 + n + seed)
    sets = [tuple(sorted(rng.choice(n, 5, replace=False).tolist())) for _ in range(10)]
    table = {term: float(rng.uniform(-1, 1)) for term in sets}
    return Game(n, Spectrum.from_dict(table, n_players=n).predict, planted=sizes(table))


def and_or_heads(n: int, *, keep: float = 0.5, seed: int = 0) -> Game:
    """A third of the heads add up; ten pairs work together; ten pairs and four triples back up."""
    rng = np.random.default_rng(6000 + n + seed)
    slopes = np.zeros(n)
    linear = rng.choice(n, n // 3, replace=False)
    slopes[linear] = rng.exponential(0.5, len(linear)) * rng.choice([1, 1, -1], len(linear))
    order = rng.permutation(n)
    together, backup = order[:20].reshape(10, 2), order[20:40].reshape(10, 2)
    triples = order[40:52].reshape(4, 3)
    strengths = rng.uniform(0.6, 1.6, (2, 10))
    triple_strengths = rng.uniform(1.0, 2.0, 4)

    def function(masks: np.ndarray) -> np.ndarray:
        total = masks @ slopes + masks[:, together].all(axis=2) @ strengths[0]
        total = total + masks[:, backup].any(axis=2) @ strengths[1]
        return np.asarray(total + masks[:, triples].any(axis=2) @ triple_strengths)

    # Of m_i m_j the Fourier coefficient is 1/4, of "one of three" 1/8 for pairs and all three.
    planted: dict[Term, float] = {}
    for kind, pairs in zip(strengths, (together, backup), strict=True):
        planted |= {
            tuple(sorted(pair)): s / 4 for pair, s in zip(pairs.tolist(), kind, strict=True)
        }
    for triple, s in zip(triples.tolist(), triple_strengths, strict=True):
        planted |= {
            tuple(sorted(t)): s / 8 for order in (2, 3) for t in combinations(triple, order)
        }
    return Game(n, function, keep=keep, planted=planted)


def accuracy(n: int, *, keep: float, seed: int = 0, questions: int = 200) -> Game:
    """The share of questions whose margin is positive; margins share heads and pairs."""
    rng = np.random.default_rng(7000 + n + seed)
    n_pairs = max(12, n // 8)
    shared = rng.standard_t(3, n) * (rng.random(n) < 0.3)
    slopes = 0.5 * shared * np.abs(rng.normal(1, 0.5, (questions, n)))
    slopes += rng.normal(0, 0.35, (questions, n)) * (rng.random((questions, n)) < 0.15)
    left, right = np.array([rng.choice(n, 2, replace=False) for _ in range(n_pairs)]).T
    pairs = 0.3 * rng.normal(0, 1.2, (questions, n_pairs)) + rng.normal(0, 1.0, n_pairs)
    bias = rng.normal(0.4, 1.2, questions) * np.sqrt(n) * 0.12
    bias -= 0.7 * slopes.sum(axis=1) + 0.5 * pairs.sum(axis=1)

    def function(masks: np.ndarray) -> np.ndarray:
        share = np.empty(len(masks))
        for start in range(0, len(masks), 2000):
            part = masks[start : start + 2000]
            margins = part @ slopes.T + (part[:, left] & part[:, right]) @ pairs.T + bias
            share[start : start + 2000] = (margins > 0).mean(axis=1)
        return share

    return Game(n, function, keep=keep)


def forest() -> Game:
    """A random forest on the breast-cancer data; a player that is off shows its mean."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestRegressor

    features, labels = load_breast_cancer(return_X_y=True)
    model = RandomForestRegressor(60, random_state=0, n_jobs=1).fit(features[1:], labels[1:])
    mean = features[1:].mean(axis=0)
    return Game(30, lambda masks: np.asarray(model.predict(np.where(masks, features[0], mean))))


GAMES: dict[str, Callable[[int], Game]] = {
    "hier64": lambda seed: hierarchy(64, seed=seed),
    "hier64-noisy": lambda seed: hierarchy(64, noise=0.5, seed=seed),
    "hier128": lambda seed: hierarchy(128, seed=seed),
    "hier256": lambda seed: hierarchy(256, seed=seed),
    "sch64": lambda seed: complete_hierarchy(64, seed=seed),
    "peak64": lambda seed: peaks(64, seed=seed),
    "orand96": lambda seed: and_or_heads(96, seed=seed),
    "acc96-p5": lambda seed: accuracy(96, keep=0.5, seed=seed),
    "acc96-p8": lambda seed: accuracy(96, keep=0.8, seed=seed),
    "acc96-p9": lambda seed: accuracy(96, keep=0.9, seed=seed),
    "acc1024-p9": lambda seed: accuracy(1024, keep=0.9, seed=seed),
    "rf30": lambda seed: forest(),
}
