"""Answers' log-likelihoods against a plain re-implementation that shares nothing with headspex."""

import copy
import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from headspex.errors import UsageError
from headspex.hooks import answer_log_probs, load_model
from headspex.tasks import EncodedQuestion, Question, encode, encode_task, load_task


def reference(model: Any, tokenizer: Any, context: str, letters: str, n_ctx: int) -> list[float]:
    """lm-eval's rule for one question: one unpadded input per answer."""
    prompt = tokenizer.encode(context)
    scores = []
    for letter in letters:
        whole = tokenizer.encode(context + " " + letter)
        answer = whole[len(prompt) :]
        ids = (prompt + answer)[-(n_ctx + 1) :]
        with torch.no_grad():
            logits = model(torch.tensor([ids[:-1]])).logits[0]
        table = torch.log_softmax(logits, dim=-1)[-len(answer) :]
        scores.append(sum(float(table[i, token]) for i, token in enumerate(answer)))
    return scores


def mmlu_contexts(folder: Path, subject: str, shots: int, count: int) -> list[str]:
    def rows(part: str) -> list[list[str]]:
        with (folder / part / f"{subject}_{part}.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))

    def show(row: list[str]) -> str:
        return "{}\nA. {}\nB. {}\nC. {}\nD. {}\nAnswer:".format(row[0].strip(), *row[1:5])

    head = "The following are multiple choice questions (with answers) about "
    head += subject.replace("_", " ") + ".\n\n"
    head += "".join(show(row) + " " + row[5] + "\n\n" for row in rows("dev")[:shots])
    return [head + show(row) for row in rows("test")[:count]]


MMLU_SUBJECTS = ("abstract_algebra", "high_school_us_history")


@pytest.fixture(scope="module", params=[0, pytest.param(5, marks=pytest.mark.slow)])
def real_questions(
    request: pytest.FixtureRequest, stories260k: Path, mmlu_folder: Path
) -> tuple[list[EncodedQuestion], np.ndarray]:
    """Six MMLU questions encoded by headspex, and their scores by plain transformers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    plain = AutoModelForCausalLM.from_pretrained(stories260k, attn_implementation="eager")
    tokenizer = AutoTokenizer.from_pretrained(stories260k)
    task = load_task("mmlu", subjects=MMLU_SUBJECTS, data_dir=mmlu_folder)
    encoded, expected = [], []
    for subject in MMLU_SUBJECTS:
        asked = [q for q in task.test if q.subject == subject][:3]
        encoded += encode_task(task, asked, tokenizer, shots=request.param)
        for context in mmlu_contexts(mmlu_folder, subject, request.param, 3):
            expected.append(reference(plain, tokenizer, context, "ABCD", 512))
    return encoded, np.array(expected)


@pytest.mark.parametrize("path", ["bridge", "fast"])
def test_real_mmlu_questions_score_as_plain_transformers_score_them(
    path: str, stories260k: Path, real_questions: tuple[list[EncodedQuestion], np.ndarray]
) -> None:
    # Context 512: with 5 shots every prompt is cut from the left; " A" is two tokens, " B" one.
    encoded, expected = real_questions
    found = answer_log_probs(load_model(stories260k), encoded, path=path)
    # Fused attention rounds differently over 512 positions.
    np.testing.assert_allclose(found, expected, atol=1e-5 if path == "bridge" else 3e-5)
    assert (found.argmax(1) == expected.argmax(1)).all()


def trap(number: int) -> Question:
    """Blanks, quotes, tabs, words that readers take for missing values, accents."""
    text = ["What is {}?", "  What {}? \n", 'She said, "{}",\nthen\tleft.', "Café {}°?"][number % 4]
    choices = [("None", "NA", "null", "0.50"), ("1", " 2", "3 ", ""), ("é", "ï", "∈ G", "ß")]
    return Question("abstract_algebra", text.format(number), choices[number % 3], number % 4)


@pytest.mark.parametrize("path", ["bridge", "fast"])
def test_twenty_questions_full_of_traps_score_as_plain_transformers_score_them(
    path: str, plain_llama: Any, llama_bridge: Any
) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    asked = [trap(number) for number in range(20)]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    raw.train_from_iterator([q.question + " Answer: A\nB. C. D." for q in asked], trainer)
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", raw.token_to_id("<s>"))]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>")
    head = "The following are multiple choice questions (with answers) about abstract algebra.\n\n"
    expected = []
    for q in asked:
        body = "{}\nA. {}\nB. {}\nC. {}\nD. {}\nAnswer:".format(q.question.strip(), *q.choices)
        expected.append(reference(plain_llama, tokenizer, head + body, "ABCD", 96))
    found = answer_log_probs(llama_bridge, [encode(q, tokenizer) for q in asked], path=path)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.argmax(1).tolist() == [int(np.argmax(row)) for row in expected]


@pytest.fixture(scope="module")
def questions() -> list[EncodedQuestion]:
    rng = np.random.default_rng(0)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(int(i) for i in rng.integers(3, 300, count))

    return [
        EncodedQuestion(ids(12), ((10,), (11,), (12,), (13,))),
        EncodedQuestion(ids(30), ((7, 10), (7, 11), (9,))),
        EncodedQuestion(ids(5), (ids(3), ids(1), ids(4))),
        EncodedQuestion(ids(200), ((10,), (11, 12))),  # longer than the context of 96
    ]


def by_hand(model: Any, question: EncodedQuestion) -> list[float]:
    scores = []
    for answer in question.continuations:
        ids = (question.context + answer)[-97:]
        with torch.no_grad():
            table = torch.log_softmax(model(torch.tensor([ids[:-1]])).logits[0], dim=-1)
        scores.append(float(table[-len(answer) :][range(len(answer)), list(answer)].sum()))
    return scores


@pytest.fixture(scope="module")
def masked_rows(
    plain_llama: Any, questions: list[EncodedQuestion]
) -> tuple[list[EncodedQuestion], np.ndarray, dict[bool, list[list[float]]]]:
    """Rows, masks, and expected scores without and with rescaling."""
    rng = np.random.default_rng(1)
    rows = [questions[i] for i in rng.integers(0, 4, 12)]
    masks = rng.random((12, 3, 4)) < 0.6
    masks[:, 0] = True  # so the first layer is shared by all masks
    masks[3] = True
    expected: dict[bool, list[list[float]]] = {False: [], True: []}
    for rescale in expected:
        for question, keep in zip(rows, masks, strict=True):
            model = copy.deepcopy(plain_llama)
            for layer, row in zip(model.model.layers, keep, strict=True):
                scale = 4 / max(1, row.sum()) if rescale else 1
                layer.self_attn.o_proj.weight.data.mul_(torch.tensor(np.repeat(row, 8) * scale))
            expected[rescale].append(by_hand(model, question))
    return rows, masks, expected


@pytest.mark.parametrize("batch_tokens", [1, 100, 5000])
@pytest.mark.parametrize("path", ["bridge", "fast"])
@pytest.mark.parametrize("rescale", [False, True])
def test_rows_under_masks_equal_unpadded_questions_in_a_model_with_zeroed_columns(
    batch_tokens: int, path: str, rescale: bool, llama_bridge: Any, masked_rows: Any
) -> None:
    rows, masks, expected = masked_rows
    done: list[int] = []
    found = answer_log_probs(
        llama_bridge, rows, masks, rescale=rescale, batch_tokens=batch_tokens, path=path,
        progress=done.append,
    )  # fmt: skip
    for scores, wanted in zip(found, expected[rescale], strict=True):
        np.testing.assert_allclose(scores[: len(wanted)], wanted, atol=1e-5)
        assert np.isneginf(scores[len(wanted) :]).all()
    assert done[-1] == 12
    assert done == sorted(done)


def test_fast_and_bridge_paths_agree_under_mean_ablation(
    llama_bridge: Any, questions: list[EncodedQuestion]
) -> None:
    fill = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0))
    keep = np.random.default_rng(2).random((4, 3, 4)) < 0.5
    options: Any = {"ablation": "mean", "fill": fill}
    fast = answer_log_probs(llama_bridge, questions, keep, path="fast", **options)
    slow = answer_log_probs(llama_bridge, questions, keep, path="bridge", **options)
    np.testing.assert_allclose(fast, slow, atol=1e-5)


def test_the_same_call_repeats_bit_for_bit_and_one_mask_serves_all_rows(
    llama_bridge: Any, questions: list[EncodedQuestion]
) -> None:
    keep = np.random.default_rng(3).random((3, 4)) < 0.5
    first = answer_log_probs(llama_bridge, questions, keep)
    again = answer_log_probs(llama_bridge, questions, np.stack([keep] * 4))
    np.testing.assert_array_equal(first, again)


def test_the_users_own_hooks_take_part(llama_bridge: Any, questions: list[EncodedQuestion]) -> None:
    keep = np.ones((3, 4), dtype=bool)
    keep[1, 2] = False
    expected = answer_log_probs(llama_bridge, questions, keep)

    def mine(z: torch.Tensor, hook: Any) -> torch.Tensor:
        z[:, :, 2] = 0
        return z

    llama_bridge.add_hook("blocks.1.attn.hook_z", mine)
    try:
        np.testing.assert_allclose(answer_log_probs(llama_bridge, questions), expected, atol=1e-5)
        with pytest.raises(UsageError, match="it has hooks already"):
            answer_log_probs(llama_bridge, questions, path="fast")
    finally:
        llama_bridge.reset_hooks()


def test_wrong_number_of_masks_is_refused_with_both_numbers(
    llama_bridge: Any, questions: list[EncodedQuestion]
) -> None:
    with pytest.raises(UsageError, match="3 masks for 4 questions"):
        answer_log_probs(llama_bridge, questions, np.ones((3, 3, 4), dtype=bool))
    with pytest.raises(UsageError, match="known: auto, bridge, fast"):
        answer_log_probs(llama_bridge, questions, path="quick")
