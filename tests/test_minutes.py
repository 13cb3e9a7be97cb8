"""`--minutes`: the budgets of a run that takes so long, and how short no run is."""

from __future__ import annotations

import json
import re
from itertools import count
from pathlib import Path

import pytest
from made_models import save_random_llama

from headspex.budget.defaults import ANSWERS
from headspex.budget.plan import least_budgets, make_plan
from headspex.cli.main import main
from headspex.errors import UsageError
from headspex.estimates import estimate as estimating
from headspex.estimates.costs import (
    HOUR,
    Budgets,
    Rates,
    budgets_within,
    expected,
    stages_of,
    with_budgets,
)
from headspex.settings import Settings
from headspex.setup import Setup

LEAST = (10, 100)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_llama(tmp_path_factory.mktemp("model"), layers=2)


def test_the_budget_of_an_hour_is_found() -> None:
    def cost(budget: int, verify_budget: int | None) -> float:
        assert verify_budget is None
        return 400 + budget / 10  # seconds; (3,600 - 400) x 10 passes are an hour

    assert budgets_within(HOUR, 1_000_000, None, cost, least=LEAST) == Budgets(32_000, None)


def test_both_budgets_shrink_where_verification_alone_takes_too_long() -> None:
    found = budgets_within(HOUR, 600_000, 300_000, _tenths, least=LEAST)
    assert found is not None
    assert found.verify_budget is not None
    assert 34_000 <= found.budget + found.verify_budget <= 36_000
    assert found.budget == pytest.approx(2 * found.verify_budget, rel=0.1)


def test_the_search_shrinks_on_where_verification_is_at_its_least() -> None:
    found = budgets_within(HOUR, 600_000, 300_000, _tenths, least=(10, 30_123))
    assert found == Budgets(5_800, 30_123)
    assert budgets_within(3_012.9, 600_000, 300_000, _tenths, least=(10, 30_123)) is None


def test_verification_shrinks_on_where_the_search_is_at_its_least() -> None:
    assert budgets_within(HOUR, 60_000, 60_000, _tenths, least=(30_000, 10)) == Budgets(
        30_000, 6_000
    )


def test_minutes_may_buy_more_than_the_default_budgets() -> None:
    def cost(budget: int, verify_budget: int | None) -> float:
        return 100 + _tenths(budget, verify_budget) / 10

    found = budgets_within(1_300, 10_000, 5_000, cost, least=LEAST, most=1_000)
    assert found == Budgets(80_000, 40_000)
    assert budgets_within(50, 10_000, 5_000, cost, least=LEAST, most=1_000) is None


def _tenths(budget: int, verify_budget: int | None) -> float:
    return (budget + (verify_budget or 0)) / 10


# Indirect objects in a model of 270 heads, at 15 passes a second.
HEADS = 270
IOI = Settings(keep=0.8, questions_per_mask=1)
LEAST_OF_IOI = least_budgets(IOI, n_players=HEADS, n_search=100, n_heldout=100)
PASS = 1 / 15
RATES = Rates(
    start=10, once=5, search=PASS, fresh=PASS, walk=PASS, schedules=PASS, slope=PASS, slowness=2
)


def _of_ioi(budget: int, verify_budget: int | None) -> float:
    """Seconds."""
    asked = with_budgets(IOI, budget, verify_budget)
    plan = make_plan(asked, n_players=HEADS, n_search=100, n_heldout=100)
    spent = expected(plan, asked, pytest.fail)  # everything was asked for: nothing is reckoned
    return sum(s.seconds for s in stages_of(plan, asked, spent, RATES, by="slopes", fits=2))


def _bought(seconds: float) -> Budgets | None:
    search, verify = ANSWERS.search.of(HEADS), ANSWERS.verify.of(HEADS)
    return budgets_within(seconds, search, verify, _of_ioi, least=LEAST_OF_IOI, most=1_000)


def test_the_least_budgets_are_those_that_a_plan_takes() -> None:
    assert LEAST_OF_IOI[0] == 10
    assert _of_ioi(*LEAST_OF_IOI) > 0
    for fewer in ((LEAST_OF_IOI[0] - 1, LEAST_OF_IOI[1]), (LEAST_OF_IOI[0], LEAST_OF_IOI[1] - 1)):
        with pytest.raises(UsageError, match="must be at least"):
            _of_ioi(*fewer)


def test_no_run_is_shorter_than_that_of_the_least_budgets() -> None:
    shortest = _of_ioi(*LEAST_OF_IOI)
    assert _bought(shortest) == Budgets(*LEAST_OF_IOI)
    assert _bought(0.999 * shortest) is None


def test_minutes_above_the_least_buy_all_that_they_can() -> None:
    before = LEAST_OF_IOI
    for times in (1, 1.001, 1.02, 1.1, 1.4, 2, 3, 7, 20, 100, 1_000):
        seconds = times * _of_ioi(*LEAST_OF_IOI)
        found = _bought(seconds)
        assert found is not None
        assert found.verify_budget is not None
        assert _of_ioi(found.budget, found.verify_budget) <= seconds
        # Budgets are told in two digits; the next ones take longer.
        assert _of_ioi(_next(found.budget), _next(found.verify_budget)) > seconds
        assert found.budget >= before[0]
        assert found.verify_budget >= before[1]
        before = (found.budget, found.verify_budget)


def _next(passes: int) -> int:
    """The next larger number of two digits and zeros."""
    unit = int(10 ** max(0, len(str(passes)) - 2))
    return (passes // unit + 1) * unit


@pytest.mark.slow
def test_minutes_become_budgets_that_a_run_keeps(
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # A machine's real pace would make another run every time.
    monkeypatch.setattr(estimating, "budgets_of", lambda *_, **__: Budgets(400, 2640))
    words = ["prune", "--model", str(model_folder), "--out", str(tmp_path / "run"), "--json"]
    assert main([*words, "--minutes", "2"]) == 0
    said = capsys.readouterr()
    first = json.loads(said.out)
    assert "--minutes 2 buy --budget 400 --verify-budget 2640 on this machine" in said.err
    assert "--budget 400 --verify-budget 2640" in first["command"]
    assert main([*words, "--minutes", "5"]) == 0
    assert json.loads(capsys.readouterr().out) == first


@pytest.mark.slow
def test_the_budgets_of_minutes_grow_with_them_and_the_least_minutes_are_told(
    four_layers: Path,
) -> None:
    setup = Setup(four_layers, "mini", threads=1)

    def bought(minutes: float) -> Budgets:
        # Every block takes a hundredth of a second by this clock.
        return estimating.budgets_of(setup, minutes, start=0.0, clock=count(0, 0.01).__next__)

    few, many = bought(2), bought(50)
    assert few.budget < many.budget
    assert few.verify_budget is not None
    assert many.verify_budget is not None
    assert few.verify_budget < many.verify_budget
    with pytest.raises(UsageError, match=r"minutes must be at least [\d.]+ for this") as refused:
        bought(1e-3)
    (told,) = re.findall(r"at least ([\d.]+)", str(refused.value))
    least = bought(float(told))
    assert least.budget < few.budget
    with pytest.raises(UsageError, match=rf"at least {told}"):
        bought(0.9 * float(told))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--minutes", "5", "--budget", "400"], "--minutes chooses the budgets"),
        (["--minutes", "0"], "--minutes must be above 0"),
        (["--minutes", "nan"], "--minutes must be above 0"),
        (["--minutes", "5", "--protocol", "paper"], "--protocol paper has budgets of its own"),
    ],
)
def test_minutes_that_cannot_be_are_refused(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prune", *words, "--out", str(tmp_path / "run")]) == 2
    assert sentence in capsys.readouterr().err
