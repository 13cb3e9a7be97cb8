"""The public entry points: what goes in, what is refused, what comes out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from headspex.engine.fit import explain, fit_spectrum
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError

Values = np.ndarray


def heads_with_backup(masks: np.ndarray) -> Values:
    """Two heads back each other up, two work together, five add up."""
    x = masks.astype(float)
    together, either = x[:, 0] * x[:, 1], np.maximum(x[:, 2], x[:, 3])
    added = x[:, 4:9] @ np.array([1, -0.5, 0.3, 0.7, -0.2])
    return np.asarray(2 * together + 1.5 * either + added)


def r2(function: Callable[[np.ndarray], Values], spectrum: Spectrum, keep: float) -> float:
    masks = np.random.default_rng(99).random((2000, spectrum.n_players)) < keep
    truth = function(masks)
    return float(1 - np.var(truth - spectrum.predict(masks)) / np.var(truth))


@pytest.mark.parametrize("keep", [0.5, 0.8])
def test_a_small_game_is_explained_exactly(keep: float) -> None:
    spectrum = explain(heads_with_backup, 24, budget=250, keep=keep, seed=1)
    assert r2(heads_with_backup, spectrum, keep) > 0.999
    fourier = spectrum.to_fourier()
    assert fourier[0, 1] == pytest.approx(2 / 4, abs=0.02)  # an AND has +1/4 on its pair
    assert fourier[2, 3] == pytest.approx(-1.5 / 4, abs=0.02)  # an OR -1/4
    assert spectrum.report is not None
    assert spectrum.report.cv_r2 > 0.995
    assert spectrum.report.low <= spectrum.report.cv_r2 <= spectrum.report.high
    assert len(spectrum.report.sources) == len(spectrum.terms)


def test_the_value_function_is_called_within_the_budget_and_never_twice_on_a_mask() -> None:
    seen: list[bytes] = []

    def counted(masks: np.ndarray) -> Values:
        seen.extend(row.tobytes() for row in masks)
        return np.asarray(masks.sum(axis=1), dtype=float)

    for n_players, budget in ((6, 100), (20, 60)):
        seen.clear()
        explain(counted, n_players, budget=budget)
        assert len(seen) == len(set(seen)) == min(budget, 2**n_players)


def test_the_same_seed_gives_the_same_bytes() -> None:
    rng = np.random.default_rng(5)
    masks = rng.random((150, 15)) < 0.5
    values = heads_with_backup(masks) + rng.normal(size=150)
    first, again = (fit_spectrum(masks, values, seed=2) for _ in range(2))
    assert first.to_json() == again.to_json()


def test_the_unit_of_the_values_does_not_matter() -> None:
    rng = np.random.default_rng(6)
    masks = rng.random((120, 12)) < 0.5
    # Little noise: with much of it, which of two equally doubtful terms is kept is a coin's toss.
    values = heads_with_backup(masks) + 0.03 * rng.normal(size=120)
    fresh = rng.random((100, 12)) < 0.5
    small = fit_spectrum(masks, values * 1e-6 + 5).predict(fresh)
    plain = fit_spectrum(masks, values).predict(fresh)
    np.testing.assert_allclose((small - 5) * 1e6, plain, atol=0.02 * plain.std())


def test_a_constant_value_gives_the_constant_and_says_so() -> None:
    masks = np.random.default_rng(0).random((50, 8)) < 0.5
    spectrum = fit_spectrum(masks, np.full(50, 0.1 + 0.2))
    assert spectrum.to_dict() == {(): pytest.approx(0.3)}
    assert spectrum.report is not None
    assert spectrum.report.method == "constant"


def test_noise_alone_promises_nothing() -> None:
    rng = np.random.default_rng(3)
    masks = rng.random((300, 20)) < 0.5
    spectrum = fit_spectrum(masks, rng.normal(size=300))
    assert spectrum.report is not None
    assert spectrum.report.cv_r2 < 0.03
    assert np.var(spectrum.predict(masks)) < 0.3


@pytest.mark.parametrize("n_masks", [1, 2, 3, 4, 5, 7, 10])
def test_a_handful_of_masks_is_no_error(n_masks: int) -> None:
    rng = np.random.default_rng(n_masks)
    masks = rng.random((n_masks, 6)) < 0.5
    spectrum = fit_spectrum(masks, rng.normal(size=n_masks))
    assert np.isfinite(spectrum.predict(masks)).all()


def test_repeated_masks_are_averaged_not_looked_up() -> None:
    rng = np.random.default_rng(1)
    base = rng.random((100, 10)) < 0.5
    masks = np.repeat(base, 5, axis=0)
    values = heads_with_backup(masks) + rng.normal(size=500)
    spectrum = fit_spectrum(masks, values)
    assert spectrum.report is not None
    noise_share = 1 / np.var(values)
    assert spectrum.report.cv_r2 < 1 - noise_share + 0.1
    assert r2(heads_with_backup, spectrum, 0.5) > 0.8


def test_one_mask_many_times_gives_its_mean() -> None:
    masks = np.ones((20, 5), dtype=bool)
    spectrum = fit_spectrum(masks, np.arange(20.0))
    assert spectrum.to_dict() == {(): 9.5}


def test_a_player_that_never_varies_is_left_alone() -> None:
    rng = np.random.default_rng(2)
    masks = rng.random((200, 10)) < 0.5
    masks[:, 3] = True
    spectrum = fit_spectrum(masks, heads_with_backup(masks))
    assert np.isfinite(spectrum.coefficients).all()
    held = rng.random((500, 10)) < 0.5
    held[:, 3] = True
    truth = heads_with_backup(held)
    assert np.var(spectrum.predict(held) - truth) < 0.01 * np.var(truth)


def test_keep_may_differ_from_player_to_player() -> None:
    rng = np.random.default_rng(4)
    keep = np.linspace(0.3, 0.9, 12)
    masks = rng.random((300, 12)) < keep
    spectrum = fit_spectrum(masks, heads_with_backup(masks), keep=keep)
    np.testing.assert_allclose(spectrum.keep, keep)
    fresh = rng.random((500, 12)) < keep
    truth = heads_with_backup(fresh)
    assert np.var(spectrum.predict(fresh) - truth) < 0.01 * np.var(truth)


GOOD = np.random.default_rng(0).random((30, 5)) < 0.5
VALUES = GOOD.sum(axis=1).astype(float)


@pytest.mark.parametrize(
    ("masks", "values", "options", "words"),
    [
        (GOOD, VALUES[:-1], {}, r"values has shape \(29,\), but there are 30 masks"),
        (GOOD, np.where(np.arange(30) == 4, np.nan, VALUES), {}, r"values\[4\] is nan"),
        (GOOD, VALUES, {"weights": np.zeros(30)}, "weights must be positive"),
        (GOOD, VALUES, {"weights": np.ones(3)}, "weights has shape"),
        (GOOD, VALUES, {"groups": np.ones(3)}, "groups has shape"),
        (GOOD, VALUES, {"keep": 1.5}, "strictly between 0 and 1"),
        (GOOD, VALUES, {"keep": 0}, "strictly between 0 and 1"),
        (GOOD, VALUES, {"seed": -1}, r"seed must be a whole number, 0 to .*, but is -1"),
        (GOOD, VALUES, {"threads": 0}, "threads must be a whole number, 1 to 1,024, but is 0"),
        (GOOD, VALUES, {"seed": 1.5}, r"seed must be a whole number, .* but is 1\.5"),
        (GOOD, VALUES, {"seed": None}, "seed must be a whole number, .* but is None"),
        (GOOD, VALUES, {"seed": True}, "seed must be a whole number, .* but is True"),
        (GOOD, VALUES, {"threads": 100_000}, "threads must be a whole number, 1 to 1,024"),
        (GOOD, VALUES + 1j, {}, "values must be real numbers, but are complex"),
        (GOOD * 0.5, VALUES, {}, "True and False"),
        (GOOD[:0], VALUES[:0], {}, "no rows"),
        (GOOD[0], VALUES, {}, "shape"),
        (GOOD * 2, VALUES, {}, "True and False"),
        (GOOD, [["a"]] * 30, {}, "must be numbers"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(
    masks: np.ndarray, values: Values, options: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        fit_spectrum(masks, values, **options)  # type: ignore[arg-type]


def test_a_value_function_of_another_shape_is_refused() -> None:
    with pytest.raises(UsageError, match="one number per mask"):
        explain(lambda masks: np.zeros((len(masks), 2)), 5, budget=10)
    with pytest.raises(UsageError, match="must be finite"):
        explain(lambda masks: np.full(len(masks), np.nan), 5, budget=10)
    with pytest.raises(UsageError, match="budget must be a whole number, 1 or more, but is 0"):
        explain(lambda masks: np.zeros(len(masks)), 5, budget=0)


@pytest.mark.parametrize(
    ("players", "budget", "words"),
    [
        (10.0, 90, r"n_players must be a whole number, 1 or more, but is 10\.0"),
        (10, 1e2, r"budget must be a whole number, 1 or more, but is 100\.0"),
        (0, 90, "n_players must be a whole number"),
    ],
)
@pytest.mark.parametrize("engine", ["proxyspex", "spex"])
def test_counts_are_whole_numbers(engine: str, players: Any, budget: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        explain(lambda masks: masks[:, 0] * 1.0, players, budget=budget, engine=engine)


def test_whole_numbers_of_numpy_are_as_good_as_others() -> None:
    def first(masks: np.ndarray) -> np.ndarray:
        return masks[:, 0] * 2.0

    counts = np.int64(5), np.int32(20)
    found = explain(first, counts[0], budget=counts[1], seed=np.int64(3))  # type: ignore[arg-type]
    assert found.to_json() == explain(first, 5, budget=20, seed=3).to_json()


@pytest.mark.parametrize("kind", [np.int8, np.float32])
def test_exact_ones_and_zeros_are_masks_in_the_fit_and_in_predictions(kind: type) -> None:
    spectrum = fit_spectrum(GOOD.astype(kind), VALUES)
    assert spectrum.to_json() == fit_spectrum(GOOD, VALUES).to_json()
    assert np.array_equal(spectrum.predict(GOOD.astype(kind)), spectrum.predict(GOOD))
    with pytest.raises(UsageError, match="True and False"):
        spectrum.predict(GOOD * 2)
