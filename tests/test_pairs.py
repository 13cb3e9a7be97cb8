"""Paired prompts: metrics of next tokens, KL divergence from the whole model, resampling."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from made_families import HEADS, LAYERS, random_model
from made_questions import ask, draw
from scipy.special import log_softmax

from headspex.errors import UsageError
from headspex.hooks import ablated, answer_log_probs, head_outputs
from headspex.hooks.bridging import bridge_from_model
from headspex.tasks import EncodedQuestion, Task, encode_task, split
from headspex.tasks.pairs import Pair, encode_pair, pairs


def drawn(count: int, *, seed: int = 0) -> list[Pair]:
    """Pairs of token ids of two lengths, with two right and one or two wrong tokens."""
    rng, found = np.random.default_rng(seed), []
    for number in range(count):
        length = 6 + 3 * (number % 2)
        clean, corrupted = (tuple(rng.integers(3, 300, length).tolist()) for _ in range(2))
        tokens = rng.choice(np.arange(3, 300), 4, replace=False).tolist()
        wrong = tokens[2 : 3 + number % 2]
        found.append(Pair.of(clean, tokens[:2], wrong, corrupted=corrupted, place=f"pair {number}"))
    return found


@pytest.fixture(scope="module")
def task() -> Task:
    return pairs("made", drawn(6))


def logits_under(bridge: Any, question: EncodedQuestion, keep: Any, **how: Any) -> np.ndarray:
    """Next-token logits after the prompt, by hooks alone."""
    tokens = torch.tensor([question.context])
    with torch.no_grad(), ablated(bridge, keep, **how):
        return np.asarray(bridge(tokens)[0, -1].double().numpy())


def test_metrics_follow_their_definitions(llama_bridge: Any, task: Task) -> None:
    encoded = encode_task(task, task.test, None, kl=True)
    values = answer_log_probs(llama_bridge, encoded)
    whole = np.ones((3, 4), dtype=bool)
    for row, (pair, question) in enumerate(zip(task.test, encoded, strict=True)):
        assert isinstance(pair, Pair)
        logits = logits_under(llama_bridge, question, whole)
        right, wrong = (logits[list(map(int, some))] for some in (pair.answers, pair.wrong))
        chances = np.exp(log_softmax(logits))
        p_right = chances[list(map(int, pair.answers))].sum()
        expected = {
            "logit-diff": right.mean() - wrong.mean(),
            "prob-diff": p_right - chances[list(map(int, pair.wrong))].sum(),
            "logprob": np.log(p_right),
            "accuracy": float(right.max() > wrong.max()),
            "kl": 0.0,
        }
        found = {name: task.scores(name, values, task.test, encoded)[row] for name in expected}
        assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("family", ["Llama", "GPT-2", "Gemma 2"])
@pytest.mark.parametrize("layers", [range(LAYERS), [2]], ids=["all", "last"])
@pytest.mark.parametrize("how", ["zero", "resample"])
def test_kl_and_answers_are_those_of_plain_hooks_on_both_paths(
    family: str, layers: Any, how: str, task: Task
) -> None:
    plain = random_model(family)
    bridge = bridge_from_model(copy.deepcopy(plain), type(plain).__name__, family)
    encoded = encode_task(task, task.test, None, kl=True)
    rows = [encoded[n] for n in (0, 3, 3, 1, 2, 0, 5)]
    rng = np.random.default_rng(1)
    heads = np.ones((len(rows), LAYERS, HEADS), dtype=bool)
    heads[:, list(layers)] = rng.random((len(rows), len(layers), HEADS)) < 0.6
    found = {
        path: answer_log_probs(bridge, rows, heads, ablation=how, path=path)
        for path in ("fast", "bridge")
    }
    for row, (question, keep) in enumerate(zip(rows, heads, strict=True)):
        fill = None
        if how == "resample":
            fill = head_outputs(bridge, torch.tensor([question.corrupted]))
        whole = log_softmax(logits_under(bridge, question, np.ones_like(keep)))
        masked = log_softmax(logits_under(bridge, question, keep, ablation=how, fill=fill))
        answers = [masked[token] for (token,) in question.continuations]
        expected = [*answers, (np.exp(whole) * (whole - masked)).sum()]
        for values in found.values():
            np.testing.assert_allclose(values[row, : question.width], expected, atol=1e-4)
            assert np.isneginf(values[row, question.width :]).all()
    last = [one.width - 1 for one in rows]
    first, second = (values[np.arange(len(rows)), last] for values in found.values())
    np.testing.assert_allclose(first, second, atol=1e-5)
    assert np.median(first) > 1e-3


@pytest.mark.parametrize("prefix", [0, 40])
def test_kl_of_questions_is_the_mean_over_the_positions_of_their_answers(
    prefix: int, llama_bridge: Any
) -> None:
    from dataclasses import replace

    questions = [
        replace(one, continuations=((10, 20), (11,), (12, 21, 22)), kl=True)
        for one in ask(4, prefix)
    ]
    masks = draw(4, [0, 2])
    fast, slow = (
        answer_log_probs(llama_bridge, questions, masks, path=path) for path in ("fast", "bridge")
    )
    np.testing.assert_allclose(fast, slow, atol=1e-4)
    for question, keep, found in zip(questions, masks, fast, strict=True):
        parts = []
        for tail in ((10,), (12, 21)):  # (11,) is read where (10, 20) begins
            tokens = torch.tensor([question.context + tail])
            with torch.no_grad():
                whole = llama_bridge(tokens)[0].double().log_softmax(-1)
                with ablated(llama_bridge, keep):
                    masked = llama_bridge(tokens)[0].double().log_softmax(-1)
            kl = (whole.exp() * (whole - masked)).sum(-1)
            parts.append(kl[len(question.context) - 1 :])
        assert found[-1] == pytest.approx(float(torch.cat(parts).mean()), abs=1e-5)


def test_the_whole_model_is_at_distance_zero_of_itself(llama_bridge: Any, task: Task) -> None:
    encoded = encode_task(task, task.test, None, kl=True)
    masks = np.ones((len(encoded), 3, 4), dtype=bool)
    masks[0, 1, 2] = False  # the others share its batch
    for path in ("fast", "bridge"):
        values = answer_log_probs(llama_bridge, encoded, masks, path=path)
        scores = task.scores("kl", values, task.test, encoded)
        assert scores[0] < -1e-5
        assert scores[1:] == pytest.approx(np.zeros(len(encoded) - 1), abs=1e-6)
        assert (scores <= 0).all()


def test_held_out_pairs_that_are_given_are_kept_apart() -> None:
    search, heldout = drawn(6)[:4], drawn(6)[4:]
    assert split(pairs("made", search, heldout)) == (tuple(search), tuple(heldout))
    searched, kept = split(pairs("made", search))
    assert len(searched) == len(kept) == 2


@pytest.mark.parametrize(
    ("answers", "wrong", "said"),
    [
        ((), (4,), "made 7: answers must hold one token or more, but it is empty"),
        ((4,), (), "made 7: wrong must hold one token or more, but it is empty"),
        ((4, 5), (6, 5), "made 7: a token is right or wrong, but 5 is in answers and in wrong"),
    ],
)
def test_answers_that_cannot_be_compared_are_refused(answers: Any, wrong: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Pair.of((1, 2), answers, wrong, place="made 7")


def test_prompts_are_texts_or_token_ids_in_any_row() -> None:
    asked = Pair.of((1, 2), [3], [4], corrupted=(1, 5))
    assert Pair.of([1, 2], [3], [4], corrupted=torch.tensor([1, 5])) == asked  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a prompt is a text or a list of token ids, but got '5'"):
        Pair.of(5, [3], [4])  # type: ignore[arg-type]


def test_what_a_tokenizer_makes_of_a_pair_is_checked() -> None:
    from made_models import byte_tokenizer

    tokenizer = byte_tokenizer()

    def encoded(clean: Any, answer: Any, corrupted: Any = None) -> EncodedQuestion:
        pair = Pair.of(clean, [answer], ["!"], corrupted=corrupted, place="f.jsonl, line 3")
        return encode_pair(pair, tokenizer, 96)

    assert encoded("I am", "x").continuations[0] == (tokenizer("x")["input_ids"][-1],)
    with pytest.raises(UsageError, match=r"line 3: an answer must add one token .*'xyz' adds 3"):
        encoded("I am", "xyz")
    with pytest.raises(UsageError, match=r"line 3: corrupted must have as many tokens as clean"):
        encoded("I am", "x", "I")
    with pytest.raises(UsageError, match=r"line 3: clean must have 1 to 96 tokens, but has 301"):
        encoded("I am " * 60, "x")
    with pytest.raises(
        UsageError, match=r"line 3: clean is a list of token ids, but 'x' is a text"
    ):
        encoded((1, 2), "x")
