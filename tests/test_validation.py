"""What values must be."""

import numpy as np
import pytest

from headspex.errors import UsageError
from headspex.schedules.schedule import Schedule
from headspex.support.seeds import stream
from headspex.support.validation import whole


@pytest.mark.parametrize("given", [3, np.int8(3), np.uint64(3)])
def test_integers_of_any_kind_are_whole_numbers(given: object) -> None:
    found = whole("budget", given, 1)
    assert (found, type(found)) == (3, int)


@pytest.mark.parametrize("given", [3.0, True, np.bool_(True), "3", None, [3], np.array([3]), 0, 6])
def test_all_else_and_what_is_out_of_bounds_is_refused_by_name_rule_and_value(
    given: object,
) -> None:
    with pytest.raises(UsageError) as refused:
        whole("budget", given, 1, 5)
    assert str(refused.value) == f"budget must be a whole number, 1 to 5, but is {given!r}"


def test_a_stream_takes_no_seed_below_zero() -> None:
    with pytest.raises(UsageError, match="seed must be a whole number, 0 to"):
        stream(-1, "masks")


def test_a_schedule_removes_a_whole_number_of_players_that_it_has() -> None:
    schedule = Schedule((2, 0), 3)
    assert schedule.mask(np.int64(1)).tolist() == [True, True, False]  # type: ignore[arg-type]
    for wrong in (1.5, -1, 3):
        with pytest.raises(UsageError, match="a whole number, 0 to 2, but is"):
            schedule.mask(wrong)  # type: ignore[arg-type]
