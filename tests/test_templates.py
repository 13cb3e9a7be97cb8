"""Built-in tasks of paired prompts, on tokenizers that cut words and digits in different ways."""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from headspex.errors import UsageError
from headspex.tasks import load_task
from headspex.tasks.pairs import Pair
from headspex.tasks.task import Task, split
from headspex.tasks.templates.draw import PARTS
from headspex.tasks.templates.generated import generated
from headspex.tasks.templates.table import TEMPLATES

NAMES = [
    "ioi", "greater-than", "subject-verb", "gendered-pronoun", "capitals", "induction",
    "docstring", "copycolors", "addition",
]  # fmt: skip


def _words() -> Iterator[str]:
    """Every word that templates write."""
    yield from ("is", "was", "has", "are", "were", "have", "she", "he")
    for template in TEMPLATES.values():
        draws = [template.draw(part) for part in PARTS]
        written = [str(template.ways[0](draw).clean) for draw in draws for _ in range(60)]
        for text in (*written, *(word for pool in template.pools.values() for word in pool)):
            yield from re.findall(r"[A-Za-z]+", text)


def _numbers(most: int) -> Iterator[str]:
    for length in range(1, most + 1):
        yield from map("".join, product("0123456789", repeat=length))


def byte_level(digits: int, first: str = "") -> Any:
    """Words are one token; digits go in twos with the space before them, as in GPT-2, or without
    it in threes, as in Llama 3."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    known = [*_words(), *_numbers(digits)]
    pieces = ["<s>", *pre_tokenizers.ByteLevel.alphabet(), *known, *(f"Ġ{word}" for word in known)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    raw = Tokenizer(models.BPE(vocabulary, [], ignore_merges=True))
    number = rf"\d{{1,{digits}}}" if first else rf" ?\d{{1,{digits}}}"
    pattern = Regex(rf"{number}| ?[A-Za-z]+| ?[^\sA-Za-z\d]+|\s+(?!\S)|\s+")
    raw.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(pattern, "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    raw.decoder = decoders.ByteLevel()
    if first:
        raw.post_processor = processors.TemplateProcessing(
            single=f"{first} $A", special_tokens=[(first, 0)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="<s>")


def word_level() -> Any:
    """Words, signs and single digits are tokens; every seventh word of the pools is unknown."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pools = [pool for template in TEMPLATES.values() for pool in template.pools.values()]
    forms = {form for pool in pools for word in pool for form in word.split("/")}
    unknown = sorted(form for form in forms if len(form) > 1 and form.isalpha())[::7]
    known = {*_words(), *"0123456789:,.?_+='", '"""', "(", "):"} - set(unknown)
    vocabulary = {word: number for number, word in enumerate(["[UNK]", *sorted(known)])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="[UNK]")


MAKERS: dict[str, Callable[[], Any]] = {
    "twos": lambda: byte_level(2),
    "threes": lambda: byte_level(3, "<s>"),
    "words": word_level,
}
tokenizer = cache(lambda kind: MAKERS[kind]())


@cache
def made(name: str, kind: str, prompts: int = 40) -> Task:
    return generated(TEMPLATES[name], tokenizer(kind), prompts=prompts)


def pairs_of(task: Task) -> list[Pair]:
    found = [one for one in task.pool if isinstance(one, Pair)]
    assert len(found) == len(task.pool)
    return found


def test_the_table_is_complete() -> None:
    assert list(TEMPLATES) == NAMES
    for name, template in TEMPLATES.items():
        assert template.name == name
        assert template.metric == ("prob-diff" if name == "greater-than" else "logit-diff")


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", NAMES)
def test_every_pair_obeys_the_rules(name: str, kind: str) -> None:
    task, read = made(name, kind), tokenizer(kind)
    search, heldout = split(task)
    assert (len(search), len(heldout)) == (20, 20)
    assert (task.name, task.metric) == (name, TEMPLATES[name].metric)
    assert len({pair.clean for pair in pairs_of(task)}) == 40
    for pair in pairs_of(task):
        clean, corrupted = (list(read(text)["input_ids"]) for text in (pair.clean, pair.corrupted))
        assert len(clean) == len(corrupted)
        assert clean != corrupted
        longer = [f"{pair.clean}{token}" for token in pair.answers + pair.wrong]
        tokens = read(longer)["input_ids"]
        assert all(ids[:-1] == clean for ids in tokens)
        assert len({ids[-1] for ids in tokens}) == len(tokens)  # none both right and wrong
        if kind == "words":
            assert read.unk_token_id not in [*clean, *corrupted, *(ids[-1] for ids in tokens)]
    encoded = task.encode(task.pool, read)
    assert all(len(one.continuations) >= 2 for one in encoded)


@pytest.mark.parametrize("name", NAMES)
def test_search_and_held_out_prompts_share_no_words(name: str) -> None:
    pools = [TEMPLATES[name].draw(part).pools for part in PARTS]
    own = [
        {form for pool in p.values() for word in pool for form in word.split("/")} for p in pools
    ]
    assert not own[0] & own[1]
    every = [word for pool in TEMPLATES[name].pools.values() for word in pool]
    assert sum(len(pool) for p in pools for pool in p.values()) == len(every) == len(set(every))
    task = made(name, "twos")
    for questions, others in ((task.test, own[1]), (task.heldout, own[0])):
        for text in (
            text for q in questions if isinstance(q, Pair) for text in (q.clean, q.corrupted)
        ):
            found = set(re.findall(r"\w+", str(text)))
            # A year's last two digits may be another's century.
            assert not {word for word in found & others if not word.isdigit()}


@pytest.mark.parametrize("name", NAMES)
def test_a_task_is_the_same_every_time_and_fewer_prompts_are_the_first_of_more(name: str) -> None:
    again = generated(TEMPLATES[name], tokenizer("twos"), prompts=40)
    assert again == made(name, "twos")
    assert again.fingerprint == made(name, "twos").fingerprint
    few = generated(TEMPLATES[name], tokenizer("twos"), prompts=7)
    assert few.test == again.test[:4]
    assert few.heldout == again.heldout[:3]


def test_more_prompts_than_there_are_say_how_many_there_are() -> None:
    with pytest.raises(UsageError, match="one token for this tokenizer") as refused:
        made("capitals", "twos", 5000)
    said = re.fullmatch(
        r"task capitals has only (\d+) search prompts whose answers are one token for this "
        r"tokenizer, but prompts 5000 asks for 2500; ask for at most (\d+)",
        str(refused.value),
    )
    assert said
    most = int(said[2])
    assert most <= 2 * int(said[1])
    assert len(made("capitals", "twos", most).pool) == most


def test_a_tokenizer_that_knows_none_of_the_words_is_refused() -> None:
    from headspex.tiny.tokenizer import build_tokenizer

    with pytest.raises(UsageError, match=r"has no search .*; take another task or model$"):
        generated(TEMPLATES["ioi"], build_tokenizer())


@pytest.mark.parametrize("prompts", [0, 1, True, 2.5])
def test_what_is_no_number_of_prompts_is_refused(prompts: Any) -> None:
    with pytest.raises(UsageError, match="prompts must be a whole number, 2 to 100,000, but is"):
        generated(TEMPLATES["ioi"], tokenizer("twos"), prompts=prompts)


@pytest.mark.parametrize(
    ("kind", "given", "digits"), [("twos", 2, 2), ("words", 2, 1), ("threes", 3, 1)]
)
def test_later_years_are_asked_in_the_digits_that_are_one_token(
    kind: str, given: int, digits: int
) -> None:
    for pair in pairs_of(made("greater-than", kind)):
        year, start = re.findall(r"\d+", str(pair.clean))
        assert (len(year), len(start)) == (4, given)
        assert year.startswith(start)
        same = year[given : given + digits]
        every = [f"{n:0{digits}}" for n in range(10**digits)]
        right = [n for n in every if int(n) > int(same)]
        # A decade or year that is equal is neither; of whole years, it is not later.
        wrong = [n for n in every if int(n) < int(same) + (digits == 2)]
        assert (list(pair.answers), list(pair.wrong)) == (right, wrong)
        (earlier, _) = re.findall(r"\d+", str(pair.corrupted))
        assert earlier == (f"{start}0" if given == 3 else f"{start}01")


@pytest.mark.parametrize(
    ("kind", "end", "shown"), [("twos", "", 2), ("threes", " ", 2), ("words", "", 1)]
)
def test_sums_are_right_and_those_of_the_corrupted_prompt_are_wrong(
    kind: str, end: str, shown: int
) -> None:
    for pair in pairs_of(made("addition", kind)):
        for text, (told,) in ((pair.clean, pair.answers), (pair.corrupted, pair.wrong)):
            one, other = map(int, re.findall(r"\d+", str(text)))
            assert str(told).strip() == str(one + other)[:shown]
        assert str(pair.clean).endswith(" ") == (end == " ")


def test_the_corrupted_prompt_of_induction_lacks_only_the_word_to_be_found() -> None:
    for pair in pairs_of(made("induction", "twos")):
        clean, corrupted = str(pair.clean).split(), str(pair.corrupted).split()
        place = clean.index(clean[-1])
        assert pair.answers == (f" {clean[place + 1]}",)
        assert corrupted.count(clean[-1]) == 1
        assert [i for i, (a, b) in enumerate(zip(clean, corrupted, strict=True)) if a != b] == [
            place
        ]


def test_indirect_objects_are_asked_in_both_orders_and_corrupted_with_three_other_names() -> None:
    names, orders = set(TEMPLATES["ioi"].pools["names"]), set()
    for pair in pairs_of(made("ioi", "twos")):
        first, second, gives = (w for w in re.findall(r"\w+", str(pair.clean)) if w in names)
        assert {pair.answers[0], pair.wrong[0]} == {f" {first}", f" {second}"}
        assert pair.wrong == (f" {gives}",)
        others = {w for w in re.findall(r"\w+", str(pair.corrupted)) if w in names}
        assert len(others - {first, second}) == 3
        orders.add(first == gives)
    assert orders == {True, False}


def test_tasks_are_loaded_by_name_for_the_tokenizer_that_is_asked_for() -> None:
    task = load_task("capitals", prompts=20, tokenizer=lambda: tokenizer("twos"))
    assert len(task.pool) == 20
    assert len(load_task("ioi", tokenizer=lambda: tokenizer("twos")).pool) == 200


def _never() -> Any:
    raise AssertionError("no tokenizer is needed")


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("ioi", {"subjects": ["law"], "tokenizer": _never}, "ioi has no subjects, but 'law' was"),
        ("ioi", {"data_dir": "here", "tokenizer": _never}, "ioi needs no data, but data_dir here"),
        ("ioi", {}, "ioi must fit a model's tokenizer, but none was given"),
        ("mini", {"prompts": 20, "tokenizer": _never}, "prompts goes with generated tasks .*mini"),
        ("text:a.txt", {"prompts": 20}, "prompts goes with generated tasks"),
        ("ioi", {"passage": 90, "tokenizer": _never}, "passage goes with a text, text:FILE"),
        ("mini", {"passage": 90}, "passage goes with a text, text:FILE, but the task is mini"),
        ("capital", {}, "did you mean capitals"),
    ],
)
def test_what_does_not_go_together_is_refused(name: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_task(name, **given)


def test_other_tasks_load_no_tokenizer() -> None:
    assert load_task("mini", tokenizer=_never) == load_task("mini")


def test_the_command_gives_an_example_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    from headspex.cli.main import main

    assert main(["tasks"]) == 0
    told = capsys.readouterr().out
    assert main(["tasks", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)["generated"]
    assert list(made) == NAMES
    for name, one in made.items():
        assert f"{name}: {one['summary']}\n" in told
        assert one["corrupted"] != one["clean"]
        assert not set(one["answers"]) & set(one["wrong"])
        assert f"\n  -> {json.dumps(one['answers'][0])}" in told


@pytest.mark.slow
def test_a_real_model_solves_indirect_objects(smollm2: Path) -> None:
    from headspex.hooks import answer_log_probs, load_model

    model = load_model(smollm2, device="cpu", dtype="float32")
    tasks = {name: generated(one, model.tokenizer) for name, one in TEMPLATES.items()}
    assert {len(task.pool) for task in tasks.values()} == {200}
    task = tasks["ioi"]
    asked = task.heldout[:60]
    encoded = task.encode(asked, model.tokenizer)
    scores = task.scores("accuracy", answer_log_probs(model, encoded), asked, encoded)
    assert scores.mean() > 0.9
