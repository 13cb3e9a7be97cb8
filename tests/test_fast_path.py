"""The fast path against the bridge with hooks: equal numbers and less work."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from made_questions import LETTERS, ask, draw

from headspex.errors import UsageError
from headspex.hooks import answer_log_probs, attention
from headspex.hooks.bridging import bridge_from_model
from headspex.hooks.decoder import decoder_of
from headspex.hooks.forward import Prepared
from headspex.hooks.stock import Stock
from headspex.support.notice import say_once
from headspex.tasks import EncodedQuestion

LAYERS = {"all": [0, 1, 2], "first": [0], "middle": [1], "last": [2], "late": [1, 2]}


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    """Every test hears what is said once."""
    say_once.cache_clear()


@pytest.fixture(scope="module")
def fill() -> torch.Tensor:
    return torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0))


# 3 ways x 5 layer ranges x 2 prefixes x 3 batch sizes x 24 pairs = 2,160 pairs.
@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS.keys())
@pytest.mark.parametrize("way", ["zero", "rescaled", "mean"])
def test_log_probs_equal_those_of_the_bridge_to_1e_4_and_so_do_the_letters(
    way: str, layers: list[int], llama_bridge: Any, fill: torch.Tensor
) -> None:
    options: Any = {"mean": {"ablation": "mean", "fill": fill}, "rescaled": {"rescale": True}}
    for prefix in (0, 50):
        questions = ask(6, prefix)
        asked = [question for _ in range(4) for question in questions]
        masks = np.repeat(draw(4, layers), 6, axis=0)
        for batch_tokens in (1, 90, 4096):
            fast, slow = (
                answer_log_probs(
                    llama_bridge, asked, masks, batch_tokens=batch_tokens, path=path,
                    **options.get(way, {}),
                )
                for path in ("fast", "bridge")
            )  # fmt: skip
            np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-4)
            best = np.sort(slow, axis=1)
            sure = best[:, -1] - best[:, -2] > 1e-4
            assert (fast.argmax(1) == slow.argmax(1))[sure].all()


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS.keys())
@pytest.mark.parametrize("heads", [True, False], ids=["with-heads", "alone"])
def test_mlps_are_switched_as_by_the_bridge_to_1e_4(
    layers: list[int], heads: bool, llama_bridge: Any
) -> None:
    mlps = np.ones((6, 3), dtype=bool)
    mlps[:, layers] = np.random.default_rng(4).random((6, len(layers))) < 0.5
    keep = draw(6, layers) if heads else np.ones((6, 3, 4), dtype=bool)
    masks, mlps = np.repeat(keep, 6, axis=0), np.repeat(mlps, 6, axis=0)
    for prefix in (0, 50):
        asked = ask(6, prefix) * 6
        for batch_tokens in (1, 90, 4096):
            fast, slow = (
                answer_log_probs(
                    llama_bridge, asked, masks, keep_mlps=mlps, batch_tokens=batch_tokens, path=path
                )
                for path in ("fast", "bridge")
            )
            np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-4)


def test_answers_of_several_tokens_behind_a_shared_prefix_agree_too(llama_bridge: Any) -> None:
    continuations = ((7, 10), (7, 11), (9,), (8, 5, 6))
    questions = [EncodedQuestion(q.context, continuations) for q in ask(5, 45)]
    masks = draw(5, [0, 1, 2])
    fast = answer_log_probs(llama_bridge, questions, masks, path="fast")
    slow = answer_log_probs(llama_bridge, questions, masks, path="bridge")
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-5)


def test_nothing_asked_gives_nothing(llama_bridge: Any) -> None:
    assert answer_log_probs(llama_bridge, []).shape == (0, 0)


def test_what_was_asked_before_does_not_change_a_bit(llama_bridge: Any) -> None:
    questions = ask(8, 40)
    masks = draw(8, [1, 2])
    first = answer_log_probs(Prepared(llama_bridge, questions), questions, masks)
    prepared = Prepared(llama_bridge, questions)
    answer_log_probs(prepared, questions[3:5], draw(2, [2], seed=5))
    answer_log_probs(prepared, questions[::-1], draw(8, [1, 2], seed=6))
    np.testing.assert_array_equal(answer_log_probs(prepared, questions, masks), first)


def test_a_question_that_was_not_prepared_is_refused(llama_bridge: Any) -> None:
    questions = ask(3, 0)
    prepared = Prepared(llama_bridge, questions[:2])
    with pytest.raises(UsageError, match="row 2 asks a question that was not prepared"):
        answer_log_probs(prepared, questions)


class Counter:
    """Tokens whose keys are computed in each layer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tokens = [0, 0, 0]
        true = attention._attention

        def count(module: Any, query: Any, key: Any, *rest: Any, **named: Any) -> Any:
            if attention._call.get().known is None:  # else those that were computed before serve
                self.tokens[module.layer_idx] += key.shape[0] * key.shape[2]
            return true(module, query, key, *rest, **named)

        monkeypatch.setattr(attention, "_attention", count)

    def prepared(self, bridge: Any, questions: list[EncodedQuestion]) -> Prepared:
        """Ready and checked; the counts begin after that."""
        prepared = Prepared(bridge, questions, path="fast")
        answer_log_probs(prepared, questions)
        prepared._chosen().forget(4096)
        self.tokens = [0, 0, 0]
        return prepared


def equal_questions(count: int, prefix: int, own: int) -> list[EncodedQuestion]:
    rng = np.random.default_rng(0)
    shots = rng.integers(3, 300, prefix).tolist()
    return [
        EncodedQuestion((*shots, n + 3, *rng.integers(3, 300, own - 1).tolist()), LETTERS)
        for n in range(count)
    ]


def test_the_trunk_is_computed_once_per_question_and_kept_between_calls(
    llama_bridge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter, questions = Counter(monkeypatch), equal_questions(4, 0, 10)
    prepared = counter.prepared(llama_bridge, questions)
    for seed in (1, 2):
        masks = np.repeat(draw(3, [1], seed=seed), 4, axis=0)
        answer_log_probs(prepared, questions * 3, masks)
    assert counter.tokens == [40, 2 * 3 * 40, 2 * 3 * 40]


def test_a_shared_prefix_is_computed_once_per_mask(
    llama_bridge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter, questions = Counter(monkeypatch), equal_questions(4, 30, 10)
    prepared = counter.prepared(llama_bridge, questions)
    answer_log_probs(prepared, questions * 3, np.repeat(draw(3, [0, 1]), 4, axis=0))
    per_mask = 3 * (30 + 4 * 10)
    assert counter.tokens == [30 + per_mask, per_mask, per_mask]


def test_masks_that_agree_on_their_first_layers_share_them(
    llama_bridge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter, questions = Counter(monkeypatch), equal_questions(1, 0, 10)
    prepared = counter.prepared(llama_bridge, questions)
    masks = draw(8, [1, 2])
    masks[:, 0] = [[True, False, True, True]] * 4 + [[False, True, True, True]] * 4
    masks[:4, 1], masks[4:, 1] = masks[0, 1], masks[4, 1]
    answer_log_probs(prepared, questions * 8, masks)
    assert counter.tokens == [20, 20, 20]


@pytest.mark.parametrize("path", ["fast", "bridge"])
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("no"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_running_out_of_memory_halves_the_batch_and_loses_no_row(
    path: str, error: Exception, llama_bridge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = ask(6, 50) + ask(6, 0, seed=3)
    masks = draw(12, [0, 1, 2])
    expected = answer_log_probs(llama_bridge, questions, masks, path=path)
    prepared = Prepared(llama_bridge, questions, batch_tokens=80, path=path)
    chosen: Any = prepared._chosen()
    true, sizes, rows = chosen.run, [], []

    def run(work: Any, items: Any, ablation: Any, batch_tokens: int) -> Any:
        sizes.append(batch_tokens)
        for number, (batch, found) in enumerate(true(work, items, ablation, batch_tokens)):
            if len(sizes) < 4 and number == 1:
                raise error
            rows.extend(batch)
            yield batch, found

    monkeypatch.setattr(chosen, "run", run)
    done: list[int] = []
    found = answer_log_probs(prepared, questions, masks, progress=done.append)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    assert sorted(rows) == list(range(12))
    assert sizes == [80, 40, 20, 10]
    assert done[-1] == 12


def test_a_prompt_that_never_fits_is_the_users_to_shorten(
    llama_bridge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = Prepared(llama_bridge, ask(3, 0), path="bridge")

    def run(*_: Any) -> Any:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(prepared._chosen(), "run", run)
    with pytest.raises(UsageError, match="a single prompt does not fit into memory"):
        answer_log_probs(prepared, list(prepared._questions.values()))


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    llama_bridge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = Prepared(llama_bridge, ask(3, 0), path="bridge")

    def run(*_: Any) -> Any:
        raise RuntimeError("something else")

    monkeypatch.setattr(prepared._chosen(), "run", run)
    with pytest.raises(RuntimeError, match="something else"):
        answer_log_probs(prepared, list(prepared._questions.values()))


def test_weights_are_taken_by_reference(llama_bridge: Any) -> None:
    stock = Stock(llama_bridge.original_model).model
    own = {id(weight) for weight in llama_bridge.original_model.parameters()}
    assert {id(weight) for weight in stock.parameters()} == own


def test_what_does_not_fit_the_memory_for_keeping_is_computed_again(
    llama_bridge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions, masks = ask(8, 40), draw(8, [1, 2])
    expected = answer_log_probs(llama_bridge, questions, masks, batch_tokens=60)
    monkeypatch.setattr("headspex.hooks.kept.KEPT_BYTES_CPU", 1)
    found = answer_log_probs(llama_bridge, questions, masks, batch_tokens=60)
    np.testing.assert_array_equal(found, expected)


def test_a_model_dispatched_by_a_device_map_is_taken_and_one_left_on_disk_is_not(
    plain_llama: Any,
) -> None:
    accelerate = pytest.importorskip("accelerate")
    model = accelerate.dispatch_model(copy.deepcopy(plain_llama), {"": "cpu"}, force_hooks=True)
    bridge = bridge_from_model(model, "LlamaForCausalLM", "spread")
    questions, masks = ask(4, 40), draw(4, [1, 2])
    fast = answer_log_probs(bridge, questions, masks, path="fast")
    slow = answer_log_probs(bridge, questions, masks, path="bridge")
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-5)
    model.lm_head.to("meta")
    assert decoder_of(bridge, 8)[1] == "some of its weights are not in memory"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
def test_a_model_spread_over_two_devices_gives_the_same_log_probs(plain_llama: Any) -> None:
    accelerate = pytest.importorskip("accelerate")
    on_gpu = ("model.layers.1", "model.layers.2", "model.norm", "model.rotary_emb", "lm_head")
    places = {"model.embed_tokens": "cpu", "model.layers.0": "cpu"} | dict.fromkeys(on_gpu, 0)
    questions, masks = ask(4, 40), draw(4, [1, 2])
    whole = bridge_from_model(copy.deepcopy(plain_llama), "LlamaForCausalLM", "whole")
    model = accelerate.dispatch_model(copy.deepcopy(plain_llama), places, main_device="cpu")
    spread = bridge_from_model(model, "LlamaForCausalLM", "spread")
    np.testing.assert_allclose(
        answer_log_probs(spread, questions, masks, path="fast"),
        answer_log_probs(whole, questions, masks, path="fast"),
        rtol=0,
        atol=1e-4,
    )
