"""Tokens and characters that a model cannot be asked about: refused before anything is scored."""

import json
from pathlib import Path
from typing import Any

import pytest

from headspex.cli.main import main
from headspex.errors import UsageError
from headspex.tasks import Question, Task, game
from headspex.tiny.tokenizer import build_tokenizer

METRIC = "def last(logits, batch):\n    return logits[:, -1, 5]\n\n"


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A model whose tokenizer was given a token that it has no embedding for; its embedding."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder, tokenizer = tmp_path_factory.mktemp("added"), build_tokenizer()
    tokenizer.add_tokens(["<tool>"])
    vocabulary = len(tokenizer) - 1
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
        initializer_range=0.3,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, vocabulary


def row(text: str) -> str:
    return json.dumps({"question": text, "choices": ["den", "sea"], "answer": 0})


def files(folder: Path, token: str, number: int) -> list[str]:
    """A task of every kind that holds a token in one of its prompts."""
    fox = [f"the fox {n}" for n in range(20)]
    prompts = repr([*fox, f"the {token} fox"])
    (folder / "asked.jsonl").write_text("\n".join(map(row, [*fox, f"the {token} fox"])))
    (folder / "story.txt").write_text(" ".join([*(f"the fox {n}" for n in range(3_000)), token]))
    (folder / "texts.py").write_text(METRIC + f"PROMPTS = {prompts}")
    ids = METRIC + "PROMPTS = [[3, n] for n in range(4, 24)]"
    (folder / "ids.py").write_text(f"{ids} + [[3, {number}]]")
    (folder / "negative.py").write_text(f"{ids} + [[3, -1]]")
    other = f"CORRUPTED = [[3, n] for n in range(4, 23)] + [[3, {number}]]"
    (folder / "corrupted.py").write_text(f"{ids}\n{other}")
    return [
        f"{folder}/asked.jsonl", f"text:{folder}/story.txt", f"{folder}/texts.py:last",
        f"{folder}/ids.py:last", f"{folder}/corrupted.py:last",
    ]  # fmt: skip


def test_a_token_beyond_the_embedding_is_refused_with_question_id_and_vocabulary(
    added: tuple[Path, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, vocabulary = added
    for task in files(tmp_path, "<tool>", vocabulary):
        # All questions: eval's and the search's.
        for words in (["eval"], ["prune", "--dry-run"]):
            assert main([*words, "--model", str(folder), "--task", task]) == 2, task
            said = capsys.readouterr().err
            assert "holds the token '<tool>' with the id" in said, task
            assert f"id {vocabulary} and the model's embedding has {vocabulary} tokens" in said
            assert "question '" in said
    assert main(["eval", "--model", str(folder), "--task", f"{tmp_path}/negative.py:last"]) == 2
    assert "holds the token -1 and" in capsys.readouterr().err


def test_a_tokenizer_with_more_tokens_than_the_model_is_fine_where_no_question_has_them(
    added: tuple[Path, int], tmp_path: Path
) -> None:
    for task in files(tmp_path, "fox", 5):
        assert main(["eval", "--model", str(added[0]), "--task", task, "--limit", "4"]) == 0, task


def test_features_and_losses_of_texts_refuse_such_tokens_too(
    added: tuple[Path, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from headspex.evaluation.text_loss import text_loss, text_windows
    from headspex.hooks import load_model
    from headspex.players import Players

    folder, vocabulary = added
    words = ["features", "--model", str(folder), "--answer", " den", "--after", " is in the"]
    for removal in ("drop", "mask"):
        assert main([*words, "--text", "the <tool> fox", "--removal", removal]) == 2
        assert f"'<tool>' with the id {vocabulary}" in capsys.readouterr().err
    (tmp_path / "story.txt").write_text("the fox is in the <tool> den")
    model = load_model(folder)
    windows = text_windows(tmp_path / "story.txt", model.tokenizer, model.n_ctx)
    with pytest.raises(UsageError, match=f"'<tool>' with the id {vocabulary}"):
        text_loss(model, Players.heads(2, 4), windows, [[True] * 8])  # type: ignore[arg-type]


def test_a_classifier_refuses_such_tokens_and_half_characters() -> None:
    from transformers import LlamaConfig, LlamaForSequenceClassification

    from headspex.features import ClassScorer

    tokenizer = build_tokenizer()
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16,
                         num_hidden_layers=1, num_attention_heads=2, pad_token_id=0)  # fmt: skip
    tokenizer.add_tokens(["<tool>"])
    scorer = ClassScorer(LlamaForSequenceClassification(config).eval(), tokenizer, 1)
    with pytest.raises(UsageError, match="'<tool>' with the id"):
        scorer.texts(["the <tool> fox"])
    with pytest.raises(UsageError, match="half of a character"):
        scorer.texts(["the \ud83d fox"])


HALF = "the \ud83d fox"


def test_half_a_character_is_refused_in_tasks_of_every_origin() -> None:
    asked = Question("", HALF, ("den", "sea"), 0)
    with pytest.raises(UsageError, match=r"t, test question 1 holds '\\ud83d', half of a char"):
        Task("t", test=(Question("", "Q", ("x", "y"), 0), asked))
    with pytest.raises(UsageError, match=r"t, dev question 0"):
        Task("t", test=(), dev=(asked,))
    with pytest.raises(UsageError, match=r"mine, test question 1 holds"):
        game(lambda logits, batch: logits, ["the fox", HALF], name="mine")
    with pytest.raises(UsageError, match=r"mine, test question 0 holds"):
        game(lambda logits, batch: logits, ["the fox"], corrupted=[HALF], name="mine")


@pytest.mark.parametrize("flag", ["--text", "--before", "--after", "--answer", "--fill"])
def test_half_a_character_on_the_command_line_is_refused_before_a_model_is_loaded(
    flag: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import headspex.hooks

    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(headspex.hooks, "load_model", load)
    given = {"--text": "the fox", "--answer": " den", "--removal": "replace", flag: HALF}
    assert main(["features", *(word for pair in given.items() for word in pair)]) == 2
    said = capsys.readouterr().err
    assert "holds '\\ud83d', half of a character" in said
    assert said.count("\n") == 1
