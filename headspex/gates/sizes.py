"""How many gradient steps learned gates take, decided before the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headspex.gates.exchange import ALONE, MASKS
from headspex.gates.greedy import Stage, stages

# Questions of a step. With SmolLM2 on indirect objects (seeds 10 and 11, 7,680 passes), KL was a
# tenth lower in geometric mean over 10 to 80 % than with 10 a step and half of the steps.
ROWS = 5
SHARE = 4.0  # of the search budget: what gates may spend on top of it
MOST_STEPS = 800  # more made schedules no better
FEWEST_STEPS = 60
FEWEST_QUESTIONS = 4  # enough for a standard error
CHECKED = 0.16  # of that: for choices and exchanges on the model
GREEDY = 0.26  # of that, at most: for greedy removal, which is left out if it would take more
# Times as many questions for the choice after greedy removal: where few players are left, scores
# differ more from question to question.
AFTER_REMOVAL = 4


@dataclass(frozen=True)
class GateSizes:
    """The sizes of one run of learned gates.

    Attributes:
        steps: of `ROWS` questions each.
        questions: of every choice and exchange, and of every round of greedy removal.
        choice: questions of the choice after greedy removal, which are more.
        greedy: removals to sizes that leave few players; none where they would cost too much.
        rows: questions whose gradient is taken, in all.
        checks: passes of choices, exchanges and greedy removal, at most.
        passes: in all, at most.
    """

    steps: int
    questions: int
    choice: int
    greedy: tuple[Stage, ...]
    rows: int
    checks: int
    passes: int


def gate_sizes(
    *, n_players: int, n_questions: int, sizes: Sequence[int], search_budget: int, slope_passes: int
) -> GateSizes:
    """Divide the passes between the steps and the choice.

    Args:
        n_players: in all.
        n_questions: of the search.
        sizes: numbers of players removed that are judged.
        search_budget: passes of pilot and search.
        slope_passes: cost of one question's gradient.
    """
    if not sizes:
        return GateSizes(0, 0, 0, (), 0, 0, 0)
    step = ROWS * slope_passes
    budget = min(SHARE * search_budget, MOST_STEPS * step / (1 - CHECKED - GREEDY))
    greedy = tuple(stages(sizes, n_players))
    # With the spectrum's own proposal, and that of costs.
    masks = len(sizes) * (MASKS + 1) + 1 + ALONE * sizes[0]
    questions = min(n_questions, max(FEWEST_QUESTIONS, int(CHECKED * budget) // masks))
    # Three are chosen from after each, on more questions.
    more = 3 * AFTER_REMOVAL - 1
    removals = questions * sum(stage.passes(slope_passes) + more for stage in greedy)
    if removals > GREEDY * budget:
        greedy, removals = (), 0
    checks = masks * questions + removals
    steps = min(MOST_STEPS, max(FEWEST_STEPS, int(budget - checks) // step))
    rows = steps * ROWS + questions * sum(len(stage.rounds) for stage in greedy)
    choice = min(n_questions, AFTER_REMOVAL * questions)
    return GateSizes(steps, questions, choice, greedy, rows, checks, steps * step + checks)
