"""One-line notices, and one-line summaries of errors."""

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
    """The first line of an error, shortened; with the type of the error if it is very short."""
    lines = (line.strip() for line in str(error).splitlines())
    # "Error(s) in loading state_dict for LlamaForCausalLM:" only announces what follows.
    message = next((line for line in lines if line and not line.endswith(":")), "")
    if len(message) < _SHORTEST:  # "'name'", the message of a KeyError
        message = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return f"{message[:_LONGEST]}..." if len(message) > _LONGEST else message.rstrip(".")


def first_cause(error: BaseException) -> str:
    """The first line of the root cause of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)
