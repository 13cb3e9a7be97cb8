"""A walk on a model: what it costs, whom it believes, and how near it comes to true greedy."""

from itertools import combinations

import numpy as np
import pytest

from headspex.engine.spectrum import Spectrum
from headspex.schedules.local_search import Flips
from headspex.schedules.schedule import prune_schedule
from headspex.walk.walk import walk


class Model:
    """Scores of a spectrum, with noise of its own for each question and mask."""

    def __init__(self, spectrum: Spectrum, noise: float) -> None:
        self.spectrum, self.noise, self.passes = spectrum, noise, 0

    def __call__(self, masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        self.passes += len(masks) * len(questions)
        shape = len(masks), len(questions)
        noise = np.random.default_rng([self.passes, 1]).normal(size=shape) * self.noise
        easy = np.sin(questions)[None]  # a question is as easy under every mask
        return np.asarray(self.spectrum.predict(masks)[:, None] + easy + noise)


def game(n: int = 14, seed: int = 0) -> Spectrum:
    rng = np.random.default_rng(seed)
    table = {(i,): -abs(rng.normal()) for i in range(n)}
    pairs = list(combinations(range(n), 2))
    chosen = rng.permutation(len(pairs))[:20]
    table |= {pairs[i]: 0.4 * rng.normal() for i in chosen}
    return Spectrum.from_dict(table, n_players=n, keep=0.8)


def blurred(spectrum: Spectrum, by: float, seed: int = 1) -> Spectrum:
    """As a fit would see it."""
    noise = np.random.default_rng(seed).normal(size=len(spectrum.terms)) * by
    return Spectrum(
        spectrum.terms, spectrum.coefficients + noise, spectrum.n_players, spectrum.keep
    )


def damage(spectrum: Spectrum, order: tuple[int, ...]) -> float:
    masks = np.ones((len(order), spectrum.n_players), dtype=bool)
    for size, column in enumerate(order):
        masks[size:, column] = False
    return float(spectrum.predict(masks).mean())


def test_without_noise_a_walk_that_asks_about_everyone_is_greedy_on_the_model() -> None:
    true = game()
    model = Model(true, 0.0)
    found = walk(
        blurred(true, 1.0), model, 30, steps=14, per_candidate=4, candidates=14, stay=1.0,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert found.schedule.order == prune_schedule(true).order
    assert found.schedule.order != prune_schedule(blurred(true, 1.0)).order


def test_a_walk_costs_what_it_says_and_deals_questions_evenly() -> None:
    model = Model(game(), 0.3)
    found = walk(
        game(), model, 20, steps=10, per_candidate=6, candidates=3, rng=np.random.default_rng(0)
    )
    assert found.passes(3) == model.passes == 10 * 3 * 6
    assert found.masks.shape == (30, 14)
    assert found.scores.shape == found.asked.shape == (30, 6)
    assert all(len(set(row)) == 6 for row in found.asked.tolist())
    counts = np.bincount(found.asked.ravel(), minlength=20)
    assert counts.min() >= 0.5 * counts.mean()
    assert sorted(found.schedule.order) == list(range(14))


def test_walks_come_nearer_to_the_best_than_the_spectrum_they_begin_with() -> None:
    better = []
    for seed in range(8):
        true = game(20, seed)
        seen = blurred(true, 0.5, seed)
        found = walk(
            seen, Model(true, 0.5), 40, steps=18, per_candidate=8, rng=np.random.default_rng(seed)
        )
        gain = damage(true, found.schedule.order) - damage(true, prune_schedule(seen).order)
        better.append(gain)
    assert np.mean(better) > 0.1
    assert sum(gain > 0 for gain in better) >= 7


def test_looking_ahead_spares_a_head_whose_backup_will_go() -> None:
    # Either of 0 and 1 is enough, and worth 1; 2 and 3 are each worth .3.
    masks = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(bool)
    values = (masks[:, 0] | masks[:, 1]) + 0.3 * masks[:, 2] + 0.3 * masks[:, 3]
    table = {
        t: float((values * (1 - 2.0 * masks[:, list(t)]).prod(axis=1)).mean())
        for k in range(5)
        for t in combinations(range(4), k)
    }
    spectrum = Spectrum.from_dict(table, n_players=4)
    flips = Flips(spectrum)
    whole = np.ones(4, dtype=bool)
    np.testing.assert_allclose(flips.gains(whole), [0, 0, -0.3, -0.3], atol=1e-12)
    # With probability .5 the backup is gone when it counts.
    np.testing.assert_allclose(flips.gains(whole, stay=0.5), [-0.5, -0.5, -0.3, -0.3], atol=1e-12)


def test_where_no_head_counts_a_walk_still_removes_each_one_once() -> None:
    found = walk(
        game(), lambda masks, questions: np.zeros((len(masks), len(questions))), 10, steps=5,
        per_candidate=4, candidates=2, rng=np.random.default_rng(0),
    )  # fmt: skip
    assert sorted(found.schedule.order) == list(range(14))


class Curved:
    """Questions that differ in what heads are worth, by much; slopes know most of how."""

    def __init__(self, spectrum: Spectrum, n_questions: int, *, told: float, seed: int) -> None:
        rng = np.random.default_rng([seed, 7])
        self.spectrum, self.n_questions = spectrum, n_questions
        self.worth = rng.normal(size=(spectrum.n_players, n_questions)) * 1.5
        self.worth -= self.worth.mean(axis=1, keepdims=True)
        self.said = told * self.worth + 0.3 * rng.normal(size=self.worth.shape)
        self.sloped: list[int] = []

    def __call__(self, masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        parts = masks.astype(float) @ self.worth[:, questions]
        return np.asarray(self.spectrum.predict(masks)[:, None] + parts)

    def slopes(self, masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        self.sloped.append(int(masks[-1].sum()))
        return np.asarray(-self.said[:, questions].T)


def test_slopes_tell_questions_apart_and_bring_a_walk_nearer_to_the_best() -> None:
    lost: dict[str, list[float]] = {"without": [], "with": [], "misled": []}
    for seed in range(12):
        heads = np.random.default_rng(seed).normal(size=20)
        true = Spectrum.from_dict({(i,): x for i, x in enumerate(heads)}, n_players=20, keep=0.8)
        best = damage(true, prune_schedule(true).order)
        for name, told, n_slopes in (("without", 1, 0), ("with", 1, 6), ("misled", 0, 6)):
            model = Curved(true, 40, told=told, seed=seed)
            found = walk(
                blurred(true, 0.5, seed), model, 40, steps=18, per_candidate=6,
                slopes=model.slopes, n_slopes=n_slopes, rng=np.random.default_rng(seed),
            )  # fmt: skip
            lost[name].append(best - damage(true, found.schedule.order))
            assert found.sloped == 40 * n_slopes
            assert found.passes(3) == found.asked.size + 3 * found.sloped
    assert np.mean(lost["with"]) < np.mean(lost["without"]) / 2
    assert np.mean(lost["misled"]) < np.mean(lost["without"]) * 1.5  # by slopes that say nothing


def test_slopes_are_taken_whenever_as_large_a_share_of_the_players_left() -> None:
    model = Curved(game(20), 5, told=1.0, seed=0)
    walk(
        game(20), model, 5, steps=15, per_candidate=2, slopes=model.slopes, n_slopes=6,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert model.sloped == [20, 15, 10, 8]  # 20 * (1/4)^(k/4), rounded up, two looks being before


@pytest.mark.parametrize("n_slopes", [0, 4])
def test_a_single_player_goes_without_a_question(n_slopes: int) -> None:
    model = Curved(game(1), 12, told=1.0, seed=0)
    found = walk(
        game(1), model, 12, steps=1, per_candidate=4, slopes=model.slopes, n_slopes=n_slopes,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert found.schedule.order == (0,)
    assert found.masks.shape == (0, 1)
    assert found.scores.shape == found.asked.shape == (0, 4)
    assert found.passes(3) == 0
