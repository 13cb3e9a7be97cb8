"""Pieces of a prompt as players."""

import copy
import json
import re
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headspex.cli.main import main
from headspex.engine.effects import Effect, strongest
from headspex.engine.search import search
from headspex.errors import UsageError
from headspex.features import AnswerScorer, ClassScorer, TextValue, ansi, cut, explain_text, html
from headspex.features.questions import explained_question, swaps
from headspex.features.text import Prompt, repeat_word
from headspex.tasks import Question, load_task

NEGATION_PROMPTS = 20


@pytest.fixture(scope="session")
def tiny() -> Any:
    from headspex.hooks import load_model

    return load_model("tiny")


@given(st.text(), st.sampled_from(["word", "sentence", "line"]))
@example("no full stop\n", "sentence")
def test_the_pieces_put_together_are_the_text(text: str, unit: str) -> None:
    if not text.strip():
        with pytest.raises(UsageError, match="no words"):
            cut(text, unit)
        return
    assert cut(text, unit, before="<", after=">").whole == f"<{text}>"


def test_units_cut_where_a_reader_would() -> None:
    text = "Dr No? Yes. It is 3.5 km!\nNew line"
    assert cut(text, "sentence").labels == ("Dr No?", "Yes.", "It is 3.5 km!", "New line")
    assert cut(text, "line").labels == ("Dr No? Yes. It is 3.5 km!", "New line")
    assert len(cut(text, "word")) == 9


def test_a_mask_leaves_pieces_out_or_puts_fills_in() -> None:
    prompt = cut("one two  three", before="(", after=")")
    mask = np.array([True, False, True])
    assert prompt.with_only(mask) == "(one three)"
    assert prompt.with_only(mask, repeat_word(prompt, "_")) == "(one _  three)"


def test_a_token_belongs_to_the_piece_it_ends_in() -> None:
    prompt = cut("ab cd", before="x ", after=" y")  # "x ab cd y"
    spans = [(0, 0), (0, 1), (1, 4), (4, 7), (7, 9)]
    assert prompt.owners(spans) == [None, None, 0, 1, None]


def test_log_odds_come_from_the_models_own_log_probabilities(tiny: Any) -> None:
    from headspex.hooks import answer_log_probs
    from headspex.tasks.prompts import encode_texts

    text, answers = "Ben is in Oslo. Where is Ben? A. Oslo B. Rome Answer:", [" A", " B", " C"]
    found = AnswerScorer(tiny, answers, 1).texts([text])
    p = np.exp(answer_log_probs(tiny, [encode_texts(text, answers, tiny.tokenizer)])[0])
    assert np.isclose(found[0], np.log(p[1] / (p[0] + p[2])), atol=1e-9)
    alone = AnswerScorer(tiny, answers[:1]).texts([text])
    assert np.isclose(alone[0], np.log(p[0] / (1 - p[0])), atol=1e-6)
    assert np.isclose(AnswerScorer(tiny, answers, odds=False).texts([text])[0], np.log(p[0]))


def test_hidden_tokens_do_not_matter_and_visible_ones_do_as_ever(tiny: Any) -> None:
    after = " Where is Ben? A. Oslo B. Rome Answer:"
    prompts = [cut(f"Ben is in Oslo. {name} is in Rome.", "sentence", after=after)
               for name in ("Leo", "Kate")]  # fmt: skip
    scorer = AnswerScorer(tiny, [" A", " B"])
    masks = np.array([[True, True], [True, False]])
    one, other = (scorer.hidden(prompt, masks) for prompt in prompts)
    assert np.allclose(one[0], scorer.texts([prompts[0].whole])[0], atol=1e-4)
    assert np.isclose(one[1], other[1], atol=1e-6)
    assert not np.isclose(one[0], other[0], atol=1e-3)


def test_hiding_needs_a_last_word_that_stays(tiny: Any) -> None:
    with pytest.raises(UsageError, match="with after"):
        AnswerScorer(tiny, [" A"]).hidden(cut("Ben Oslo"), np.ones((1, 2), dtype=bool))


def test_a_prompt_longer_than_the_context_is_refused(tiny: Any) -> None:
    with pytest.raises(UsageError, match="longer than the model's context"):
        AnswerScorer(tiny, [" A"]).texts(["Ben " * 600])


@pytest.mark.parametrize("text", ["The fox is in Paris.", "fox is", "is"])
def test_masks_that_leave_no_token_are_scored_from_the_beginning_of_text(
    tiny: Any, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from headspex.support.notice import say_once

    say_once.cache_clear()
    scorer = AnswerScorer(tiny, [" Paris"], odds=False)
    value = TextValue(cut(text), scorer)
    # The shipped tokenizer has no token for "is".
    nothing = np.array([[piece == "is" for piece in value.prompt.labels]] * 2)
    nothing[0] = False
    first, answer = tiny.tokenizer.bos_token_id, tiny.tokenizer("Paris")["input_ids"]
    with torch.no_grad():
        logits = tiny.bridge.original_model(torch.tensor([[first]])).logits[0, -1]
    expected = torch.log_softmax(logits.double(), dim=0)[answer].item()
    assert np.allclose(value(nothing), expected, atol=1e-5)
    assert np.isfinite(explain_text(value, budget=64).search.values).all()
    assert capsys.readouterr().err.count("beginning-of-text") == 1


@pytest.mark.parametrize("text", ["", "is"])
def test_without_a_token_to_begin_with_text_before_is_asked_for(tiny: Any, text: str) -> None:
    from headspex.tasks import encode_texts

    tokenizer = copy.deepcopy(tiny.tokenizer)
    tokenizer.bos_token = tokenizer.eos_token = None
    with pytest.raises(UsageError, match="--before"):
        encode_texts(text, [" Paris"], tokenizer)
    with pytest.raises(UsageError, match="before or after"):
        ClassScorer(planted_classifier()[0], tokenizer, "good").texts([text, "fox"])


def test_the_value_is_the_mean_over_fills() -> None:
    lengths: Any = SimpleNamespace(tokenizer=None, texts=lambda texts: np.array([*map(len, texts)]))
    value = TextValue(
        cut("aa bb"), lengths, removal="replace", fills=[["x ", "y"], ["xxx ", "yyy"]]
    )
    masks = np.array([[True, True], [False, True], [False, False]])
    assert value(masks).tolist() == [5.0, (4 + 6) / 2, (3 + 7) / 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"removal": "burn"}, "no removal 'burn'"),
        ({"fills": [["x", "y"]]}, "for the removal replace"),
        ({"removal": "replace", "fills": [["x"]]}, "each of 2 players"),
        ({"removal": "replace"}, "mask or unknown token"),
    ],
)
def test_bad_removals_are_refused(options: dict[str, Any], message: str) -> None:
    scorer: Any = SimpleNamespace(tokenizer=SimpleNamespace())
    with pytest.raises(UsageError, match=message):
        TextValue(cut("a b"), scorer, **options)


# A two-hop question of `mini`: "Anna follows Ben." and "Ben is in Oslo." are needed together.


def needed(question: Question, prompt: Prompt) -> tuple[int, ...]:
    """The sentence about the asked person, and the one with the answer."""
    asked = re.findall(r"\w+", question.question)[-1]
    answer = question.choices[question.answer]
    first = next(i for i, piece in enumerate(prompt.labels) if piece.startswith(f"{asked} follows"))
    second = next(i for i, piece in enumerate(prompt.labels) if piece.endswith(f" {answer}."))
    return tuple(sorted((first, second)))


@pytest.mark.slow
def test_the_two_facts_of_a_two_hop_question_are_its_top_interaction(tiny: Any) -> None:
    questions = load_task("mini", subjects=["two_hop_reasoning"]).test
    for question in questions[:10]:
        prompt, scorer = explained_question(tiny, question)
        value = TextValue(prompt, scorer, removal="replace", fills=swaps(question, questions))
        spectrum = search(value, len(prompt), budget=64).spectrum
        assert strongest(spectrum, 1, least_order=2)[0].players == needed(question, prompt)


def test_swapped_pieces_come_from_questions_that_do_not_name_a_choice() -> None:
    def question(text: str, subject: str = "s") -> Question:
        return Question(subject, text, ("Oslo", "Rome"))

    own = question("Ben is in Oslo.  Leo is in Rome. Where is Ben?")
    lender = question("Kate is in Lima. Otto is in Cairo. Where is Otto?")
    others = [
        question("Kate is in Oslo. Otto is in Cairo. Where is Otto?"),
        question("Kate is in Lima. Where is Kate?"),
        question("Kate is in Lima. Otto is in Cairo. Where is Otto?", "t"),
    ]
    assert swaps(own, [own, *others, lender]) == [["Kate is in Lima.  ", "Otto is in Cairo. "]]
    with pytest.raises(UsageError, match="names none of the choices"):
        swaps(own, [own, *others])


# A planted classifier: words have a feeling, and "not" turns that of the next word around.

FEELINGS = {"love": 2.0, "like": 1.0, "hate": -2.0, "fear": -1.5}
FILLERS = ["I", "we", "really", "this", "old", "film", "today", "again", "here"]


def planted_classifier() -> tuple[Any, Any]:
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[MASK]", "not", *FEELINGS, *FILLERS]
    plain = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    plain.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain,
        unk_token="[UNK]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        bos_token="[PAD]",
    )
    feeling = torch.tensor([FEELINGS.get(word, 0.0) for word in words])

    def model(input_ids: Any, attention_mask: Any) -> Any:
        seen = attention_mask.bool()
        negated = torch.zeros_like(seen)
        negated[:, 1:] = (input_ids[:, :-1] == words.index("not")) & seen[:, :-1]
        score = (feeling[input_ids] * (1 - 2.0 * negated) * seen).sum(dim=1)
        return SimpleNamespace(logits=torch.stack([-score / 2, score / 2], dim=1))

    class Planted:
        config = SimpleNamespace(id2label={0: "bad", 1: "good"}, max_position_embeddings=64)
        device = "cpu"
        __call__ = staticmethod(model)

    return Planted(), tokenizer


@pytest.mark.parametrize(
    "removal", ["mask", *(pytest.param(way, marks=pytest.mark.slow) for way in ("drop", "replace"))]
)
def test_a_negation_and_its_verb_are_the_top_interaction_of_twenty_prompts(removal: str) -> None:
    scorer = ClassScorer(*planted_classifier(), "good")
    rng = Random(1)
    for _ in range(NEGATION_PROMPTS):
        words = [rng.choice(FILLERS) for _ in range(10)]
        at, other = rng.sample(range(1, 10, 3), 2)
        words[at - 1 : at + 1] = ["not", rng.choice(list(FEELINGS))]
        words[other] = rng.choice(list(FEELINGS))
        value = TextValue(cut(" ".join(words)), scorer, removal=removal)
        found = search(value, value.n_players, budget=400, seed=0)
        assert not found.exact
        assert strongest(found.spectrum, 1, least_order=2)[0].players == (at - 1, at)


def test_an_unknown_class_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="knows bad, good"):
        ClassScorer(*planted_classifier(), "ugly")


def test_highlighted_text_holds_every_word_and_strong_ones_are_coloured() -> None:
    prompt = cut("good <b> film", after=" end")
    shown = ansi(prompt, [1.0, 0.0, -1.0])
    assert re.sub(r"\x1b\[[\d;]*m", "", shown) == prompt.whole
    assert "48;2;213;94;0m" in shown
    assert "48;2;255;255;255m" in shown
    page = html(prompt, [1.0, 0.0, -1.0], [Effect((0, 2), 0.5, 0.25)])
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "good + film" in page
    assert "25.0%" in page


def test_a_prompt_explained_writes_its_folder(tmp_path: Path) -> None:
    scorer = ClassScorer(*planted_classifier(), "good")
    found = explain_text(TextValue(cut("I do not love this film"), scorer))
    assert found.search.exact
    assert np.isclose(found.shapley.sum(), found.whole)  # nothing is 0 without words
    assert "not + love" in str(found)
    assert found.turn is None  # "do not love" is below 0 already
    found.write(tmp_path)
    content = json.loads((tmp_path / "features.json").read_text())
    assert content["interactions"][0]["players"] == [2, 3]
    assert {path.name for path in tmp_path.iterdir()} == {
        "features.json", "spectrum.json", "removal.csv", "removal.svg", "highlight.html",
    }  # fmt: skip


@pytest.mark.slow
def test_the_command_explains_a_question_of_mini(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--subject", "two_hop_reasoning", "--question", "0", "--unit", "sentence", "--json",
             "--removal", "swap"]  # fmt: skip
    assert main(["features", *flags, "--out", str(tmp_path / "run")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed["players"]) == 6
    assert printed["masks"] == 64
    assert printed["exact"]
    assert printed["turn"]["value"] < 0 < printed["value"]
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert settings["removal"] == "swap"
    assert len(settings["weights"]) == 64
    assert printed == json.loads((tmp_path / "run" / "features.json").read_text())


def test_a_refused_command_leaves_no_folder(tmp_path: Path) -> None:
    flags = ["--text", "Ben is in Oslo", "--before", "Question:", "--answer", " A"]
    assert main(["features", *flags, "--keep", "2", "--out", str(tmp_path / "run")]) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--text", "Ben"], "either --answer or --class"),
        (["--text", "Ben", "--answer", " A", "--removal", "swap"], "give --question"),
        ([], "nothing to explain"),
        (["--question", "0", "--answer", " A"], "brings its text and answers"),
        (["--question", "99999"], "must be within 0"),
        (["--question", "0", "--text", "Ben"], "brings its text and answers"),
        (["--text", "Ben", "--answer", " A", "--task", "mini"], "go with --question N"),
        (["--text", "Ben", "--answer", " A", "--subject", "foo"], "go with --question N"),
        (["--text", "Ben", "--answer", " A", "--data-dir", "."], "go with --question N"),
        (["--question", "0", "--removal", "bogus"], "no removal 'bogus'; known: drop.* swap"),
        (["--question", "0", "--removal", "swap", "--fill", "x"], "--fill is the word of"),
        (["--question", "0", "--threads", "0"], "--threads must be a whole number, 1 to 1,024"),
        (["--question", "0", "--seed", "-1"], "--seed must be a whole number, 0 to"),
        (
            ["--text", "Ben", "--class", "good", "--model", "tiny"],
            "tiny is a language model",
        ),
        (["--text", "Ben", "--class", "good", "--load-in", "8bit"], "loaded whole and as it is"),
        (["--question", "0", "--load-in", "2bit"], "--load-in must be 8bit or 4bit"),
        (["--question", "0", "--device", "cpu", "--max-memory", "0=1GiB"], "--device is cpu"),
        (["--text", "Ben", "--answer", " A", "--model", ""], "no model ''; a model is"),
        (["--text", "Ben", "--answer", " A", "--unit", "page"], "no unit 'page'"),
        (["--text", "Ben", "--class", "good"], "cannot be loaded|no trained sequence"),
    ],
)
def test_the_command_refuses_with_one_sentence(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", str(Path(__file__).parent)] if "--class" in flags else []
    assert main(["features", *model, *flags]) == 2
    said = capsys.readouterr().err
    assert re.search(message, said)
    assert said.count("\n") == 1


def test_a_saved_classifier_is_explained_from_its_folder(tmp_path: Path) -> None:
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from headspex.features.classifiers import load_classifier

    _, tokenizer = planted_classifier()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=32, num_labels=3, initializer_range=0.5,
    )  # fmt: skip
    bert = BertForSequenceClassification(config).eval()
    bert.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model, own = load_classifier(str(tmp_path))
    prompt = cut("I love this film")
    scorer = ClassScorer(model, own, 2)
    with torch.no_grad():
        ids = torch.tensor([tokenizer("love film")["input_ids"]])
        p = torch.softmax(bert(ids).logits.double(), dim=-1)[0]
    expected = float(torch.log(p[2] / (p[0] + p[1])))
    mask = np.array([[False, True, False, True], [True] * 4])
    assert np.isclose(TextValue(prompt, scorer)(mask)[0], expected, atol=1e-5)
    hidden = TextValue(prompt, scorer, removal="mask")(mask)
    assert np.isclose(hidden[1], TextValue(prompt, scorer)(mask)[1], atol=1e-5)
