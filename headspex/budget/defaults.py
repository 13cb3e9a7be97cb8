"""The budgets of a run that names none.

A right or wrong answer says little about its mask, and a log-probability much: a spectrum of `mini`
takes tens of thousands of answers, one of logit differences two dozen passes a head. A first result
should take minutes, so the budget for answers stops growing at 48 heads; `--budget`,
`--verify-budget` and `--minutes` ask for more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from headspex.budget.refinement import GATES
from headspex.tasks import Task


@dataclass(frozen=True)
class Passes:
    """A number of passes: so many a head, within bounds."""

    per_player: int
    least: int = 0
    most: int = 1 << 62

    def of(self, n_players: int) -> int:
        """For this number of heads or other parts."""
        return min(max(self.per_player * n_players, self.least), self.most)


@dataclass(frozen=True)
class Defaults:
    """What a run does where its settings say nothing.

    Attributes:
        search: passes of pilot and search.
        verify: passes to verify.
        keep, per_mask: keep probability and questions of a mask, if the budget is too small for a
            pilot.
    """

    search: Passes
    verify: Passes
    keep: float
    per_mask: int


# R² on fresh masks of `mini`, by the shipped model's 48 heads, is then above .9; a quarter of a
# run's passes verify. Models with more heads take no more.
ANSWERS = Defaults(Passes(1_376, most=66_048), Passes(568, most=27_264), keep=0.6, per_mask=2)
# SmolLM2-135M's 270 heads on indirect objects: R² was .52 to .67 from 1,000 passes (three seeds),
# .65 to .69 from 2,000, .70 to .72 from 4,000 and .72 to .78 from 8,000; from 2,400 the spectrum
# had no interactions. With 60 % of the heads most masks break the model, with 80 % some do.
PAIRS = Defaults(Passes(24, least=2_400), Passes(12, least=3_240), keep=0.8, per_mask=1)
# Stories260k's 40 heads: R² was .95 from 365 passes; the walk takes a quarter of the search's.
TEXTS = Defaults(Passes(30, least=8_192), Passes(12, least=3_277), keep=0.6, per_mask=2)
# A pass of a text is longer, and gates take several times as many as the search. Not tuned.
GATED_TEXTS = replace(PAIRS, search=Passes(8, least=2_400))


def defaults_of(task: Task, *, by: str) -> Defaults:
    """The defaults for a task; a metric of one's own is taken to say as little as an answer.

    Args:
        task: of the run.
        by: how its schedule is refined.
    """
    if task.kind.paired:
        return PAIRS
    if not task.kind.sloped:
        return ANSWERS
    return GATED_TEXTS if by == GATES else TEXTS
