"""Gradients by gates: against finite differences of the plain model, in double precision."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from run_files import slopes_of

from headspex.errors import RoomError, UsageError
from headspex.hooks import gradients
from headspex.hooks.gradients import gate_gradients
from headspex.scores.judge import Judge, mean_fill
from headspex.scores.store import ScoreStore
from headspex.study import Study
from headspex.tasks import Question, Task
from headspex.tasks.prompts import EncodedQuestion

QUESTIONS = [
    EncodedQuestion((1, 5, 9, 30, 7), ((11,), (12,), (13, 14))),
    EncodedQuestion((2, 8), ((40,), (41,))),
    EncodedQuestion(tuple(range(3, 90)), ((50,), (51,), (52, 4))),
]
ANSWERS = np.array([0, 1, 1])
PLACES = [(0, 1), (1, 3), (2, 0), (1, 4), (2, 4)]  # (layer, switch); switch 4 is the MLP
TASK = Task("made", test=())


def right(values: np.ndarray, part: slice) -> np.ndarray:
    """Derivatives of the right answers' log-probabilities, of up to four times the questions."""
    return np.asarray(np.eye(3)[np.tile(ANSWERS, 4)[part]][:, : values.shape[1]])


def log_probs(
    model: Any, question: EncodedQuestion, gates: np.ndarray, fill: torch.Tensor
) -> list[float]:
    """Of the choices; gates [layers, switches] stand where the plain model's weights read."""

    def scaled(layer: int) -> list[Any]:
        block, own = model.model.layers[layer], torch.from_numpy(gates[layer])
        heads = own[:4].repeat_interleave(8)

        def before(module: Any, args: Any) -> Any:
            return (args[0] * heads + fill[layer].flatten() * (1 - heads),)

        def after(module: Any, args: Any, output: Any) -> Any:
            return output * own[4]

        hooked = block.self_attn.o_proj.register_forward_pre_hook(before)
        return [hooked, block.mlp.register_forward_hook(after)]

    hooks = [hook for layer in range(len(gates)) for hook in scaled(layer)]
    found = []
    for continuation in question.continuations:
        tokens = torch.tensor([(*question.context, *continuation)])
        with torch.no_grad():
            values = model(tokens).logits.double().log_softmax(-1)[0]
        start = len(question.context) - 1
        found.append(sum(values[start + i, token] for i, token in enumerate(continuation)))
    for hook in hooks:
        hook.remove()
    return list(map(float, found))


@pytest.mark.parametrize("metric", ["logprob", "margin"])
@pytest.mark.parametrize("filled", [False, True])
def test_gate_gradients_are_finite_differences_of_the_score_under_each_mask(
    plain_llama: Any, llama_bridge: Any, metric: str, filled: bool
) -> None:
    rng = np.random.default_rng(0)
    keep = rng.random((3, 3, 4)) < 0.6
    keep[0] = True
    mlps = np.array([[True] * 3, [True] * 3, [True, False, True]])
    fill = rng.normal(size=(3, 4, 8)).astype(np.float32) * 0.1 * filled
    questions = [Question("", "", tuple("xyz"), answer) for answer in ANSWERS.tolist()]

    def derivatives(values: np.ndarray, part: slice) -> np.ndarray:
        return TASK.derivatives(metric, values, questions[part], QUESTIONS[part])

    found = gate_gradients(
        llama_bridge, QUESTIONS, derivatives, keep_masks=keep, keep_mlps=mlps,
        fill=fill if filled else None,
    )  # fmt: skip
    assert found.shape == (3, 3, 5)
    model = copy.deepcopy(plain_llama).double()
    step = 2e-3  # norms and softmax stay in float32: much smaller ones measure rounding
    for number, question in enumerate(QUESTIONS):
        gates = np.concatenate([keep[number], mlps[number, :, None]], axis=1).astype(float)
        for place in PLACES:
            scores = []
            for moved in (step, -step):
                there = gates.copy()
                there[place] += moved
                values = log_probs(model, question, there, torch.from_numpy(fill).double())
                values += [-np.inf] * (3 - len(values))
                asked = [questions[number]], [question]
                scores.append(TASK.scores(metric, np.array([values]), *asked)[0])
            expected = (scores[0] - scores[1]) / (2 * step)
            assert found[number][place] == pytest.approx(expected, abs=2e-3, rel=3e-3)


def test_a_batch_changes_no_gradient(llama_bridge: Any) -> None:
    together = gate_gradients(llama_bridge, QUESTIONS * 4, right)
    assert together.shape == (12, 3, 5)
    np.testing.assert_allclose(together.reshape(4, 3, 3, 5).std(axis=0), 0, atol=1e-5)


def test_where_memory_runs_out_fewer_questions_go_together(
    llama_bridge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = gate_gradients(llama_bridge, QUESTIONS * 4, right)
    whole, sizes = gradients._log_probs, list[int]()

    def small(bridge: Any, asked: Any, *more: Any) -> Any:
        sizes.append(len(asked))
        if len(asked) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(bridge, asked, *more)

    monkeypatch.setattr(gradients, "_log_probs", small)
    room = 2
    found = gate_gradients(llama_bridge, QUESTIONS * 4, right)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2]
    room = 0
    with pytest.raises(RoomError, match="does not fit into memory"):
        gate_gradients(llama_bridge, QUESTIONS, right)


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

    monkeypatch.setattr(gradients, "_log_probs", none)
    (tmp_path / "short.txt").write_text(story.read_text()[:30_000])
    text = f"text:{tmp_path / 'short.txt'}"
    study = Study(model_folder, text, budget=400, verify_budget=2640, threads=1)
    findings = study.run(tmp_path / "run")
    assert "headspex: refining without slopes, as the gradient" in capsys.readouterr().err
    assert findings.refinement is not None
    assert not slopes_of(tmp_path / "run")


def test_no_questions_have_no_gradients(llama_bridge: Any) -> None:
    assert gate_gradients(llama_bridge, [], lambda values, part: values).shape == (0, 3, 5)


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


def test_walks_take_slopes_of_texts(story: Path, model_folder: Path) -> None:
    text = f"text:{story}"
    assert Study(model_folder, text).has_slopes
    assert not Study(model_folder, text, rescale=True).has_slopes
    assert not Study(model_folder, "mini", metric="logprob").has_slopes
