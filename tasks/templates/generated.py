"""From a template to a task whose prompts fit a tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

from headspex.errors import UsageError, argument
from headspex.support.validation import whole_number
from headspex.tasks.pairs import Pair, encode_pair, pairs
from headspex.tasks.task import Task
from headspex.tasks.templates.draw import PARTS, Draw
from headspex.tasks.templates.template import Template

PROMPTS = 200  # of a task by default
_ROUND = 64  # candidates that are tokenized together
_PROBED = 16  # candidates that tell which way fits a tokenizer
_DRY = 8  # give up after so many rounds in a row without a new pair
_COUNT = whole_number(2, 100_000)


def generated(template: Template, tokenizer: Any, *, prompts: int = PROMPTS) -> Task:
    """The task of a template, in prompts that fit a tokenizer.

    Answers are one token, a corrupted prompt is as long as its clean one, and no prompt occurs
    twice. Fewer prompts are the first of more.

    Args:
        template: see `headspex.tasks.templates.table.TEMPLATES`.
        tokenizer: of the model that will be asked.
        prompts: half of them are searched, half held out.

    Raises:
        UsageError: the template has too few prompts that fit the tokenizer.
    """
    prompts = _COUNT.take(argument("prompts"), prompts)
    fits = [_Fitting(template, way, tokenizer) for way in template.ways]
    best = max(fits, key=lambda one: one.share)  # the first of equals
    wanted = dict(zip(PARTS, (prompts - prompts // 2, prompts // 2), strict=True))
    found = {part: best.pairs(part, count) for part, count in wanted.items()}
    for part in PARTS:
        if len(found[part]) < wanted[part]:
            most = 2 * min(map(len, found.values()))
            there = f"only {len(found[part])}" if found[part] else "no"
            raise UsageError(
                f"task {template.name} has {there} {part} prompts whose answers are one token for "
                f"this tokenizer, but {argument('prompts')} {prompts} asks for {wanted[part]}; "
                + (f"ask for at most {most}" if most else "take another task or model")
            )
    task = pairs(template.name, found["search"], found["heldout"])
    others = [name for name in task.kind.metrics if name != template.metric]
    return replace(task, kind=replace(task.kind, metrics=(template.metric, *others)))


class _Fitting:
    """One way to draw a template's pairs, and which of them fit a tokenizer."""

    def __init__(self, template: Template, way: Callable[[Draw], Pair], tokenizer: Any) -> None:
        self.template, self.way, self.tokenizer = template, way, tokenizer

    @property
    def share(self) -> int:
        """How many of the first candidates fit."""
        return len(self._fitting(self.template.draw("search"), _PROBED))

    def pairs(self, part: str, count: int) -> list[Pair]:
        """As many different pairs as there are, at most `count`, always in the same order."""
        draw, found, dry = self.template.draw(part), dict[Any, Pair](), 0
        while len(found) < count and dry < _DRY:
            before = len(found)
            for pair in self._fitting(draw, _ROUND):
                found.setdefault(pair.clean, pair)
            dry = 0 if len(found) > before else dry + 1
        return [
            replace(pair, place=f"{self.template.name}, {part} prompt {number}")
            for number, pair in enumerate(list(found.values())[:count], 1)
        ]

    def _fitting(self, draw: Draw, count: int) -> list[Pair]:
        candidates = [self.way(draw) for _ in range(count)]
        known = _Ahead(self.tokenizer, (text for one in candidates for text in _texts(one)))
        return [one for one in candidates if _fits(one, known)]


class _Ahead:
    """A tokenizer of texts that it has tokenized before, all in one call: one by one is slow."""

    def __init__(self, tokenizer: Any, texts: Iterable[str]) -> None:
        known = list(dict.fromkeys(texts))
        ids = tokenizer(known, verbose=False)["input_ids"]
        self._ids = dict(zip(known, ids, strict=True))
        self.decode = tokenizer.decode
        # Some tokenizers begin with the token that stands for unknown words elsewhere.
        ends = {getattr(tokenizer, f"{name}_token_id", None) for name in ("bos", "eos")}
        self.unknown = {getattr(tokenizer, "unk_token_id", None)} - ends

    def __call__(self, text: str, verbose: bool) -> dict[str, list[int]]:
        return {"input_ids": self._ids[text]}


def _texts(pair: Pair) -> Iterator[str]:
    """What `encode_pair` has a tokenizer read."""
    for prompt in (pair.clean, pair.corrupted):
        assert isinstance(prompt, str), "templates write texts"
        yield prompt
    for token in (*pair.answers, *pair.wrong):
        yield f"{pair.clean}{token}"


def _fits(pair: Pair, tokenizer: _Ahead) -> bool:
    try:
        encoded = encode_pair(pair, tokenizer)
    except UsageError:
        return False
    tokens = {*encoded.context, *(encoded.corrupted or ()), *chain(*encoded.continuations)}
    return encoded.context != encoded.corrupted and not tokens & tokenizer.unknown
