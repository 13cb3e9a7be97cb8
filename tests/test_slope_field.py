"""What slopes at some masks say of all: the Gaussian process they are taken for, and games."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headspex.walk.slope_field import ALIKE, CURVATURE, RANGE, ROUNDING, SlopeField


def posterior(
    masks: np.ndarray, questions: np.ndarray, slopes: np.ndarray, mask: np.ndarray
) -> tuple[float, np.ndarray]:
    """Of one player, densely: its gain at a mask and its parts on questions there.

    All unknowns are one Gaussian vector: the number b, its prior so wide that it is flat, the
    curvature, u at every mask and v at every mask and question, each written down by itself.
    """
    n_questions, flat = int(questions.max()) + 1, 1e7
    places = np.concatenate([masks, mask[None]])

    def correlation(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.exp(-np.mean(one != other) / RANGE))

    process = np.array([[correlation(one, other) for other in places] for one in places])
    rows = len(places)
    prior = np.zeros((2 + rows * (1 + n_questions),) * 2)
    prior[0, 0], prior[1, 1] = flat, CURVATURE
    for block in range(1 + n_questions):
        part = slice(2 + block * rows, 2 + (block + 1) * rows)
        prior[part, part] = process * (ALIKE if block == 0 else 1.0)
    seen = np.zeros((len(masks), len(prior)))
    for row, (place, question) in enumerate(zip(masks, questions, strict=True)):
        seen[row, 0], seen[row, 1] = 1, float(not place[0])  # of player 0
        seen[row, 2 + row] = seen[row, 2 + (1 + question) * rows + row] = 1
    covariance = seen @ prior @ seen.T + ROUNDING * np.eye(len(masks))
    mean = prior @ seen.T @ np.linalg.solve(covariance, slopes)
    parts = mean[2 + rows :].reshape(n_questions, rows)[:, -1]
    return float(mean[0] + mean[1] / 2 + mean[1 + rows]), parts - parts.mean()


@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(3, 12))
@settings(max_examples=40)
def test_gains_and_parts_are_the_posterior_of_the_process(seed: int, n: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    masks, questions = rng.random((rows, n)) < 0.7, rng.integers(0, 4, rows)
    questions[0] = 3
    slopes, mask = rng.normal(size=(rows, n)), rng.random(n) < 0.7
    field = SlopeField(n, 4)
    field.update(masks[:2], questions[:2], slopes[:2])  # in two looks
    field.update(masks[2:], questions[2:], slopes[2:])
    gain, parts = posterior(masks, questions, slopes[:, 0], mask)
    assert field.gains(mask)[0] == pytest.approx(gain, rel=1e-4, abs=1e-4)
    np.testing.assert_allclose(field.parts(mask)[0], parts, rtol=1e-4, atol=1e-4)


@given(st.integers(0, 10**6), st.floats(0.1, 1.0))
@settings(max_examples=20)
def test_looking_ahead_is_the_mean_over_who_may_go(seed: int, stay: float) -> None:
    rng, n = np.random.default_rng(seed), 6
    field = SlopeField(n, 3)
    field.update(rng.random((9, n)) < 0.6, rng.integers(0, 3, 9), rng.normal(size=(9, n)))
    mask = np.arange(n) != seed % n
    subsets = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)
    subsets = subsets[(subsets <= mask).all(axis=1)]
    odds = np.where(subsets, stay, 1 - stay)[:, mask].prod(axis=1)
    expected = sum(p * field.gains(subset) for p, subset in zip(odds, subsets, strict=True))
    np.testing.assert_allclose(field.gains(mask, stay=stay), expected, atol=1e-9)


def test_slopes_at_random_masks_tell_what_a_curved_game_gains() -> None:
    rng, n = np.random.default_rng(0), 20
    worth, pairs = rng.normal(size=n), np.triu(rng.normal(size=(n, n)), 1) / 4
    pairs, curved = pairs + pairs.T, rng.random(n) * 8
    masks, questions = rng.random((160, n)) < 0.8, np.tile(np.arange(40), 4)
    own = rng.normal(size=(40, n))
    off = (~masks).astype(float)
    # Of sum_i worth_i off_i + curved_i off_i^2 / 2 + the pairs, for gates between on and off.
    slopes = worth + curved * off + off @ pairs + own[questions]
    field = SlopeField(n, 40)
    field.update(masks, questions, slopes)
    mask = np.arange(n) % 5 > 0
    gains = (worth + curved / 2 + pairs @ (~mask).astype(float))[mask]
    found = field.gains(mask)[mask]
    straight = (worth + pairs @ (~mask).astype(float))[mask]  # what slopes at the mask itself say
    assert np.corrcoef(found, gains)[0, 1] > 0.95
    assert np.std(found - gains) < np.std(straight - gains) / 2
    parts, true = field.parts(mask)[mask], (own - own.mean(axis=0)).T[mask]
    assert np.corrcoef(parts.ravel(), true.ravel())[0, 1] > 0.95


def test_what_is_the_same_everywhere_is_found_exactly() -> None:
    field = SlopeField(3, 2)
    field.update(np.ones((2, 3), dtype=bool), np.arange(2), np.tile([1.0, 2.0, -3.0], (2, 1)))
    np.testing.assert_allclose(field.gains(np.arange(3) > 0), [1, 2, -3], atol=1e-9)
