"""What is said once, on standard error."""

import sys
from functools import cache


@cache
def say_once(sentence: str) -> None:
    """Say it, unless it was said before."""
    from tqdm import tqdm

    tqdm.write(f"headspex: {sentence}", file=sys.stderr)  # on a line of its own beside its bars
