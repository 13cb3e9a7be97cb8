"""How many gradient steps learned gates take, decided before the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headspex.gates.exchange import MASKS

ROWS = 10  # questions of a step
SHARE = 4.0  # of the search budget: what gates may spend on top of it
MOST_STEPS = 400  # more made schedules no better
FEWEST_STEPS = 30
FEWEST_QUESTIONS = 4  # enough for a standard error
CHECKED = 0.2  # of that: for choices and exchanges on the model


@dataclass(frozen=True)
class GateSizes:
    """The sizes of one run of learned gates.

    Attributes:
        steps: of `ROWS` questions each.
        questions: at every size, for exchanges and for the choice.
        passes: in all, at most.
    """

    steps: int
    questions: int
    passes: int


def gate_sizes(
    *, n_questions: int, sizes: Sequence[int], search_budget: int, slope_passes: int
) -> GateSizes:
    """Divide the passes between the steps and the choice.

    Args:
        n_questions: of the search.
        sizes: numbers of players removed that are judged.
        search_budget: passes of pilot and search.
        slope_passes: cost of one question's gradient.
    """
    if not sizes:
        return GateSizes(0, 0, 0)
    step = ROWS * slope_passes
    budget = min(SHARE * search_budget, MOST_STEPS * step / (1 - CHECKED))
    steps = min(MOST_STEPS, max(FEWEST_STEPS, int((1 - CHECKED) * budget) // step))
    masks = len(sizes) * (MASKS + 1)  # and the spectrum's own proposal
    questions = min(n_questions, max(FEWEST_QUESTIONS, int(CHECKED * budget) // masks))
    return GateSizes(steps, questions, steps * step + masks * questions)
