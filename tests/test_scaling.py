"""Values in any unit: f and c f have the same terms."""

import numpy as np
import pytest

from headspex import Players, UsageError, explain, fit_spectrum, layer_energy, shapley_values
from headspex.engine.effects import strongest
from headspex.engine.faithfulness import Measured, faithfulness
from headspex.engine.paired import loss_bound, r2_difference
from headspex.engine.search import all_masks, exact_spectrum
from headspex.engine.spectrum import Spectrum
from headspex.engine.uncertainty import intervals

UNITS = [1e-300, 1e-12, 1e9, 1e39, 1e300]


def played(masks: np.ndarray) -> np.ndarray:
    values: np.ndarray = 2.0 * masks[:, 0] - 1.5 * (masks[:, 1] & masks[:, 2]) + masks[:, 3]
    return values


@pytest.mark.parametrize("engine", ["proxyspex", "spex"])
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("offset", [0.0, 1e9, 1e15])
def test_terms_are_the_same_in_every_unit_and_coefficients_scale(
    engine: str, unit: float, offset: float
) -> None:
    plain = explain(played, 10, budget=300, engine=engine)
    found = explain(lambda m: unit * played(m) + offset, 10, budget=300, engine=engine)
    if unit * 4.0 < 1e-16 * offset:  # float64 holds nothing but the offset
        assert found.to_dict() == {(): offset}
        return
    assert found.terms == plain.terms
    scaled = unit * plain.coefficients[1:]
    np.testing.assert_allclose(found.coefficients[1:], scaled, rtol=1e-6)


@pytest.mark.parametrize("power", [-1000, -300, 300, 1000])
def test_noise_is_read_the_same_in_every_unit(power: int) -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((150, 12)) < 0.6
    values = played(masks) + rng.normal(size=150)
    plain = fit_spectrum(masks, values, keep=0.6)
    found = fit_spectrum(masks, np.ldexp(values, power), keep=0.6)
    assert found.report == plain.report
    np.testing.assert_array_equal(np.ldexp(found.coefficients, -power), plain.coefficients)


@pytest.mark.parametrize("unit", UNITS)
def test_shapley_values_and_what_is_told_of_a_spectrum_hold_in_every_unit(unit: float) -> None:
    found = shapley_values(lambda m: unit * played(m), 6, budget=64)
    assert found.exact
    np.testing.assert_allclose(found.values / unit, [2, -0.75, -0.75, 1, 0, 0], atol=1e-12)
    found = shapley_values(lambda m: unit * played(m), 10, budget=100)
    np.testing.assert_allclose(found.values[:4] / unit, [2, -0.75, -0.75, 1], atol=0.05)
    # Squares: 1 for the first, 0.25 for the fourth, 9/64 for the rest of 1.5 times an and gate.
    spectrum = exact_spectrum(unit * played(all_masks(4)))
    shares = np.array([64, 9, 9, 16, 9]) / 107
    np.testing.assert_allclose(spectrum.shares[1:], shares)
    assert "energy 92% singles, 8% pairs" in repr(spectrum)
    assert "59.8%" in spectrum._repr_html_()
    assert strongest(spectrum, 1)[0].share == pytest.approx(64 / 107)
    assert layer_energy(spectrum, Players.heads(2, 2)).across == pytest.approx(9 / 107)
    assert spectrum.truncate(min_share=0.1).terms == ((), (0,), (3,))


def test_an_offset_hides_no_term_that_float64_holds() -> None:
    table = exact_spectrum(1e-4 * played(all_masks(4)) + 1e9).to_dict()
    assert set(table) == {(), (0,), (1,), (2,), (3,), (1, 2)}
    assert table[0,] == pytest.approx(-1e-4, rel=0.01)


def test_values_that_differ_by_rounding_alone_are_a_constant_and_that_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    masks = all_masks(5)
    values = 1e15 + 0.2 * masks[:, 0]
    assert len(np.unique(values)) == 2
    assert fit_spectrum(masks, values).terms == ((),)
    assert "the values are near 1e+15 and differ by rounding alone" in capsys.readouterr().err
    assert fit_spectrum(masks, np.full(32, 0.3)).terms == ((),)
    assert capsys.readouterr().err == ""


def test_an_influence_that_float64_does_not_hold_is_refused() -> None:
    with pytest.raises(UsageError, match=r"influence is a square, and that of 1e\+300 is beyond"):
        Spectrum.from_dict({(0,): 1e300}, n_players=2).interactions("influence")


@pytest.mark.parametrize("power", [-1000, 1000])
def test_intervals_and_what_a_fit_explains_hold_in_every_unit(power: int) -> None:
    rng = np.random.default_rng(1)
    masks = rng.random((200, 12)) < 0.6
    values = played(masks) + rng.normal(size=200)
    other, terms = 0.5 * played(masks), [(0,), (1, 2)]

    def found(exponent: int) -> tuple[np.ndarray, object, object, float]:
        some, less = np.ldexp(values, exponent), np.ldexp(other, exponent)
        bounds = intervals(masks, some, terms, keep=0.6)
        measured = Measured.exactly(some)
        difference = r2_difference(measured, np.ldexp(played(masks), exponent), less)
        loss = loss_bound(some, less)
        return bounds.low, faithfulness(measured, less), difference, loss

    plain, scaled = found(0), found(power)
    np.testing.assert_array_equal(np.ldexp(scaled[0], -power), plain[0])
    assert scaled[1:3] == plain[1:3]
    assert np.ldexp(scaled[3], -power) == pytest.approx(plain[3])
