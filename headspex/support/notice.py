"""Notices and the gist of an error, each in one line."""

from __future__ import annotations

import sys
from functools import cache

_SHORTEST, _LONGEST = 20, 240  # characters


@cache
def say_once(sentence: str) -> None:
    """Print it on standard error, unless it was printed before."""
    from tqdm import tqdm

    tqdm.write(f"headspex: {sentence}", file=sys.stderr)  # on a line of its own beside its bars


def first_line(error: BaseException) -> str:
    """What an error says first, short enough for a sentence; its kind where that is not enough."""
    lines = (line.strip() for line in str(error).splitlines())
    # "Error(s) in loading state_dict for LlamaForCausalLM:" only announces what follows.
    said = next((line for line in lines if line and not line.endswith(":")), "")
    if len(said) < _SHORTEST:  # "'name'", as a KeyError has it
        said = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return f"{said[:_LONGEST]}..." if len(said) > _LONGEST else said.rstrip(".")


def first_cause(error: BaseException) -> str:
    """What the error says that an error came from, and that one from, to the first of them."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)
