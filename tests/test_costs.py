"""What a dry run says: stages that add up, blocks that grow no longer than patience, no traces."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_models import save_random_llama
from made_plans import made_plan
from run_files import files_of

from headspex.budget.allocation import Allocation
from headspex.cli.main import main
from headspex.estimates import estimate as estimating
from headspex.estimates.arithmetic import tokens_read
from headspex.estimates.costs import (
    Budgets,
    Costs,
    Rates,
    Stage,
    said_of,
    stages_of,
)
from headspex.estimates.pace import pace, random_pairs, step_pairs
from headspex.scores.block import BLOCK, Block
from headspex.scores.judge import Judge
from headspex.settings import Settings
from headspex.tasks import EncodedQuestion

QUICK = ["--budget", "400", "--verify-budget", "2640", "--threads", "1"]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_llama(tmp_path_factory.mktemp("model"), layers=2)


PLAN = made_plan(8, 20, 30, 10, (2, 4), 1_000)
SPENT = Allocation(0.7, 2, n_masks=480, n_pilot=10, pilot_questions=2, pilot_passes=60)
RATES = Rates(
    start=5.0, once=1.0, search=0.1, fresh=0.2, walk=0.3, schedules=0.4, slope=0.5, slowness=0.0
)


def test_stages_have_the_passes_of_the_plan_at_the_pace_of_their_kind() -> None:
    found = {s.name: s for s in stages_of(PLAN, Settings(), SPENT, RATES, by="values")}
    assert (found["pilot"].passes, found["search"].passes) == (60, 940)
    assert found["pilot"].seconds == pytest.approx(6.0)
    assert found["search"].seconds == pytest.approx(94.0)
    # Ten fresh masks are asked 6 search and 3 held-out questions each.
    assert found["score fresh masks"].passes == 90
    assert found["score fresh masks"].seconds == pytest.approx(18.0)
    # Whole model and own schedule: 30 questions at three sizes; six rivals: 10 at two.
    assert found["verify schedules"].passes == 3 * 30 + 2 * 6 * 10
    assert found["verify schedules"].seconds == pytest.approx(210 * 0.4)
    walked = PLAN.walking(by_slopes=False).passes
    assert found["refine the schedule"].seconds == pytest.approx(walked * 0.3)
    assert sum(s.passes for s in found.values()) == PLAN.passes_total(1, "values")


def test_slopes_are_counted_apart_from_other_passes_of_a_walk() -> None:
    plan = made_plan(40, 100, 30, 10, (10, 20), 20_000)
    walking = plan.walking(by_slopes=True)
    assert walking.slopes
    sloped = walking.slopes * 3 * 100  # three passes for each of 100 questions
    (walk,) = (
        s for s in stages_of(plan, Settings(), SPENT, RATES, by="slopes") if "refine" in s.name
    )
    assert walk.seconds == pytest.approx((walking.passes - sloped) * 0.3 + sloped * 0.5)


def test_the_time_of_a_run_is_that_of_its_stages() -> None:
    costs = _costs(Stage("search", 10, 20.0), Stage("write the results", 0, 3.5))
    told = costs.to_dict()
    assert costs.seconds == told["seconds"] == 23.5
    assert json.loads(json.dumps(told))["stages"][0] == {
        "name": "search", "passes": 10, "seconds": 20.0,
    }  # fmt: skip


def _costs(*stages: Stage, shorter: Budgets | None = None) -> Costs:
    return Costs(8, "head", 1_000, 1_500, 1e9, 2**30, stages, shorter=shorter)


def test_all_is_said_in_lines_of_plain_words() -> None:
    costs = _costs(Stage("search", 1_000, 9_000.0), shorter=Budgets(400, None))
    assert str(costs).splitlines() == [
        "8 heads are switched",
        "at most 1,500 forward passes, about 2.5 hours on this machine, 1.0 GiB for model and "
        "batches; --budget 400 would take about one hour",
        "1,000 of the passes are pilot and search, 500 refine and verify; all take about 1e+09 "
        "floating-point operations",
        "  search: 1,000 passes, about 2.5 hours",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "less than a second"), (5.2, "about 5.2 seconds"), (100, "about 100 seconds"),
        (130, "about 2.2 minutes"), (7_300, "about 2 hours"), (3 * 86_400, "about 3 days"),
    ],
)  # fmt: skip
def test_times_are_said_in_two_digits(seconds: float, said: str) -> None:
    assert said_of(seconds) == said


class _Machine:
    """Scores nothing, at its own pace by its own clock."""

    def __init__(self, *, each: float, start: float = 0.0) -> None:
        self.now, self.each, self.start = 0.0, each, start
        self.asked: list[Block] = []

    def __call__(self, block: Block) -> None:
        self.asked.append(block)
        self.now += self.start + self.each * len(block)

    def clock(self) -> float:
        return self.now


def _paced(machine: _Machine, patience: float, most: int = BLOCK) -> float:
    rng = np.random.default_rng(0)
    pairs = random_pairs(48, np.arange(100), per_mask=3, keep=0.7, rng=rng)
    return pace(machine, pairs, most=most, patience=patience, clock=machine.clock)


def test_blocks_grow_until_the_next_one_would_take_too_long() -> None:
    machine = _Machine(each=0.01)
    assert _paced(machine, patience=2.0) == pytest.approx(0.01)
    assert [len(block) for block in machine.asked] == [4, 16, 64, 64, 16]  # 256 would take 2.56 s
    assert machine.now < 3 * 2.0


def test_a_pace_is_that_of_whole_blocks_though_small_ones_were_timed() -> None:
    machine = _Machine(each=0.002, start=0.15)  # a block of 1,024 rows takes 2.198 s
    assert _paced(machine, patience=0.5) == pytest.approx(2.198 / 1_024)
    assert max(len(block) for block in machine.asked) == 4


def test_a_slow_model_is_asked_nine_rows() -> None:
    machine = _Machine(each=7.0)
    assert _paced(machine, patience=1.0) == pytest.approx(7.0)
    assert [len(block) for block in machine.asked] == [4, 4, 1]


def test_no_block_is_larger_than_those_of_the_run() -> None:
    machine = _Machine(each=1e-6, start=1e-3)
    assert _paced(machine, patience=5.0, most=BLOCK) == pytest.approx(1e-6 + 1e-3 / BLOCK)
    assert max(len(block) for block in machine.asked) == BLOCK
    assert _paced(machine, patience=5.0, most=10) == pytest.approx(1e-6 + 1e-3 / 10)


def test_what_is_timed_are_other_masks_on_the_same_questions() -> None:
    machine = _Machine(each=0.01)
    _paced(machine, patience=2.0)
    before, timed, _ = machine.asked[-3:]
    np.testing.assert_array_equal(before.questions, timed.questions)
    assert (before.masks != timed.masks).any(axis=1).mean() > 0.9
    assert (~timed.masks).mean() == pytest.approx(0.3, abs=0.05)
    # Three questions a mask, as asked for.
    assert len({mask.tobytes() for mask in timed.masks}) == -(-64 // 3)


def test_a_step_asks_all_candidates_the_same_questions() -> None:
    rng = np.random.default_rng(0)
    pairs = step_pairs(48, np.arange(100), candidates=5, keep=0.6, rng=rng)
    one, other = pairs(64)
    np.testing.assert_array_equal(one.questions.reshape(5, 12), np.tile(one.questions[:12], (5, 1)))
    np.testing.assert_array_equal(one.questions, other.questions)
    masks = one.masks.reshape(5, 12, 48)
    assert (masks == masks[:, :1]).all()
    assert ((masks[:, 0] != masks[0, 0]).sum(axis=1) <= 2).all()


@pytest.mark.slow
def test_a_run_has_the_same_files_with_and_without_its_estimate(
    model_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = {}
    for short, name in ((1e9, "without"), (0.0, "with")):
        monkeypatch.setattr(estimating, "SHORT", short)
        words = ["prune", "--model", str(model_folder), "--out", str(tmp_path / name), *QUICK]
        assert main(words) == 0
        said[name] = capsys.readouterr().err
    line = "on this machine, 0.0 GiB for model and batches"
    assert line not in said["without"]
    assert said["with"].count(line) == 1
    assert files_of(tmp_path / "with") == files_of(tmp_path / "without")
    (tmp_path / "with" / "curve.csv").unlink()
    assert main(words) == 0  # goes on
    assert line not in capsys.readouterr().err


def test_a_dry_run_lists_stages_that_add_up(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = ["prune", "--model", str(model_folder), "--out", str(out), "--dry-run", *QUICK]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["seconds"] == pytest.approx(sum(s["seconds"] for s in told["stages"]))
    assert sum(s["passes"] for s in told["stages"]) <= told["passes_total"]
    assert told["measured"] is True
    assert not out.exists()


def test_a_model_that_is_very_slow_is_not_asked_at_all(
    model_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: Judge, *args: object) -> None:
        raise AssertionError("it was asked")

    monkeypatch.setattr(estimating, "product_seconds", lambda model: 1e-3)  # of one operation
    monkeypatch.setattr(Judge, "__call__", never)
    assert main(["prune", "--model", str(model_folder), "--dry-run", *QUICK]) == 0
    assert "days on this machine, reckoned roughly" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("question", "tokens"),
    [
        (EncodedQuestion((3, 4, 5), ((1,), (2,))), 3),  # letters, after the prompt
        (EncodedQuestion((3, 4, 5), ((1, 6), (2, 7, 8))), 3 + 1 + 2),  # answers of several tokens
        (EncodedQuestion((0,), (tuple(range(60)),)), 60),  # a text, after a BOS token
        (EncodedQuestion(tuple(range(50)), ((1,),)), 40),  # longer than the model's context
    ],
)
def test_tokens_are_those_that_the_model_reads(question: EncodedQuestion, tokens: int) -> None:
    assert tokens_read(question, 40) == tokens
