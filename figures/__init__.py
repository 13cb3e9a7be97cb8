"""Every picture headspex draws: functions of plain data that return a matplotlib Figure."""

from headspex.figures.curve import pruning_curve
from headspex.figures.energy import layer_interaction_energy
from headspex.figures.faithfulness import faithfulness_by_budget
from headspex.figures.heads import head_importance

__all__ = [
    "faithfulness_by_budget",
    "head_importance",
    "layer_interaction_energy",
    "pruning_curve",
]
