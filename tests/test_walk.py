"""A walk on a model: what it costs, whom it believes, and how near it comes to true greedy."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headspex.engine.spectrum import Spectrum
from headspex.players import Players
from headspex.schedules.local_search import Flips
from headspex.schedules.rules import Rules
from headspex.schedules.schedule import prune_schedule
from headspex.schedules.walk import Noise, walk


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
    table |= {pairs[i]: 0.4 * rng.normal() for i in rng.choice(len(pairs), 20, replace=False)}
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
    # The first step trusts both sides equally; from then on the noise is known to be none.
    late = walk(
        true, model, 30, steps=14, per_candidate=4, candidates=14, stay=1.0,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert late.schedule.order == prune_schedule(true).order
    assert damage(true, found.schedule.order) > damage(true, prune_schedule(blurred(true, 1)).order)


def test_a_walk_costs_what_it_says_and_deals_questions_evenly() -> None:
    model = Model(game(), 0.3)
    found = walk(
        game(), model, 20, steps=10, per_candidate=6, candidates=3, rng=np.random.default_rng(0)
    )
    assert found.passes == model.passes == 10 * 3 * 6
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


def test_noise_is_how_far_questions_disagree_about_players() -> None:
    rng = np.random.default_rng(0)
    noise = Noise()
    noise.see(np.add.outer(rng.normal(size=3), rng.normal(size=4)))  # no disagreement at all
    noise.see(np.ones((3, 4)))
    noise.see(np.zeros((3, 4)))
    assert noise.variance == 0
    for _ in range(200):
        alike = np.add.outer(rng.normal(size=5), rng.normal(size=8))
        noise.see(alike + 3 * rng.normal(size=(5, 8)))
    assert noise.variance == pytest.approx(9, rel=0.5)


def test_a_walk_on_scores_that_all_agree_follows_the_spectrum() -> None:
    true = game()
    found = walk(
        true, lambda masks, questions: np.zeros((len(masks), len(questions))), 10, steps=5,
        per_candidate=4, candidates=2, rng=np.random.default_rng(0),
    )  # fmt: skip
    assert sorted(found.schedule.order) == list(range(14))
    assert np.isfinite(found.scores).all()


@given(st.integers(0, 1000), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_rules_hold_on_the_whole_way(seed: int, per_layer: int) -> None:
    players = Players.heads(3, 5)
    rules = Rules.of(players, protect=[seed % 15], per_layer=per_layer)
    found = walk(
        game(15, seed), Model(game(15, seed), 0.2), 10, steps=6, per_candidate=3, rules=rules,
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    assert len(found.schedule.order) == rules.most()
    for size in range(len(found.schedule.order) + 1):
        assert rules.allows(found.schedule.mask(size))
