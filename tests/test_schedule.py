import json
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.players import Players
from headspex.schedules.schedule import (
    Schedule,
    n_pruned,
    prune_schedule,
    random_schedule,
    schedule_from_scores,
    with_values,
)

seeds = st.integers(0, 2**32 - 1)


def random_spectrum(seed: int, n: int, *, integers: bool = False) -> Spectrum:
    rng = np.random.default_rng(seed)
    subsets = [t for k in range(1, 6) for t in combinations(range(n), k)]
    chosen = rng.choice(len(subsets), min(len(subsets), int(rng.integers(1, 80))), replace=False)
    if integers:  # many ties; exact at p = 1/2
        table = {subsets[i]: float(rng.integers(-2, 3)) for i in chosen}
        return Spectrum.from_dict(table, n_players=n)
    keep = rng.uniform(0.2, 0.95, n)
    return Spectrum.from_dict({subsets[i]: rng.normal() for i in chosen}, n_players=n, keep=keep)


def values_of(schedule: Schedule) -> npt.NDArray[np.float64]:
    assert schedule.values is not None
    return schedule.values


def naive_greedy(spectrum: Spectrum, protect: Sequence[int], direction: str) -> list[int]:
    """Ask the spectrum about every next mask."""
    n = spectrum.n_players
    removing = direction == "removal"
    mask = np.ones(n, dtype=bool)
    candidates = [i for i in range(n) if i not in protect]
    if not removing:
        mask[candidates] = False
    order = []
    while candidates:
        following = np.repeat(mask[None], len(candidates), axis=0)
        following[np.arange(len(candidates)), candidates] = not removing
        values = spectrum.predict(following)
        best = int(np.flatnonzero(values >= values.max() - 1e-9)[0])
        mask = following[best]
        order.append(candidates.pop(best))
    return order if removing else order[::-1]


@given(seeds, st.integers(5, 9), st.sampled_from(["removal", "build-up"]), st.booleans())
@settings(max_examples=150)
def test_greedy_equals_asking_the_spectrum_about_every_next_mask(
    seed: int, n: int, direction: str, integers: bool
) -> None:
    spectrum = random_spectrum(seed, n, integers=integers)
    protect = np.flatnonzero(np.random.default_rng(seed).random(n) < 0.2).tolist()
    schedule = prune_schedule(spectrum, protect=protect, direction=direction)
    assert list(schedule.order) == naive_greedy(spectrum, protect, direction)
    masks = np.ones((len(schedule.order) + 1, n), dtype=bool)
    for size, column in enumerate(schedule.order):
        masks[size + 1 :, column] = False
    np.testing.assert_allclose(values_of(schedule), spectrum.predict(masks), atol=1e-9)


def test_greedy_of_a_larger_game_sheds_rounding_error_as_it_goes() -> None:
    rng = np.random.default_rng(7)
    terms = {tuple(sorted(rng.choice(150, 4, replace=False).tolist())) for _ in range(600)}
    spectrum = Spectrum.from_dict({t: rng.normal() for t in terms}, n_players=150, keep=0.9)
    for direction in ("removal", "build-up"):
        found = prune_schedule(spectrum, direction=direction)
        assert list(found.order) == naive_greedy(spectrum, [], direction)


def test_greedy_removes_redundant_heads_before_a_synergetic_pair() -> None:
    # value = m0 m1 + max(m2, m3): the pair 0, 1 works together, 2 and 3 replace each other
    masks = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(bool)
    values = (masks[:, 0] & masks[:, 1]).astype(float) + (masks[:, 2] | masks[:, 3])
    table = {
        t: float((values * (1 - 2.0 * masks[:, list(t)]).prod(axis=1)).mean())
        for k in range(5)
        for t in combinations(range(4), k)
    }
    spectrum = Spectrum.from_dict(table, n_players=4)
    schedule = prune_schedule(spectrum, Players.heads(2, 2))
    assert schedule.order == (2, 0, 1, 3)
    np.testing.assert_allclose(values_of(schedule), [2, 2, 1, 1, 0], atol=1e-12)


def test_a_constant_spectrum_removes_columns_in_their_sequence() -> None:
    schedule = prune_schedule(Spectrum.from_dict({(): 1.0}, n_players=4), protect=[1])
    assert schedule.order == (0, 2, 3)
    assert values_of(schedule).tolist() == [1.0] * 4


def test_a_tie_that_rounding_breaks_still_goes_to_the_lower_column() -> None:
    assert 0.1 + 0.2 + 0.3 > 0.3 + 0.2 + 0.1
    table = {(0, 2): 0.1, (0, 3): 0.2, (0, 4): 0.3, (1, 2): 0.3, (1, 3): 0.2, (1, 4): 0.1}
    spectrum = Spectrum.from_dict(table, n_players=5)
    assert prune_schedule(spectrum, protect=[2, 3, 4]).order == (0, 1)


def test_everything_protected_leaves_an_empty_schedule() -> None:
    spectrum = Spectrum.from_dict({(): 1.0, (0,): 1.0}, n_players=2)
    schedule = prune_schedule(spectrum, protect=[0, 1])
    assert schedule.order == ()
    assert values_of(schedule).tolist() == [0.0]  # 1 + chi_0 = 1 - 1 with head 0 on


def test_scores_are_removed_from_the_lowest_with_ties_by_column() -> None:
    assert schedule_from_scores([3.0, 1.0, 2.0, 1.0]).order == (1, 3, 2, 0)
    assert schedule_from_scores([3.0, 1.0, 2.0, 1.0], protect=[3]).order == (1, 2, 0)
    with pytest.raises(UsageError, match="NaN or infinite"):
        schedule_from_scores([1.0, np.nan])
    with pytest.raises(UsageError, match=r"the shape \[1, 2\]"):
        schedule_from_scores([[1.0, 2.0]])


def test_random_schedules_repeat_by_seed_and_are_permutations() -> None:
    first = random_schedule(50, rng=np.random.default_rng(3))
    assert first.order == random_schedule(50, rng=np.random.default_rng(3)).order
    assert first.order != random_schedule(50, rng=np.random.default_rng(4)).order
    assert sorted(first.order) == list(range(50))
    assert set(random_schedule(5, rng=np.random.default_rng(0), protect=[2]).order) == {0, 1, 3, 4}


def test_masks_switch_off_the_first_players_of_the_schedule() -> None:
    schedule = Schedule((2, 0, 1), 4)
    assert schedule.mask(2).tolist() == [False, True, False, True]
    assert schedule.masks([0, 3]).tolist() == [[True] * 4, [False, False, False, True]]
    with pytest.raises(UsageError, match="removes must be a whole number, 0 to 3, but is 4"):
        schedule.mask(4)


def test_values_of_any_schedule_come_from_the_spectrum_on_request() -> None:
    spectrum = Spectrum.from_dict({(): 1.0, (0,): -1.0, (1,): -2.0}, n_players=2)
    assert values_of(with_values(Schedule((1, 0), 2), spectrum)).tolist() == [4.0, 0.0, -2.0]


def test_the_number_of_pruned_players_is_the_floor_of_what_is_meant() -> None:
    assert n_pruned(0.29, 100) == 29  # 0.29 * 100 = 28.999999999999996
    assert n_pruned(0.25, 1024) == 256
    assert n_pruned(0.1, 32) == 3
    assert n_pruned(1.0, 7) == 7
    with pytest.raises(UsageError, match=r"0\.\.1, but got 1\.5"):
        n_pruned(1.5, 7)


def test_wrong_requests_are_refused() -> None:
    spectrum = Spectrum.from_dict({}, n_players=4)
    with pytest.raises(UsageError, match="direction"):
        prune_schedule(spectrum, direction="up")
    with pytest.raises(UsageError, match=r"within 0\.\.3, but got \[4\]"):
        prune_schedule(spectrum, protect=[4])
    with pytest.raises(UsageError, match="4 players, but 6 heads"):
        prune_schedule(spectrum, Players.heads(3, 2))
    with pytest.raises(UsageError, match="named twice"):
        Schedule((0, 0), 2)
    with pytest.raises(UsageError, match="outside"):
        Schedule((2,), 2)


PLAYERS = Players.heads(14, 4, [13])


def test_the_file_names_layers_and_heads_first_removed_first() -> None:
    schedule = Schedule((3, 0), 4)
    text = schedule.to_json(PLAYERS)
    assert json.loads(text) == {
        "format": "headspex.schedule/1",
        "unit": "head",
        "order": [[13, 3], [13, 0]],
    }
    assert Schedule.from_json(text, PLAYERS).order == (3, 0)


def test_a_schedule_of_other_weights_is_refused_and_one_that_does_not_say_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    schedule = Schedule((3, 0), 4)
    text = schedule.to_json(PLAYERS, fingerprint="ab" * 32)
    assert json.loads(text)["fingerprint"] == "ab" * 32
    for known in (None, "ab" * 32):
        assert Schedule.from_json(text, PLAYERS, fingerprint=known).order == (3, 0)
    with pytest.raises(UsageError, match=r"for weights abababababab, but .* cdcdcdcdcdcd; take"):
        Schedule.from_json(text, PLAYERS, fingerprint="cd" * 32)
    assert capsys.readouterr().err == ""
    silent = schedule.to_json(PLAYERS)
    assert Schedule.from_json(silent, PLAYERS, fingerprint="ab" * 32).order == (3, 0)
    assert capsys.readouterr().err.count("has no fingerprint") == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": "headspex.mask/1"}, '"format" must be'),
        ({"more": 1}, "no others"),
        ({"fingerprint": 3}, "fingerprint must be a text"),
        ({"unit": "layer"}, 'unit must be "head"'),
        ({"order": [[13]]}, "list of"),
        ({"order": [[13, 1.0]]}, "list of"),
        ({"order": {"13": 1}}, "list of"),
        ({"order": [[12, 0]]}, "L12H0 is not a player"),
        ({"order": [[13, 4]]}, "L13H4 is not a player"),
        ({"order": [[13, 0], [13, 0]]}, "twice"),
    ],
)
def test_a_file_that_is_no_schedule_of_these_players_is_refused(
    change: dict[str, Any], sentence: str
) -> None:
    document = {"format": "headspex.schedule/1", "unit": "head", "order": [[13, 3]]}
    with pytest.raises(UsageError, match=f"not a schedule.*{sentence}"):
        Schedule.from_json(json.dumps({**document, **change}), PLAYERS)
    with pytest.raises(UsageError, match="not JSON"):
        Schedule.from_json("order", PLAYERS)
