"""How many gradient steps learned gates take, decided before the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headspex.gates.exchange import ALONE, MASKS

# Questions of a step. With SmolLM2 on indirect objects (seeds 10 and 11, 7,680 passes), KL was a
# tenth lower in geometric mean over 10 to 80 % than with 10 a step and half of the steps.
ROWS = 5
SHARE = 4.0  # of the search budget: what gates may spend on top of it
MOST_STEPS = 800  # more made schedules no better
FEWEST_STEPS = 60
FEWEST_QUESTIONS = 4  # enough for a standard error
CHECKED = 0.2  # of that: for choices and exchanges on the model


@dataclass(frozen=True)
class GateSizes:
    """The sizes of one run of learned gates.

    Attributes:
        steps: of `ROWS` questions each.
        questions: at every size, for exchanges and for the choice.
        alone: of every player that is tried alone.
        checks: passes of choices and exchanges, at most.
        passes: in all, at most.
    """

    steps: int
    questions: int
    alone: int
    checks: int
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
        return GateSizes(0, 0, 0, 0, 0)
    step = ROWS * slope_passes
    budget = min(SHARE * search_budget, MOST_STEPS * step / (1 - CHECKED))
    masks = len(sizes) * (MASKS + 1) + 1  # with the spectrum's own proposal, and that of costs
    questions = min(n_questions, max(FEWEST_QUESTIONS, int(CHECKED * budget) // masks))
    alone = min(n_questions, max(FEWEST_QUESTIONS, questions // 2))
    checks = masks * questions + ALONE * sizes[0] * alone
    steps = min(MOST_STEPS, max(FEWEST_STEPS, int(budget - checks) // step))
    return GateSizes(steps, questions, alone, checks, steps * step + checks)
