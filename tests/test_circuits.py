"""MIB's measures of a run: in its files, its report and what it prints, equal to plain scoring."""

import copy
import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_runs import made_run
from test_game import NoTokenizer
from test_pairs import drawn

import headspex
from headspex.budget.plan import Plan, make_plan
from headspex.cli.main import main
from headspex.engine.circuit_faithfulness import SHARES, circuit_faithfulness, kept_sizes
from headspex.hooks import ablated
from headspex.runs.circuits import Circuits
from headspex.runs.curve import MIB
from headspex.runs.run_folder import RunFolder
from headspex.settings import Settings
from headspex.tasks import Task
from headspex.tasks.pairs import Pair, pairs

SMALL: dict[str, Any] = {
    "budget": 400, "verify_budget": 3_000, "keep": 0.7, "threads": 1, "refine": 0,
}  # fmt: skip


def done_by(bridge: Any) -> Task:
    """Pairs that a random model answers right: the likeliest next token is the right one."""
    found = []
    for number, pair in enumerate(drawn(24)):
        with torch.no_grad():
            ranked = bridge(torch.tensor([pair.clean]))[0, -1].argsort(descending=True)
        right, wrong = int(ranked[0]), [int(ranked[150]), int(ranked[200])]
        found.append(Pair.of(pair.clean, [right], wrong, place=f"pair {number}"))
    return pairs("made", found)


def plain_scores(bridge: Any, run: Any, kept: int) -> float:
    """Mean logit difference on held-out prompts by hooks alone, with the last `kept` heads on."""
    players, schedule = run.players, run.schedule
    mask = schedule.mask(len(players) - kept)
    keep, mlps = players.grid(mask), players.mlps(mask)
    heldout = json.loads(run.folder.questions.read_text())["heldout"]
    scores = []
    for pair in done_by(bridge).test:
        if pair.id in heldout:
            assert isinstance(pair, Pair)
            with torch.no_grad(), ablated(bridge, keep, keep_mlps=mlps):
                logits = bridge(torch.tensor([pair.clean]))[0, -1].double().numpy()
            right, wrong = list(map(int, pair.answers)), list(map(int, pair.wrong))
            scores.append(logits[right].mean() - logits[wrong].mean())
    assert len(scores) == len(heldout)
    return float(np.mean(scores))


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["head", "head,mlp"])
def test_a_run_carries_mibs_measures_as_plain_scoring_gives_them(
    unit: str, llama_bridge: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = headspex.Study(
        copy.deepcopy(llama_bridge), done_by(llama_bridge), tokenizer=NoTokenizer(), unit=unit,
        **SMALL,
    )  # fmt: skip
    findings = study.run(tmp_path)
    run = headspex.load_run(tmp_path)
    n, told = len(run.players), run.results["mib"]
    assert n == (12 if unit == "head" else 15)
    m = {kept: plain_scores(llama_bridge, run, kept) for kept in kept_sizes(n)}
    assert (told["metric"], told["none"]) == ("logit-diff", pytest.approx(m[0], abs=1e-4))
    f = [(m[kept] - m[0]) / (m[n] - m[0]) for kept in kept_sizes(n)]
    assert [row["share"] for row in told["f"]] == list(SHARES)
    assert [row["kept"] for row in told["f"]] == list(kept_sizes(n))
    assert [row["value"] for row in told["f"]] == pytest.approx(f, abs=1e-4)
    assert told["cpr"]["value"] == pytest.approx(np.trapezoid(f, SHARES), abs=1e-4)
    away = np.abs(1 - np.array(f))
    assert told["cmd"]["value"] == pytest.approx(np.trapezoid(away, SHARES), abs=1e-4)
    # The same in the curve, each size once, beside the sizes that all schedules are judged at.
    rows = {p.n_pruned: p.score for p in run.curve if p.metric == MIB}
    expected = {n - kept: value for kept, value in zip(kept_sizes(n), f, strict=True)}
    assert rows == pytest.approx(expected, abs=1e-4)
    judged = [p for p in run.curve if (p.method, p.metric) == ("proxyspex", "logit-diff")]
    assert len(judged) == len(study.plan.sizes)
    assert findings.circuits is not None
    assert findings.circuits.to_dict() == told
    # Told in a line, with a table in the report, and drawn again from the files alone.
    said = f"MIB: CPR {told['cpr']['value']:.3f} ["
    assert said in str(run)
    page = run.folder.report.read_text()
    assert said in page
    assert '<table id="circuits">' in page
    run.folder.report.unlink()
    assert main(["plot", str(tmp_path), "report"]) == 0
    assert run.folder.report.read_text() == page
    capsys.readouterr()


def test_the_further_masks_are_counted_and_paid_by_the_verify_budget(llama_bridge: Any) -> None:
    study = headspex.Study(
        llama_bridge, pairs("made", drawn(24)), tokenizer=NoTokenizer(), **SMALL
    )  # fmt: skip
    plan = study.plan
    # 0, 1, 2, 6 and 12 of 12 heads are kept; 6, 10 and 0 removed are judged anyway.
    assert plan.circuit_sizes == (11, 12)
    assert plan.sizes == (1, 2, 3, 4, 6, 7, 8, 9, 10)
    assert plan.schedule_passes == 12 * plan.n_heldout + 54 * plan.n_compared
    assert plan.verify_passes <= 3_000


def test_many_heads_are_judged_at_mibs_small_sizes_too() -> None:
    settings = Settings(verify_budget=100_000)
    plan = make_plan(settings, n_players=270, n_search=100, n_heldout=100, circuits=True)
    assert plan.circuit_sizes == tuple(270 - kept for kept in (13, 5, 2, 1, 0))
    plan = make_plan(settings, n_players=2_000, n_search=100, n_heldout=100, circuits=True)
    assert plan.circuit_sizes[-2:] == (1_998, 2_000)  # a thousandth is two heads, and none is asked


@pytest.mark.parametrize("task", ["pairs", "mini"])
def test_a_plan_comes_back_from_its_identity(task: str) -> None:
    plan = make_plan(
        Settings(verify_budget=100_000), n_players=48, n_search=50, n_heldout=50,
        circuits=task == "pairs",
    )  # fmt: skip
    identity = json.loads(json.dumps(plan.to_dict()))
    assert Plan.of_run(identity) == plan
    # Runs without these measures are what they were before there were any.
    assert ("circuit_sizes" in identity) == (task == "pairs")


@pytest.mark.parametrize(
    ("metric", "objective", "measured"),
    [(None, None, "logit-diff"), ("prob-diff", None, "prob-diff"), ("kl", None, "logit-diff"),
     ("accuracy", "best", "logit-diff")],
)  # fmt: skip
def test_circuits_are_measured_in_a_score_that_is_a_number(
    metric: Any, objective: Any, measured: str, llama_bridge: Any
) -> None:
    task = pairs("made", drawn(24))
    study = headspex.Study(
        llama_bridge, task, tokenizer=NoTokenizer(), metric=metric, objective=objective
    )  # fmt: skip
    assert study.objective.circuits_in == measured
    assert measured in study.objective.curve


def test_right_or_wrong_answers_have_no_circuits() -> None:
    asked: list[dict[str, Any]] = [{}, {"metric": "margin"}, {"objective": "match"}]
    for settings in asked:
        assert headspex.Study("tiny", "mini", **settings).objective.circuits_in is None
    plan = make_plan(Settings(), n_players=48, n_search=600, n_heldout=600)
    assert plan.circuit_sizes == ()


def mib_of(folder: RunFolder, scores: dict[int, list[float]]) -> dict[str, Any]:
    """Put MIB's measures of 10 heads into a made run, and return them."""
    by_prompt = {kept: np.array(some) for kept, some in scores.items()}
    circuits = Circuits(
        "logit-diff", none=float(by_prompt[0].mean()), whole=float(by_prompt[10].mean()),
        n_questions=2, n_players=10, measures=circuit_faithfulness(by_prompt, 10),
    )  # fmt: skip
    content = json.loads(folder.run.read_text())
    content["results"]["mib"] = circuits.to_dict()
    folder.run.write_text(json.dumps(content))
    return circuits.to_dict()


def test_a_run_is_told_and_drawn_from_its_files(tmp_path: Path) -> None:
    folder = made_run(tmp_path, layers=2, heads=5)
    assert "MIB" not in str(headspex.load_run(tmp_path))
    assert main(["plot", str(tmp_path), "report"]) == 0
    assert "MIB" not in folder.report.read_text()
    # Means of 1, 2, 3, 6 and 5, as in the example computed by hand in test_circuit_faithfulness.
    mean = {0: 1.0, 1: 2.0, 2: 3.0, 5: 6.0, 10: 5.0}
    mib_of(folder, {kept: [m - 0.1, m + 0.1] for kept, m in mean.items()})
    said = (
        "MIB: CPR 0.869 [0.869, 0.869], the area under f, and CMD 0.330 [0.330, 0.330], the area "
        "between f and 1, over the share of heads kept; f is the logit-diff that is left, 0 with "
        "all heads off and 1 with none."
    )
    assert said in str(headspex.load_run(tmp_path))
    assert main(["plot", str(tmp_path), "report"]) == 0
    page = folder.report.read_text()
    assert said in page
    rows = page.split('<table id="circuits">')[1].split("<tbody>")[1].split("</tbody>")[0]
    cells = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in rows.splitlines()]
    assert cells[0] == ["0.1%", "0", "0.000", "0.000", "0.000"]
    assert cells[8] == ["50.0%", "5", "1.250", "1.250", "1.250"]
    assert len(cells) == len(SHARES)


def test_where_f_is_not_defined_that_is_told(tmp_path: Path) -> None:
    folder = made_run(tmp_path, layers=2, heads=5)
    told = mib_of(folder, {kept: [1.0, 2.0] for kept in kept_sizes(10)})
    assert (told["cpr"], told["cmd"], told["f"]) == (None, None, [])
    said = (
        "MIB's CPR and CMD are not defined: the logit-diff of the whole model, 1.5, and that with "
        "all heads off, 1.5, do not differ beyond noise."
    )
    assert said in str(headspex.load_run(tmp_path))
    assert main(["plot", str(tmp_path), "report"]) == 0
    assert html.escape(said) in folder.report.read_text()


@pytest.mark.slow
def test_noise_is_said_to_be_noise_and_gives_no_rows(llama_bridge: Any, tmp_path: Path) -> None:
    # The right token and the wrong one are drawn, so the model does as well without heads.
    task = pairs("made", drawn(24, seed=5))
    study = headspex.Study(
        copy.deepcopy(llama_bridge), task, tokenizer=NoTokenizer(), **SMALL
    )  # fmt: skip
    study.run(tmp_path)
    run = headspex.load_run(tmp_path)
    assert run.results["mib"]["cpr"] is None
    assert "MIB's CPR and CMD are not defined: the logit-diff of the whole model, " in str(run)
    assert not [p for p in run.curve if p.metric == MIB]
    assert "are not defined" in run.folder.report.read_text()
