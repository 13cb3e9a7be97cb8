"""Whether the whole model does the task, with a warning if not."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from headspex.scores.judge import Judge
from headspex.tasks import Task, interval

HARDLY = 0.7  # of paired prompts answered right; with fewer a model hardly does the task


def is_at_chance(judge: Judge, heldout: Int[np.ndarray, " heldout"], task: Task) -> bool:
    """Whether the whole model is not shown to beat guessing, with a warning if so."""
    own, chance = task.metric, task.chance
    whole = np.ones((1, len(judge.players)), dtype=bool)
    if task.kind.paired:
        _say_if_hardly_done(judge.ask_all(whole, heldout, metrics=["accuracy"], what="whole model"))
    if chance is None:
        return False
    correct = judge.ask_all(whole, heldout, metrics=[own], what="whole model")[own]
    score, (low, _) = float(correct.mean()), interval(own, correct[0])
    at_chance = low <= chance
    if at_chance:
        print(
            f"headspex: the model does not do this task: score {score:.2f}, chance "
            f"{chance:.2f}; the search continues, but will describe noise",
            file=sys.stderr,
        )
    return at_chance


def _say_if_hardly_done(scores: Mapping[str, np.ndarray]) -> None:
    """Warn if the whole model answers few paired prompts right."""
    if (share := float(scores["accuracy"].mean())) < HARDLY:
        print(
            f"headspex: the model answers {share:.0%} of the prompts right, so it hardly does this "
            "task; the search continues, but may describe something else",
            file=sys.stderr,
        )
