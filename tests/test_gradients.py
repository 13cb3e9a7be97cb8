"""Gradients by gates: against finite differences of the plain model, in double precision."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from run_files import slopes_of

from headspex.errors import RoomError, UsageError
from headspex.hooks import Fill
from headspex.hooks.decoder import Decoder
from headspex.hooks.fill import Parts
from headspex.hooks.gated import GatedModel
from headspex.hooks.gradients import GateGradients
from headspex.scores.block import SLOPE_PASSES
from headspex.scores.fill import mean_fill
from headspex.scores.judge import Judge
from headspex.scores.store import ScoreStore
from headspex.study import Study
from headspex.tasks import Question, Task, game
from headspex.tasks.prompts import EncodedQuestion
from headspex.tasks.scoring import kl_scores

QUESTIONS = [
    EncodedQuestion((1, 5, 9, 30, 7), ((11,), (12,), (13, 14))),
    EncodedQuestion((2, 8), ((40,), (41,))),
    EncodedQuestion(tuple(range(3, 90)), ((50,), (51,), (52, 4))),
]
ANSWERS = np.array([0, 1, 1])
PLACES = [(0, 1), (1, 3), (2, 0), (1, 4), (2, 4)]  # (layer, switch); switch 4 is the MLP
TASK = Task("made", test=())


QUESTION_OF = [Question("", "", tuple("xyz"), answer) for answer in ANSWERS.tolist()]


def right(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Derivatives of the right answers' log-probabilities, of any number of times the questions."""
    return np.asarray(np.eye(3)[ANSWERS[rows % 3]][:, : values.shape[1]])


def measured(model: Any, question: EncodedQuestion, gates: np.ndarray, fill: Fill) -> list[float]:
    """Log-probabilities of the choices, and the KL divergence if it is asked.

    Gates [layers, switches] stand where the plain model's weights read.
    """

    def scaled(layer: int) -> list[Any]:
        block, own = model.model.layers[layer], torch.from_numpy(gates[layer])
        heads = own[:4].repeat_interleave(8)

        def before(module: Any, args: Any) -> Any:
            return (args[0] * heads + fill.heads[layer].flatten() * (1 - heads),)

        def after(module: Any, args: Any, output: Any) -> Any:
            return output * own[4] + fill.mlps[layer] * (1 - own[4])

        hooked = block.self_attn.o_proj.register_forward_pre_hook(before)
        return [hooked, block.mlp.register_forward_hook(after)]

    found, apart = [], {}
    for continuation in question.continuations:
        tokens = torch.tensor([(*question.context, *continuation)])
        with torch.no_grad():
            whole = model(tokens).logits.double().log_softmax(-1)[0]
            hooks = [hook for layer in range(len(gates)) for hook in scaled(layer)]
            values = model(tokens).logits.double().log_softmax(-1)[0]
        for hook in hooks:
            hook.remove()
        start = len(question.context) - 1
        found.append(sum(values[start + i, token] for i, token in enumerate(continuation)))
        for i in range(len(continuation)):  # places with the same tokens before them are one place
            before = (*question.context, *continuation[:i])
            own = whole[start + i].exp() * (whole[start + i] - values[start + i])
            apart[before] = own.sum()
    kl = [sum(apart.values()) / len(apart)] if question.kl else []
    return list(map(float, [*found, *kl]))


def gated(bridge: Any, path: str) -> GatedModel:
    """By the bridge's hooks, or by the model's own layers."""
    return GatedModel(bridge, Decoder(bridge) if path == "fast" else None)


def some_gates(seed: int, count: int = 3) -> np.ndarray:
    """Gates of three layers: 0, 1, or anything between."""
    rng = np.random.default_rng(seed)
    gates = rng.random((count, 3, 5))
    return np.where(rng.random(gates.shape) < 0.5, (gates < 0.6).astype(float), gates)


def test_the_kl_divergence_is_not_read_where_it_was_not_measured() -> None:
    measured = [replace(one, kl=True) for one in QUESTIONS]
    values = np.zeros((len(QUESTIONS), max(one.width for one in measured)))
    assert kl_scores(values, measured).shape == (len(QUESTIONS),)
    for asked in (QUESTIONS, [*measured[:-1], QUESTIONS[-1]]):
        with pytest.raises(UsageError, match="ask for objective match or metric kl"):
            kl_scores(values, asked)


@pytest.mark.parametrize("path", ["fast", "bridge"])
@pytest.mark.parametrize("metric", ["logprob", "margin", "kl"])
@pytest.mark.parametrize("filled", [False, True])
def test_gate_gradients_are_finite_differences_of_the_score_at_the_gates(
    plain_llama: Any, llama_bridge: Any, metric: str, filled: bool, path: str
) -> None:
    gates, rng = some_gates(0), np.random.default_rng(1)
    heads, outs = (rng.normal(size=(3, *part)) * 0.1 * filled for part in ((4, 8), (32,)))
    fill = Fill(torch.from_numpy(heads), torch.from_numpy(outs))
    asked = [replace(one, kl=metric == "kl") for one in QUESTIONS]

    def derivatives(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        own = [QUESTION_OF[row] for row in rows], [asked[row] for row in rows]
        return TASK.derivatives(metric, values, *own)

    found = GateGradients(gated(llama_bridge, path), fill=fill if filled else None).of(
        asked, gates, derivatives
    )
    assert found.by_gate.shape == (3, 3, 5)
    model = copy.deepcopy(plain_llama).double()
    step = 2e-3  # norms and softmax stay in float32: much smaller ones measure rounding
    for number, question in enumerate(asked):

        def score(gates: np.ndarray, number: int = number, question: Any = question) -> float:
            values = measured(model, question, gates, fill)
            values += [-np.inf] * (found.values.shape[1] - len(values))
            return float(
                TASK.scores(metric, np.array([values]), [QUESTION_OF[number]], [question])[0]
            )

        for place in PLACES:
            moved = [gates[number].copy() for _ in range(2)]
            moved[0][place] += step
            moved[1][place] -= step
            expected = (score(moved[0]) - score(moved[1])) / (2 * step)
            assert found.by_gate[number][place] == pytest.approx(expected, abs=2e-3, rel=3e-3)
        values = found.values[number, : question.width]
        exact = measured(model, question, gates[number], fill)
        np.testing.assert_allclose(values, exact, atol=1e-4)


def test_a_batch_changes_no_gradient(llama_bridge: Any) -> None:
    gates = np.tile(some_gates(2), (4, 1, 1))
    together = GateGradients(gated(llama_bridge, "fast")).of(QUESTIONS * 4, gates, right)
    assert together.by_gate.shape == (12, 3, 5)
    np.testing.assert_allclose(together.by_gate.reshape(4, 3, 3, 5).std(axis=0), 0, atol=1e-5)


@pytest.mark.parametrize("path", ["fast", "bridge"])
def test_resampled_parts_have_gradients_toward_the_corrupted_prompt(
    llama_bridge: Any, path: str
) -> None:
    context, other = (1, 5, 9, 30, 7), (1, 6, 9, 31, 7)
    question = EncodedQuestion(context, ((11,), (12,)), corrupted=other)
    model = gated(llama_bridge, path)
    fill = model.outputs(torch.tensor([other]), Parts())

    def difference(gates: np.ndarray) -> float:
        tensor = torch.from_numpy(gates[None]).float()
        with torch.no_grad():
            logits = model.logits(torch.tensor([context]), tensor, torch.tensor([[4]]), fill)
        found = logits[0, 0].double().log_softmax(-1)
        return float(found[11] - found[12])

    gates = some_gates(3)[:1]
    found = GateGradients(model, resampled=Parts()).of(
        [question], gates, lambda values, rows: np.array([[1.0, -1.0]])
    )
    for place in PLACES:
        moved = [gates[0].copy() for _ in range(2)]
        moved[0][place] += 1e-2
        moved[1][place] -= 1e-2
        expected = (difference(moved[0]) - difference(moved[1])) / 2e-2
        assert found.by_gate[0][place] == pytest.approx(expected, abs=2e-3, rel=2e-2)


@pytest.mark.parametrize("positions", ["all", "last"])
def test_a_metric_of_ones_own_has_gradients(llama_bridge: Any, positions: str) -> None:
    def difference(logits: Any, batch: Any) -> Any:
        return logits[:, -1, 11] - logits[:, -1, 12]

    prompts = [(1, 5, 9, 30, 7), (2, 8), (3, 4, 5, 6, 9)]
    task = game(difference, prompts, positions=positions)
    own = task.encode(task.pool, None)
    pairs = [EncodedQuestion(one.context, ((11,), (12,))) for one in own]
    model, gates = gated(llama_bridge, "fast"), some_gates(4)
    found = GateGradients(model).of(own, gates, lambda values, rows: np.ones_like(values))
    expected = GateGradients(model).of(
        pairs, gates, lambda values, rows: np.tile([1.0, -1.0], (len(rows), 1))
    )
    np.testing.assert_allclose(found.by_gate, expected.by_gate, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.values[:, 0], -np.diff(expected.values)[:, 0], atol=1e-5)


def test_a_metric_that_torch_cannot_differentiate_is_refused(llama_bridge: Any) -> None:
    task = game(lambda logits, batch: logits[:, -1, 3].detach().numpy(), [(1, 5)], name="mine")
    with pytest.raises(UsageError, match="torch can differentiate, but mine returns"):
        GateGradients(gated(llama_bridge, "fast")).of(
            task.encode(task.pool, None), some_gates(5)[:1], lambda values, rows: values
        )


def test_where_memory_runs_out_fewer_questions_go_together(
    llama_bridge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates = np.tile(some_gates(6), (4, 1, 1))
    model = gated(llama_bridge, "fast")
    expected = GateGradients(model).of(QUESTIONS * 4, gates, right).by_gate
    whole, sizes = GatedModel.logits, list[int]()

    def small(self: Any, tokens: Any, *more: Any) -> Any:
        sizes.append(len(tokens))
        if len(tokens) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, tokens, *more)

    monkeypatch.setattr(GatedModel, "logits", small)
    room = 4
    found = GateGradients(model).of(QUESTIONS * 4, gates, right).by_gate
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert max(sizes) > 4
    room = 0
    with pytest.raises(RoomError, match="does not fit into memory"):
        GateGradients(model).of(QUESTIONS, some_gates(6), right)


def test_no_questions_have_no_gradients(llama_bridge: Any) -> None:
    found = GateGradients(gated(llama_bridge, "fast")).of([], np.zeros((0, 3, 5)), right)
    assert found.by_gate.shape == (0, 3, 5)


@pytest.mark.slow
def test_a_run_without_room_for_slopes_says_so_and_goes_on(
    model_folder: Path,
    story: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def none(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(GatedModel, "logits", none)
    (tmp_path / "short.txt").write_text(story.read_text()[:30_000])
    text = f"text:{tmp_path / 'short.txt'}"
    study = Study(model_folder, text, budget=400, verify_budget=2640, threads=1)
    findings = study.run(tmp_path / "run")
    assert "headspex: refining without slopes, as the gradient" in capsys.readouterr().err
    assert findings.refinement is not None
    assert not slopes_of(tmp_path / "run")


def test_derivatives_of_a_score_are_those_of_its_metric() -> None:
    questions = [Question("", "", tuple("xyz"), answer) for answer in (0, 2)]
    values = np.array([[-1.0, -2.0, -4.0], [-3.0, -1.0, -1.5]])
    found = {
        metric: TASK.derivatives(metric, values, questions, QUESTIONS[:2])
        for metric in ("logprob", "margin", "accuracy")
    }
    np.testing.assert_allclose(found["logprob"], [[1, 0, 0], [0, 0, 1]], atol=1e-9)
    np.testing.assert_allclose(found["margin"], [[1, -1, 0], [0, -1, 1]], atol=1e-9)
    np.testing.assert_array_equal(found["accuracy"], 0)


def test_slopes_of_the_shipped_model_are_near_to_what_switching_heads_off_changes() -> None:
    study = Study("tiny", "mini", metric="margin", threads=1)
    with ScoreStore(":memory:") as scores, ScoreStore(":memory:") as store:
        judge, asked = study.judge(scores), np.arange(20)
        n = len(study.players)
        masks = np.concatenate([np.ones((1, n), dtype=bool), ~np.eye(n, dtype=bool)])
        values = judge.ask_all(masks, asked, metrics=["margin"], what="")["margin"]
        whole = masks[np.zeros(20, dtype=int)]
        slopes = judge.slopes(whole, asked, metric="margin", store=store, what="slopes").T
    # How questions differ about a head; on average a head's curve is bent.
    pair = [found - found.mean(axis=1, keepdims=True) for found in (values[1:] - values[0], slopes)]
    small = np.abs(pair[0]).max(axis=1) < 1
    assert small.sum() > 20
    assert np.corrcoef(pair[0][small].ravel(), pair[1][small].ravel())[0, 1] > 0.5


def test_slopes_are_stored_and_taken_once(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(model_folder, "mini", metric="margin", ablation="mean", threads=1)
    with ScoreStore(":memory:") as scores, ScoreStore(":memory:") as store:
        judge = study.judge(scores, fill=mean_fill(study.model, study.encoded[:9]))
        masks = np.add.outer(np.arange(3), np.arange(len(study.players))) % 3 > 0
        asked = np.array([4, 2, 17])
        found = judge.slopes(masks, asked, metric="margin", store=store, what="slopes")
        by_gate = judge.gate_gradients(masks, asked, metric="margin")
        np.testing.assert_allclose(found, -by_gate, rtol=1e-6)
        monkeypatch.setattr(Judge, "gate_gradients", None)
        again = judge.slopes(masks, asked, metric="margin", store=store, what="slopes")
        np.testing.assert_array_equal(again, found)


def test_gradients_at_gates_are_stored_and_taken_once(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(model_folder, "mini", metric="kl", threads=1)
    with ScoreStore(":memory:") as scores, ScoreStore(":memory:") as store:
        judge = study.judge(scores)
        rng = np.random.default_rng(0)
        levels = rng.integers(0, 256, (3, len(study.players)), dtype=np.uint8)
        asked = np.array([4, 2, 17])
        told: list[int] = []
        found = judge.stored_gradients(
            levels, asked, metric="kl", store=store, progress=told.append
        )
        assert sum(told) == 3 * SLOPE_PASSES
        at_gates = judge.gate_gradients(levels / 255, asked, metric="kl")
        np.testing.assert_allclose(found, at_gates, rtol=1e-6, atol=1e-9)
        monkeypatch.setattr(Judge, "gate_gradients", None)
        again = judge.stored_gradients(
            levels, asked, metric="kl", store=store, progress=told.append
        )
        np.testing.assert_array_equal(again, found)


def test_the_slope_of_a_group_is_that_of_its_heads_together(model_folder: Path) -> None:
    found = {}
    for unit in ("head", "kv-group,mlp"):
        study = Study(model_folder, "mini", unit=unit, metric="logprob", threads=1)
        with ScoreStore(":memory:") as store:
            whole = np.ones((2, len(study.players)), dtype=bool)
            asked = np.arange(2)
            found[unit] = study.judge(store).gate_gradients(whole, asked, metric="logprob")
    n_layers = study.model.n_layers
    groups = found["head"].reshape(2, n_layers, 2, -1).sum(axis=-1)
    mixed = found["kv-group,mlp"].reshape(2, n_layers, -1)
    np.testing.assert_allclose(mixed[..., :2], groups, rtol=1e-5, atol=1e-6)
    assert mixed.shape[2] == 3


def test_what_is_no_smooth_score_has_no_gradient(model_folder: Path) -> None:
    study = Study(model_folder, "mini", threads=1)
    with ScoreStore(":memory:") as store:
        judge = study.judge(store)
        whole = np.ones((1, len(study.players)), dtype=bool)
        with pytest.raises(UsageError, match="need a smooth metric"):
            judge.gate_gradients(whole, np.zeros(1, dtype=int), metric="accuracy")


def test_schedules_are_refined_by_gradients_where_the_score_has_useful_ones(
    story: Path, model_folder: Path
) -> None:
    def refined_by(task: str, **settings: Any) -> str:
        return Study(model_folder, task, **settings).refined_by

    text = f"text:{story}"
    assert refined_by(text) == "slopes"
    assert refined_by(text, rescale=True) == "values"
    assert refined_by(text, objective="match") == "gates"
    assert refined_by("mini") == refined_by("mini", metric="logprob") == "values"
    assert refined_by("mini", metric="kl") == "gates"
    assert refined_by("mini", metric="kl", rescale=True) == "values"
