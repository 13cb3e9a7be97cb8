"""Whole runs on a small random model: files, repetition, refusals, the command line."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_files import files_of, passes_of, slopes_of

from headspex.cli.main import main
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.figures.of_run import FIGURES
from headspex.mask_file import read_mask
from headspex.runs.curve import CURVE
from headspex.settings import Settings, SettingsArguments

QUICK = ["--budget", "400", "--verify-budget", "2640", "--threads", "1"]
HELD_OUT = ["--split", "heldout", "--batch-size", "64"]
SAME_EVERY_TIME = [
    "run.json", "report.html",
    "questions.json", "spectrum.json", "interactions.csv", "schedule.json", "curve.csv",
    *(f"figures/{name}.{kind}" for name in FIGURES for kind in ("svg", "csv")),
]  # fmt: skip


@pytest.fixture(scope="module")
def run(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on it."""
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["prune", "--model", str(model_folder), "--out", str(out), *QUICK]) == 0
    return out


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_run_leaves_all_its_files(run: Path) -> None:
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    masks = {f"masks/{size:03d}.json" for size in range(1, 8)}  # 10 % to 90 % of 8 heads
    assert names == {
        *masks, *SAME_EVERY_TIME, "scores.sqlite", "timing.json",
    }  # fmt: skip


def test_an_untrained_model_is_said_to_be_at_chance(
    run: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prune", "--model", str(model_folder), "--out", str(run), *QUICK]) == 0
    assert "The model does not do this task: score 0." in capsys.readouterr().out
    assert json.loads((run / "run.json").read_text())["results"]["at_chance"] is True


@pytest.mark.slow
def test_the_same_run_again_gives_the_same_bytes(
    run: Path, model_folder: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    assert main(["prune", "--model", str(model_folder), "--out", str(again), *QUICK]) == 0
    for name in [*SAME_EVERY_TIME, *(f"masks/{p.name}" for p in (run / "masks").iterdir())]:
        assert (again / name).read_bytes() == (run / name).read_bytes(), name


@pytest.mark.slow
def test_a_larger_budget_goes_on_and_gives_the_bytes_of_one_run(
    run: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prune", "--model", str(model_folder), "--out", str(tmp_path / "grown"), *QUICK]
    assert main([*words, "--budget", "300"]) == 0
    assert main(words) == 0
    for name in [*SAME_EVERY_TIME, *(f"masks/{p.name}" for p in (run / "masks").iterdir())]:
        assert (tmp_path / "grown" / name).read_bytes() == (run / name).read_bytes(), name
    capsys.readouterr()
    assert main([*words, "--budget", "300"]) == 2
    assert "a run's budget can only grow" in capsys.readouterr().err


def test_another_seed_in_the_same_folder_is_refused_and_nothing_is_lost(
    run: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "run.json").read_bytes()
    code = main(["prune", "--model", str(model_folder), "--out", str(run), *QUICK, "--seed", "1"])
    assert code == 2
    assert "holds another (seed: 0 there, 1 here); choose another --out" in capsys.readouterr().err
    assert (run / "run.json").read_bytes() == before


def test_a_folder_that_holds_something_else_is_refused(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("chapter 1")
    assert main(["prune", "--model", str(model_folder), "--out", str(tmp_path), *QUICK]) == 2
    assert "holds something else" in capsys.readouterr().err


def test_search_and_held_out_questions_are_disjoint_and_recorded(run: Path) -> None:
    questions = json.loads((run / "questions.json").read_text())
    assert len(questions["search"]) == 600  # all there are
    # Of 2,640 passes 64 fresh masks get 21 each; 55 % of the rest are for eight masks of the curve.
    assert len(questions["heldout"]) == int(0.55 * (2_640 - 64 * 21)) // 8
    assert not set(questions["search"]) & set(questions["heldout"])


def test_the_curve_and_the_masks_agree_with_eval_on_the_same_questions(
    run: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heldout = json.loads((run / "questions.json").read_text())["heldout"]
    points = {p.n_pruned: p for p in CURVE.read(run / "curve.csv") if p.method == "proxyspex"}
    for path in sorted((run / "masks").glob("*.json"))[::3]:
        mask = read_mask(path)
        result = _json(capsys, "eval", "--model", str(model_folder), "--mask", str(path), *HELD_OUT)
        correct = dict(zip(result["ids"], result["correct"], strict=True))
        expected = np.mean([correct[question] for question in heldout])
        assert mask.score == points[mask.n_pruned].score == pytest.approx(expected, abs=1e-12)


def test_the_store_holds_every_pass_that_was_paid(run: Path) -> None:
    results = json.loads((run / "run.json").read_text())["results"]
    assert passes_of(run) == results["passes_total"]
    assert results["passes"] == 384  # (256 masks - 64 fresh ones) x 2 questions


def test_the_spectrum_and_the_table_of_interactions_say_the_same(run: Path) -> None:
    spectrum = Spectrum.from_json((run / "spectrum.json").read_text())
    lines = (run / "interactions.csv").read_text().splitlines()
    assert lines[0] == "order,heads,layers,kind,effect,coefficient,low,high,selected,basis"
    assert len(lines) == len(spectrum.terms)  # the constant is no row, the header is one


def test_export_writes_a_mask_that_eval_takes(
    run: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "out"
    assert main(["export", str(run), "--sparsity", "0.5", "--to", str(to)]) == 0
    assert "heads 8 -> 4" in capsys.readouterr().out
    path = to / "headspex_mask.json"
    assert read_mask(path).n_pruned == 4
    result = _json(
        capsys, "eval", "--model", str(model_folder), "--mask", str(path), "--limit", "7"
    )
    assert result["n_questions"] == len(result["ids"]) == len(result["log_likelihoods"]) == 7
    assert main(["export", str(run), "--sparsity", "0.5", "--to", str(to)]) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["curve", "heads", "energy"])
def test_plot_draws_each_figure_of_a_run(run: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.png"
    assert main(["plot", str(run), name, "--to", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_mean_ablation_runs_and_its_masks_carry_their_means(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = ["prune", "--model", str(model_folder), "--out", str(out), "--ablation", "mean", *QUICK]
    assert main(words) == 0
    capsys.readouterr()
    mask = sorted((out / "masks").glob("*.json"))[-1]
    heldout = json.loads((out / "questions.json").read_text())["heldout"]
    result = _json(capsys, "eval", "--model", str(model_folder), "--mask", str(mask), *HELD_OUT)
    correct = dict(zip(result["ids"], result["correct"], strict=True))
    assert read_mask(mask).score == pytest.approx(np.mean([correct[q] for q in heldout]))
    assert main(["export", str(out), "--sparsity", "0.5", "--to", str(tmp_path / "x")]) == 0


@pytest.mark.slow
def test_refinement_is_counted_and_its_last_spectrum_is_kept(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {}
    for rounds in ("0", "1", "2"):
        words = ["--out", str(tmp_path / rounds), "--refine", rounds, "--metric", "logprob"]
        told[rounds] = _json(capsys, "prune", "--model", str(model_folder), *words, *QUICK)
    # 400 / 4 passes a round, 5 candidates at 7 steps: 2 questions each; fewer players at the end
    a_round = 2 * (4 * 5 + 4 + 3 + 2)
    for rounds, result in told.items():
        assert result["refine_passes"] == int(rounds) * a_round
        assert result["passes_total"] == told["0"]["passes_total"] + int(rounds) * a_round
        assert (tmp_path / rounds / "near_spectrum.json").exists() == (rounds == "2")
    fitted = [(tmp_path / rounds / "spectrum.json").read_bytes() for rounds in told]
    assert fitted[0] == fitted[1] == fitted[2]


@pytest.mark.slow
def test_on_a_text_a_walk_takes_slopes_which_are_counted_and_kept(
    model_folder: Path, story: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = tmp_path / "short.txt"
    short.write_text(story.read_text()[:30_000])
    words = ["prune", "--model", str(model_folder), "--task", f"text:{short}", *QUICK]
    told = {}
    for rounds in ("0", "1", "2"):
        out = tmp_path / rounds
        told[rounds] = result = _json(capsys, *words, "--out", str(out), "--refine", rounds)
        # 100 passes a round: slopes once, as half of these are not enough for twice.
        a_round = 3 * result["n_search"] + 2 * (4 * 5 + 4 + 3 + 2)
        assert result["refine_passes"] == int(rounds) * a_round
        found_again = 3 * result["n_search"] * (rounds == "2")  # those of the whole model
        assert passes_of(out) == result["passes_total"] - found_again
        assert bool(slopes_of(out)) == (out / "slopes.sqlite").exists() == (rounds != "0")
    again = tmp_path / "again"
    _json(capsys, *words, "--out", str(again))
    assert files_of(again) == files_of(tmp_path / "1")


@pytest.mark.slow
def test_layers_metric_and_rescale_reach_the_run(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    result = _json(
        capsys, "prune", "--model", str(model_folder), "--out", str(out), "--layers", "1",
        "--metric", "logprob", "--rescale", "--questions-per-mask", "all", *QUICK,
        "--subject", "stored_facts", "--budget", "1200",
    )  # fmt: skip
    assert result["players"] == 4
    assert {p["metric"] for p in result["curve"]} == {"accuracy", "logprob"}
    mask = read_mask(next(iter((out / "masks").glob("*.json"))))
    assert mask.rescale
    assert set(mask.pruned_heads) == {1}


def test_dry_run_prints_costs_and_writes_nothing(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    found = _json(
        capsys, "prune", "--model", str(model_folder), "--out", str(out), "--dry-run", *QUICK
    )
    assert found["players"] == 8
    assert found["passes"] <= 400
    assert found["flops"] > 0
    assert not out.exists()


WRONG = [
    (["prune", "--budget", "0"], "--budget must be a whole number, 1 to"),
    (["prune", "--layers", "5-9"], "does not exist"),
    (["prune", "--layers", "one"], "layers are written like"),
    (["prune", "--metric", "f1"], "--metric must be one of"),
    (["prune", "--questions-per-mask", "some"], "a number or one of auto, all"),
    (["prune", "--refine", "-1"], "--refine must be a whole number, 0 to 20, but is -1"),
    (["prune", "--keep", "most"], "a number or one of auto"),
    (["prune", "--protocol", "paper", "--keep", "0.7"], "--protocol paper has --keep 0.5"),
    (["prune", "--seed", "-1"], "--seed must be a whole number, 0 to 9,223,372,036,854,775,807"),
    (["prune", "--threads", "100000", "--dry-run"], "--threads must be a whole number, 1 to 1,024"),
    (["prune", "--verbose"], "unrecognized arguments: --verbose"),
    (["eval", "--limit", "0"], "--limit must be at least 1"),
    (["eval", "--split", "train"], "'train'"),
    (["eval", "--subject", "pattern_inductio"], "pattern_induction"),
    (["eval", "--task", "minni"], "mini"),
    (["eval", "--shots", "9"], "--shots must be a whole number, 0 to 5"),
    (["eval", "--mask", "nowhere.json"], "nowhere.json"),
    (["dance"], "dance"),
]


@pytest.mark.parametrize(("words", "sentence"), WRONG)
def test_a_wrong_word_is_answered_with_one_sentence_and_exit_code_2(
    model_folder: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with_model = words + (["--model", str(model_folder)] if words != ["dance"] else [])
    assert main(with_model) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert sentence in captured.err
    assert captured.err.startswith("headspex: ")
    assert captured.err.count("\n") == 1


def test_unknown_folders_are_refused_by_plot_and_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (
        ["plot", str(tmp_path), "curve"],
        ["export", str(tmp_path), "--sparsity", "0.5", "--to", str(tmp_path / "x")],
    ):
        assert main(words) == 2
        assert "holds no run" in capsys.readouterr().err


def test_help_answers_without_torch() -> None:
    code = (
        "import sys, headspex.cli.main as c\n"
        "try: c.main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'transformer_lens', 'xgboost', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_study_takes_objects_and_gives_what_the_command_gives(
    run: Path, model_folder: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import headspex
    from headspex.tasks import load_task

    model = AutoModelForCausalLM.from_pretrained(model_folder, attn_implementation="eager")
    study = headspex.Study(
        model, load_task("mini"), tokenizer=AutoTokenizer.from_pretrained(model_folder),
        budget=400, verify_budget=2640, threads=1,
    )  # fmt: skip
    findings = study.run(tmp_path / "run")
    assert (tmp_path / "run" / "curve.csv").read_bytes() == (run / "curve.csv").read_bytes()
    assert findings.spectrum.n_players == 8


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"layers": [0, 1]}, r"layers must be ranges of layers .* but is \[0, 1\]"),
        ({"unit": ["head"]}, "unit must be a unit such as head"),
        ({"seed": "0"}, "seed must be a whole number"),
        ({"seed": 0.5}, "seed must be a whole number"),
        ({"shots": "1"}, "shots must be a whole number, 0 to 5, but is '1'"),
        ({"refine": "1"}, "refine must be a whole number"),
        ({"budget": True}, "budget must be a whole number"),
        ({"threads": 1.5}, "threads must be a whole number, 1 to 1,024"),
        ({"rescale": 1}, "rescale must be True or False"),
        ({"subjects": "stored_facts"}, "subjects must be texts in a list or tuple"),
        ({"data_dir": 5}, "data_dir must be the path of a folder"),
        ({"task": None}, "task must be the name of a task .* but is None"),
        ({"keep": "some"}, "keep must be auto, or a number strictly between 0 and 1"),
        (
            {"bugdet": 5},
            r"no setting 'bugdet' \(did you mean budget or .*; known: model",
        ),
    ],
)
def test_a_study_refuses_what_is_no_such_setting(settings: dict[str, Any], sentence: str) -> None:
    import headspex

    with pytest.raises(UsageError, match=sentence):
        headspex.Study("tiny", **settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"prompts": 50}, "prompts goes with a task given by its name, but .* and prompts is 50"),
        ({"passage": 50}, "passage goes with a task given by its name"),
        ({"subjects": ["copying"]}, "subjects goes with a task given by its name"),
        ({"data_dir": "data"}, "data_dir goes with a task given by its name"),
    ],
)
def test_what_a_task_is_loaded_by_is_refused_beside_one_that_is_loaded(
    settings: dict[str, Any], sentence: str
) -> None:
    import headspex
    from headspex.tasks import load_task

    with pytest.raises(UsageError, match=sentence):
        headspex.Study("tiny", load_task("mini"), **settings)


def test_settings_of_numpy_are_kept_as_numbers_of_python() -> None:
    import headspex

    study = headspex.Study("tiny", seed=np.int64(3), keep=np.float64(0.5), subjects=["copying"])
    plain = headspex.Study("tiny", seed=3, keep=0.5, subjects=("copying",))
    assert json.dumps(study.settings.to_dict()) == json.dumps(plain.settings.to_dict())


def test_paths_and_what_torch_calls_devices_and_dtypes_are_kept_as_text(tmp_path: Path) -> None:
    import torch

    import headspex

    study = headspex.Study(
        "tiny", tmp_path / "t.jsonl", device=torch.device("cuda", 1), dtype=torch.bfloat16
    )
    found = study.settings
    assert (found.device, found.dtype) == ("cuda:1", "bfloat16")
    assert found.task == str(tmp_path / "t.jsonl")
    with pytest.raises(UsageError, match=r"device must be .*, but is tensor"):
        headspex.Study("tiny", device=torch.zeros(1))


def test_a_study_refuses_an_unknown_metric() -> None:
    import headspex

    with pytest.raises(UsageError, match="metric"):
        _ = headspex.Study("tiny", "mini", metric="f1").task


def test_an_editor_is_given_every_setting() -> None:
    settings = {field.name for field in fields(Settings)}
    # `prompts` is an argument of its own, which also takes a metric's prompts.
    assert SettingsArguments.__annotations__.keys() == settings - {"model", "task", "prompts"}
