"""Sets of players are found by what all their subsets say together."""

from itertools import combinations

import numpy as np

from headspex.engine.methods.families import families
from headspex.engine.methods.growth import grow
from headspex.engine.observations import Observations, observe
from headspex.engine.spectrum import Spectrum
from headspex.engine.terms import Term

FAMILY = (2, 9, 17, 23, 30)


def subsets(players: Term) -> list[Term]:
    return [term for order in range(1, 6) for term in combinations(players, order)]


def game(rng: np.random.Generator) -> Spectrum:
    table = {term: float(rng.choice([-1.0, 1.0])) for term in subsets(FAMILY)}
    return Spectrum.from_dict(table, n_players=40)


def proposals(data: Observations, known: list[Term]) -> list[Term]:
    target = (data.values - data.mean) / np.sqrt(data.variance)
    return families(data, target.astype(np.float32), float(len(data)), known)


def test_a_family_none_of_whose_terms_stands_out_is_found_whole() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((400, 40)) < 0.5
    values = game(rng).predict(masks) + rng.normal(size=400) * np.sqrt(60)
    assert set(proposals(observe(masks, values), [()])) == set(subsets(FAMILY))


def test_terms_of_the_model_are_not_proposed_again() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((400, 40)) < 0.5
    values = game(rng).predict(masks) + rng.normal(size=400) * np.sqrt(60)
    known: list[Term] = [(), (2,), (2, 9), (2, 9, 17, 23)]
    found = proposals(observe(masks, values), known)
    assert set(found) == set(subsets(FAMILY)) - set(known)


def test_noise_holds_no_families() -> None:
    rng = np.random.default_rng(1)
    for keep in (0.5, 0.8, 0.95):
        masks = rng.random((300, 30)) < keep
        noise = rng.standard_t(4, size=300)
        assert proposals(observe(masks, noise, keep=keep), [()]) == []


def test_ten_families_of_five_are_recovered_to_the_last_term() -> None:
    rng = np.random.default_rng(2)
    table: dict[Term, float] = {}
    for _ in range(10):
        players = tuple(sorted(rng.choice(64, 5, replace=False).tolist()))
        table.update({term: rng.uniform(-1, 1) for term in subsets(players)})
    spectrum = Spectrum.from_dict(table, n_players=64)
    masks = rng.random((1300, 64)) < 0.5
    found = grow(observe(masks, spectrum.predict(masks))).to_dict()
    assert max(abs(found.get(term, 0.0) - value) for term, value in table.items()) < 1e-2


def test_two_players_and_two_masks_are_no_problem() -> None:
    masks = np.array([[True, False], [False, True]])
    assert proposals(observe(masks, np.array([0.0, 1.0])), [()]) == []
