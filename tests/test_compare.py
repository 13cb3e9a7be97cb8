"""Methods side by side on the scores of one finished run."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_plans import made_plan

from headspex.budget.allocation import Allocation
from headspex.budget.sample import draw_sample
from headspex.cli.main import main
from headspex.comparison.fits import Fit, fit_all, fit_own_masks, search_parts
from headspex.comparison.known import Known, places
from headspex.comparison.orders import ORDERS
from headspex.engine.methods.baselines import BASELINES
from headspex.engine.observations import observe
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.runs.curve import CURVE, FAITHFULNESS
from headspex.settings import Settings

# A random model's masks differ little: few questions, of which fresh masks are asked most.
QUICK = [
    "--subject", "stored_facts", "--budget", "400", "--verify-budget", "12000", "--threads", "1",
]  # fmt: skip
PAID = ["--order-budget", "900"]  # as few passes as gates can learn from
FILES = ["compare/compare.json", "compare/curve.csv", "compare/faithfulness.csv",
         "figures/faithfulness.svg"]  # fmt: skip
PLAN = made_plan(20, 20, 20, n_fresh=64, sizes=(1, 4), search_budget=1_600)
SAMPLE = draw_sample(PLAN, Allocation(keep=0.7, questions_per_mask=2, n_masks=800), seed=0)


@pytest.fixture(scope="module")
def plain_run(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on a random model that nobody has compared yet."""
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["prune", "--model", str(model_folder), "--out", str(out), "--metric", "logprob"]
    assert main([*words, *QUICK]) == 0
    return out


@pytest.fixture(scope="module")
def run(plain_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, compared."""
    out = tmp_path_factory.mktemp("compared") / "run"
    shutil.copytree(plain_run, out)
    assert main(["compare", str(out), *PAID]) == 0
    return out


def _refuse(*args: object, **options: object) -> None:
    raise AssertionError("a stored score was measured again")


def _compared(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "compare/compare.json").read_text())
    return content


def _allocation(run: Path) -> Allocation:
    results = json.loads((run / "run.json").read_text())["results"]
    return Allocation.from_dict(results["allocation"])


def test_the_methods_are_ours_the_trees_and_every_baseline(run: Path) -> None:
    methods = ["proxyspex", "trees", *BASELINES, *ORDERS]
    methods.remove("eap-ig")  # questions have no corrupted prompts
    assert [m["method"] for m in _compared(run)["methods"]] == methods
    assert "needs a corrupted prompt" in _compared(run)["left_out"]["eap-ig"]
    judged = {point.method for point in CURVE.read(run / "compare/curve.csv")}
    assert judged == {"whole model", *methods}


def test_what_the_run_found_out_itself_is_found_again(run: Path) -> None:
    results = json.loads((run / "run.json").read_text())["results"]
    ours = _compared(run)["methods"][0]
    assert ours["faithfulness"] == pytest.approx(results["faithfulness"])
    mine = set(CURVE.read(run / "compare/curve.csv"))
    assert set(CURVE.read(run / "curve.csv")) <= mine


def test_a_method_is_judged_as_eval_judges_the_mask_of_its_schedule(
    run: Path, model_folder: Path
) -> None:
    """The trees' schedule, made and scored here without the comparison's own code."""
    import headspex
    from headspex.budget.sample import draw_sample
    from headspex.engine.methods.proxy import boosted_trees
    from headspex.hooks import answer_log_probs
    from headspex.scores.evaluate import Passes
    from headspex.scores.store import ScoreStore
    from headspex.tasks import METRICS, encode_task

    study = headspex.Study(
        model_folder, subjects=("stored_facts",), metric="logprob", budget=400,
        verify_budget=12_000, threads=1,
    )  # fmt: skip
    sample = draw_sample(study.plan, _allocation(run), seed=0)
    (block,) = Passes(sample.masks, sample.row, sample.asked)
    with ScoreStore(run / "scores.sqlite") as store:
        kept = store.get(block)
    assert kept is not None
    answers = np.array([q.answer for q in study.questions[0]])[sample.asked]
    scores = METRICS["logprob"](kept, answers)
    data = sample.observed(scores)
    mask = headspex.prune_schedule(boosted_trees(data, seed=0)).mask(4)
    asked = sample.compared - len(sample.search)
    heldout = [study.questions[1][number] for number in asked]
    encoded = encode_task(study.task, heldout, study.model.tokenizer)
    grid = np.broadcast_to(study.players.grid(mask), (len(heldout), 2, 4))
    log_probs = answer_log_probs(study.model, encoded, grid)
    expected = METRICS["accuracy"](log_probs, np.array([q.answer for q in heldout])).mean()
    points = CURVE.read(run / "compare/curve.csv")
    (point,) = (p for p in points if (p.method, p.n_pruned, p.metric) == ("trees", 4, "accuracy"))
    assert point.score == pytest.approx(expected, abs=1e-12)


def test_each_predicting_method_is_fitted_to_growing_parts_of_the_search(run: Path) -> None:
    points = FAITHFULNESS.read(run / "compare/faithfulness.csv")
    results = json.loads((run / "run.json").read_text())["results"]
    budgets = [24, 48, 96, 192, 384]  # of 192 masks with two questions each
    for name in ("proxyspex", "trees", "lasso", "lasso-pairs"):
        own = [point for point in points if point.method == name]
        assert [point.passes for point in own] == budgets
        assert [2 * point.masks for point in own] == budgets
    assert budgets[-1] == results["passes"]
    assert len(points) == 4 * 5  # the others predict nothing


def test_a_second_comparison_scores_nothing_and_gives_the_same_bytes_and_one_json_object(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: (run / name).read_bytes() for name in FILES}
    monkeypatch.setattr("headspex.scores.judge.measure", _refuse)
    assert main(["compare", str(run), "--json", *PAID]) == 0
    assert json.loads(capsys.readouterr().out) == {"run": str(run), **_compared(run)}
    for name, content in before.items():
        assert (run / name).read_bytes() == content, name


def test_a_comparison_changes_no_file_of_the_run_but_its_scores(run: Path, plain_run: Path) -> None:
    for path in plain_run.rglob("*"):
        if path.is_file() and path.name != "scores.sqlite":
            assert (run / path.relative_to(plain_run)).read_bytes() == path.read_bytes()


def test_the_answer_comes_first_and_says_where_the_files_are(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(run), *PAID]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("The model does not do this task, so these results are noise: ")
    assert "predicts best, R² " in lines[0]
    assert "prunes best, accuracy " in lines[1]
    assert any(
        line.endswith(
            "order: mean on less mean off; best mask of the search; random, mean; Shapley values; "
            "gradient importance; attribution patching; GIM; integrated gradients; "
            "gradients at random masks; learned gates; causal head gating; "
            "uniform gradient sampling; leave-one-out; greedy removal; LASSO on heads, refined; "
            "no spectrum, refined; compressed sensing; FLAP; Wanda; norm of activations; "
            "magnitude of weights"
        )
        for line in lines
    )
    assert lines[-1] == (
        f"The numbers are in {run / 'compare'}, the figure is {run / 'figures/faithfulness.svg'}"
    )


def test_the_refinement_from_our_own_spectrum_is_that_of_the_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(known: Known) -> np.ndarray:
        assert known.refined is not None
        return places(known.refined(known.spectrum).order)

    order = replace(ORDERS["refined-alone"], importance=again)
    monkeypatch.setitem(ORDERS, "refined-alone", order)
    words = ["--orders", "refined-alone", "--to", str(tmp_path / "to")]
    assert main(["compare", str(run), *words]) == 0
    (found,) = (
        one
        for one in json.loads((tmp_path / "to/compare.json").read_text())["methods"]
        if one["method"] == "refined-alone"
    )
    differences = [one["difference"] for one in found["accuracy_less_proxyspex_at"]]
    assert differences == [0] * 7


@pytest.mark.parametrize("name", ["lasso-refined", "refined-alone"])
def test_a_run_without_refinement_has_none_from_other_spectra(name: str) -> None:
    spectrum = Spectrum.from_dict({(0,): 1.0}, n_players=4)
    judge: Any = None
    known = Known(judge, np.arange(3), "kl", "kl", "kl", 0.1, spectrum, 100, judge, lasso=spectrum)
    with pytest.raises(UsageError, match="this run has none"):
        ORDERS[name].importance(known)


def test_other_budgets_go_to_another_folder(run: Path, tmp_path: Path) -> None:
    to = tmp_path / "out"
    assert main(["compare", str(run), "--budgets", "100", "31", "--orders", "--to", str(to)]) == 0
    points = FAITHFULNESS.read(to / "faithfulness.csv")
    assert [p.masks for p in points if p.method == "lasso"] == [15, 50, 192]
    assert (to / "faithfulness.svg").is_file()
    # The whole search is compared as before; no criteria were asked for.
    again = json.loads((to / "compare.json").read_text())
    assert again["methods"] == [m for m in _compared(run)["methods"] if m["method"] not in ORDERS]


def test_unknown_criteria_and_no_passes_for_them_are_refused(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headspex.scores.judge.measure", _refuse)
    assert main(["compare", str(run), "--orders", "gates", "taylor"]) == 2
    assert "--orders must be of shapley, gradient, " in capsys.readouterr().err
    assert main(["compare", str(run), "--order-budget", "0"]) == 2
    assert "--order-budget must be at least 1, but is 0" in capsys.readouterr().err


def test_a_folder_that_holds_something_else_is_refused_before_any_work(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headspex.comparison.compare.compare", _refuse)
    assert main(["compare", str(run), "--to", str(run)]) == 2
    assert "or one that holds a comparison" in capsys.readouterr().err


def test_a_refused_comparison_leaves_no_folder(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(run), "--budgets", "0", "--to", str(tmp_path / "to")]) == 2
    assert "--budgets must lie between" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    assert main(["compare", str(run), "--to", str(tmp_path / "file" / "to")]) == 2
    assert "--to must be a writable folder" in capsys.readouterr().err


def test_plot_draws_the_comparison_and_says_where_there_is_none(
    run: Path, plain_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plot", str(run), "faithfulness", "--to", str(tmp_path / "f.svg")]) == 0
    assert (tmp_path / "f.svg").read_bytes() == (run / "figures/faithfulness.svg").read_bytes()
    assert main(["plot", str(plain_run), "faithfulness"]) == 2
    assert f"run `headspex compare {plain_run}` first" in capsys.readouterr().err


def test_another_model_in_the_same_place_is_refused(
    plain_run: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file, save_file

    other, out = tmp_path / "model", tmp_path / "run"
    shutil.copytree(model_folder, other)
    weights = load_file(other / "model.safetensors")
    weights["model.norm.weight"] *= 2
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    shutil.copytree(plain_run, out)
    content = json.loads((out / "run.json").read_text())
    content["identity"]["model"] = str(other)
    (out / "run.json").write_text(json.dumps(content))
    assert main(["compare", str(out)]) == 2
    assert "must be the same, but" in (said := capsys.readouterr().err)
    assert "(weights: " in said


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model": "nowhere/at-all/of-it"}, "are not available"),
        ({"sizes": None}, "is damaged"),
        ({"n_fresh": "drop"}, "is damaged: 'n_fresh' in its identity"),
    ],
)
def test_a_run_that_cannot_be_had_again_is_refused(
    plain_run: Path, tmp_path: Path, change: dict[str, Any], sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    content = json.loads((plain_run / "run.json").read_text())
    identity = content["identity"] | change
    content["identity"] = {key: value for key, value in identity.items() if value != "drop"}
    (tmp_path / "run.json").write_text(json.dumps(content))
    assert main(["compare", str(tmp_path)]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.slow
def test_mean_ablation_is_compared_with_the_means_of_the_run(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    words = ["prune", "--model", str(model_folder), "--out", str(out), "--ablation", "mean"]
    assert main([*words, *QUICK]) == 0
    monkeypatch.setattr("headspex.runs.run.mean_fill", _refuse)
    assert main(["compare", str(out), "--budgets", "384", "--orders", "shapley"]) == 0
    assert set(CURVE.read(out / "curve.csv")) <= set(CURVE.read(out / "compare/curve.csv"))


def _search(n_masks: int) -> Any:
    rng = np.random.default_rng(0)
    masks = rng.random((n_masks, 6)) < 0.5
    return observe(masks, masks[:, 0] + (masks[:, 1] & masks[:, 2]) * 1.0)


def test_a_method_that_needs_too_much_memory_is_left_out_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headspex.engine.methods.baselines.PAIR_BYTES", 1e3)
    known = Spectrum.from_dict({(): 1.0}, n_players=6)
    fits, left_out = fit_all(
        [_search(40), _search(80)], [80, 160], Settings(), ours=[Fit(known, 80, 160)]
    )
    assert set(left_out) == {"lasso-pairs"}
    assert "all pairs of 6 players on 80 masks need" in left_out["lasso-pairs"]
    assert set(fits) == {"proxyspex", "trees", *BASELINES} - {"lasso-pairs"}
    assert fits["proxyspex"][-1].spectrum is known
    assert [fit.passes for fit in fits["trees"]] == [80, 160]
    assert [fit.masks for fit in fits["marginal"]] == [80]  # smaller fits would show nothing


def test_values_that_do_not_vary_give_every_method_the_constant() -> None:
    flat = observe(_search(40).masks, np.ones(40))
    known = Spectrum.from_dict({(): 1.0}, n_players=6)
    fits, _ = fit_all([flat], [40], Settings(), ours=[Fit(known, 40, 40)])
    assert all(fit.spectrum.terms == ((),) for (fit,) in fits.values())


class _Judge:
    """Scores planted values instead of a model's: one lone pair, and one head."""

    players = range(20)

    def ask_all(self, masks: np.ndarray, questions: np.ndarray, **_: Any) -> dict[str, np.ndarray]:
        values = masks[:, 3] & masks[:, 7] | masks[:, 11]
        return {"accuracy": np.tile(values[:, None].astype(float), (1, len(questions)))}


def test_spex_searches_on_masks_of_its_own_within_its_budget() -> None:
    judge: Any = _Judge()
    # Among a million possible masks, this seed draws 1,000 that include none of the 64 fresh ones.
    fit = fit_own_masks(judge, SAMPLE, budget=20 * 1000, metric="accuracy", seed=2)
    assert fit.passes == fit.masks * 20  # all search questions
    assert fit.passes <= 20 * 1000
    (expected,) = judge.ask_all(SAMPLE.fresh, np.arange(1)).values()
    np.testing.assert_allclose(fit.spectrum.predict(SAMPLE.fresh), expected[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("budget", "sentence"),
    [("30", "--spex-budget must be at least"), ("100000", "fresh masks are among its own")],
)
def test_a_search_of_spex_that_could_not_be_judged_is_refused(
    run: Path, budget: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(run), "--spex-budget", budget]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.slow
def test_spex_is_compared_like_the_others(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["prune", "--layers", "0-2", "--out", str(out), "--budget", "400"]
    # A task with few questions: each of SPEX's masks is asked all that may be searched.
    words += ["--subject", "stored_facts", "--verify-budget", "6000"]
    assert main(words) == 0
    words = ["--budgets", "400", "--spex-budget", "12000", "--orders"]
    assert main(["compare", str(out), *words]) == 0
    (spex,) = (one for one in _compared(out)["methods"] if one["method"] == "spex")
    assert spex["faithfulness"] is not None
    points = FAITHFULNESS.read(out / "compare/faithfulness.csv")
    (passes,) = (point.passes for point in points if point.method == "spex")
    assert 0 < passes <= 12000
    judged = [p for p in CURVE.read(out / "compare/curve.csv") if p.method == "spex"]
    assert np.mean([point.score for point in judged]) == pytest.approx(spex["accuracy"]["mean"])


def test_the_default_budgets_are_halves_down_to_a_sixteenth() -> None:
    assert search_parts(SAMPLE, []) == [100, 200, 400, 800, 1600]


def test_parts_of_a_search_that_are_no_search_are_left_out() -> None:
    small = draw_sample(PLAN, Allocation(keep=0.7, questions_per_mask=2, n_masks=50), seed=0)
    assert search_parts(small, []) == [24, 50, 100]


def test_a_budget_buys_whole_masks_of_which_the_pilot_asked_more() -> None:
    mixed = Allocation(keep=0.7, questions_per_mask=2, n_masks=50, n_pilot=20)
    sample = draw_sample(PLAN, mixed, seed=0)
    assert search_parts(sample, [95, 163]) == [88, 162, 220]


@pytest.mark.parametrize("budget", [19, 1601, -5])
def test_a_budget_that_the_search_does_not_hold_is_refused(budget: int) -> None:
    with pytest.raises(UsageError, match=rf"between 20 \(10 masks\) and 1600.*but one is {budget}"):
        search_parts(SAMPLE, [100, budget])
