"""What is told beside the work, and what an error says, each in one line."""

import sys
from functools import cache

_LONGEST = 240


@cache
def say_once(sentence: str) -> None:
    """Tell on standard error, the first time only."""
    print(f"headspex: {sentence}", file=sys.stderr)


def first_line(error: BaseException) -> str:
    """What an error says first, of its deepest cause, short enough for a sentence."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = (line.strip() for line in str(error).splitlines())
    # "Error(s) in loading state_dict for LlamaForCausalLM:" only announces what follows.
    said = next((line for line in lines if line and not line.endswith(":")), type(error).__name__)
    return f"{said[:_LONGEST]}..." if len(said) > _LONGEST else said.rstrip(".")
