"""Prompts whose words, sentences or lines are players: cut them, and leave some out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool
from numpy import ndarray

from headspex.errors import UsageError
from headspex.tasks.characters import check_whole

# Each match is a piece with the white space behind it.
UNITS = {
    "word": r"\S+\s*",
    "sentence": r"\S.*?(?:[.!?]+[\"')\]]*(?=\s|\Z)\s*|\Z)",
    "line": r"\S[^\n]*\s*",
}


@dataclass(frozen=True)
class Prompt:
    """A text in pieces, between text that always stays.

    Attributes:
        pieces: the players, in reading order, each with the white space behind it.
        before, after: text that always stays.
    """

    pieces: tuple[str, ...]
    before: str = ""
    after: str = ""

    def __post_init__(self) -> None:
        """Refuse a prompt without players."""
        if not self.pieces:
            raise UsageError("the text has no words that could be players; give it some")

    def __len__(self) -> int:
        """Number of players."""
        return len(self.pieces)

    @property
    def labels(self) -> tuple[str, ...]:
        """The pieces without the white space around them."""
        return tuple(piece.strip() for piece in self.pieces)

    @property
    def whole(self) -> str:
        """The text with every player."""
        return self.before + "".join(self.pieces) + self.after

    def with_only(self, mask: Bool[ndarray, " players"], fills: Sequence[str] | None = None) -> str:
        """The text of a mask.

        Args:
            mask: True = the piece stays.
            fills: replaces each piece that does not stay; by default nothing does.
        """
        kept = (
            piece if on else ("" if fills is None else fills[i])
            for i, (piece, on) in enumerate(zip(self.pieces, mask, strict=True))
        )
        return self.before + "".join(kept) + self.after

    def owners(self, spans: Sequence[tuple[int, int]]) -> list[int | None]:
        """The player that holds each token of `whole`, None for text that always stays.

        Args:
            spans: start and end of each token, in characters; a token with the blank before its
                word belongs to the word.
        """
        ends, at = [], len(self.before)
        for piece in self.pieces:
            at += len(piece)
            ends.append(at)
        return [self._owner(end, ends) if end > start else None for start, end in spans]

    def _owner(self, end: int, ends: list[int]) -> int | None:
        if end <= len(self.before) or end > ends[-1]:
            return None
        return next(i for i, last in enumerate(ends) if end <= last)


def cut(text: str, unit: str = "word", *, before: str = "", after: str = "") -> Prompt:
    """Cut a text into players.

    Args:
        text: leading white space belongs to no player.
        unit: "word", "sentence" or "line".
        before, after: text that always stays.

    Raises:
        UsageError: an unknown unit, a text without words, or half a character.
    """
    if unit not in UNITS:
        raise UsageError(f"no unit {unit!r}; known: {', '.join(UNITS)}")
    for name, part in (("text", text), ("text before it", before), ("text behind it", after)):
        check_whole(part, f"the {name}")
    blank = len(text) - len(text.lstrip())
    pieces = re.findall(UNITS[unit], text[blank:], flags=re.DOTALL if unit == "sentence" else 0)
    return Prompt(tuple(pieces), before + text[:blank], after)


def repeat_word(prompt: Prompt, word: str) -> tuple[str, ...]:
    """Fills that replace every word by `word` and keep the white space."""
    return tuple(re.sub(r"\S+", lambda _: word, piece) for piece in prompt.pieces)
