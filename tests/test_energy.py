from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headspex.engine.energy import layer_energy
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.players import Players

PLAYERS = Players.heads(9, 2, [1, 4, 8])
MASKS = (np.arange(64)[:, None] >> np.arange(6) & 1).astype(bool)
SUBSETS = [t for k in range(7) for t in combinations(range(6), k)]

seeds = st.integers(0, 2**32 - 1)


def random_spectrum(seed: int) -> Spectrum:
    rng = np.random.default_rng(seed)
    return Spectrum.from_dict(
        {t: rng.normal() for t in SUBSETS if rng.random() < 0.4},
        n_players=6,
        keep=rng.uniform(0.1, 0.9, 6),
    )


@given(seeds)
@settings(max_examples=40)
def test_energies_are_shares_of_the_variance_found_by_enumeration(seed: int) -> None:
    spectrum = random_spectrum(seed)
    weights = np.where(MASKS, spectrum.keep, 1 - spectrum.keep).prod(axis=1)
    scaled = (spectrum.keep - MASKS) / np.sqrt(spectrum.keep * (1 - spectrum.keep))
    values = spectrum.predict(MASKS)
    variance = weights @ (values - weights @ values) ** 2
    shares = {"linear": 0.0, "within": 0.0, "across": 0.0}
    matrix, by_layer = np.zeros((3, 3)), np.zeros(3)
    for term in SUBSETS[1:]:
        share = (weights * values) @ scaled[:, list(term)].prod(axis=1)
        share = share**2 / variance
        layers = [i // 2 for i in term]
        kind = "linear" if len(term) == 1 else "across" if len(set(layers)) > 1 else "within"
        shares[kind] += share
        if kind == "linear":
            by_layer[layers[0]] += share
        pairs = list(combinations(layers, 2))
        for a, b in pairs:
            matrix[a, b] += share / len(pairs) / 2
            matrix[b, a] += share / len(pairs) / 2
    found = layer_energy(spectrum, PLAYERS)
    assert found.linear == pytest.approx(shares["linear"])
    assert found.within == pytest.approx(shares["within"])
    assert found.across == pytest.approx(shares["across"])
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-9)
    np.testing.assert_allclose(found.linear_by_layer, by_layer, atol=1e-9)
    assert found.linear + found.within + found.across == pytest.approx(1.0)
    assert found.matrix.sum() + found.linear_by_layer.sum() == pytest.approx(1.0)


def test_a_triple_shares_its_energy_among_its_three_pairs() -> None:
    # heads 0 and 1 are in layer 1, head 2 in layer 4: one pair within, two across
    spectrum = Spectrum.from_dict({(): 5.0, (3,): 1.0, (0, 1, 2): 2.0}, n_players=6, keep=0.8)
    energy = spectrum.energy(PLAYERS)
    assert (energy.linear, energy.within, energy.across) == pytest.approx((0.2, 0.0, 0.8))
    thirds = 0.8 / 3
    expected = np.array([[thirds, thirds, 0], [thirds, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(energy.matrix, expected, atol=1e-12)
    np.testing.assert_allclose(energy.linear_by_layer, [0, 0.2, 0])
    assert energy.layers == (1, 4, 8)
    assert energy.basis == "p = 0.8"


def test_a_constant_has_no_energy_and_no_nan() -> None:
    energy = layer_energy(Spectrum.from_dict({(): 3.0, (0,): 0.0}, n_players=6), PLAYERS)
    assert (energy.linear, energy.within, energy.across) == (0.0, 0.0, 0.0)
    assert not energy.matrix.any()
    assert not energy.linear_by_layer.any()
    assert energy.basis == "p = 0.5"


def test_the_basis_is_named_by_player_where_players_differ() -> None:
    assert layer_energy(random_spectrum(0), PLAYERS).basis == "p by player"


def test_players_of_another_number_are_refused() -> None:
    with pytest.raises(UsageError, match="6 players, but 18 heads"):
        layer_energy(random_spectrum(0), Players.heads(9, 2))
