"""Other prompts of a task, whose outputs resample ablation takes where none are corrupted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from headspex.errors import UsageError, argument
from headspex.support.seeds import stream
from headspex.tasks.game import EncodedPrompt
from headspex.tasks.prompts import EncodedQuestion
from headspex.tasks.questions import Question


def with_other_prompts(
    questions: Sequence[Question],
    encoded: Sequence[EncodedQuestion],
    pool: Iterable[EncodedQuestion],
    *,
    seed: int,
) -> list[EncodedQuestion]:
    """Questions with another prompt of as many tokens as their corrupted one.

    A question's draw depends on the seed, the pool and the question alone, not on which others are
    asked.

    Args:
        questions, encoded: in the same order.
        pool: prompts to draw from.
        seed: of the draws.

    Raises:
        UsageError: no other prompt of the pool is as long, or the task's own metric reads the
            corrupted prompts.
    """
    of_length: dict[int, list[tuple[int, ...]]] = defaultdict(list)
    for tokens in dict.fromkeys(one.context for one in pool):
        of_length[len(tokens)].append(tokens)
    others = [[p for p in of_length[len(one.context)] if p != one.context] for one in encoded]
    lonely = [one for one, some in zip(encoded, others, strict=True) if not some]
    if lonely:
        raise UsageError(
            f"{argument('ablation')} resample-other takes another search prompt of as many tokens, "
            f"but {len(lonely)} of {len(encoded)} prompts have none, such as one of "
            f"{len(lonely[0].context)} tokens; use {argument('ablation')} zero or mean, or prompts "
            "of fewer lengths"
        )
    if any(isinstance(one, EncodedPrompt) and one.corrupted is not None for one in encoded):
        raise UsageError(
            f"{argument('ablation')} resample-other is for prompts without corrupted ones, which a "
            f"metric may read, but these have some; use {argument('ablation')} resample"
        )
    return [
        replace(one, corrupted=some[_drawn(question, len(some), seed)])
        for question, one, some in zip(questions, encoded, others, strict=True)
    ]


def _drawn(question: Question, count: int, seed: int) -> int:
    return int(stream(seed, f"other prompt than {question.id}").integers(count))
