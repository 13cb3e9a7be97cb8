"""Every picture headspex draws: functions of plain data that return a matplotlib Figure."""

from .curve import pruning_curve
from .energy import layer_interaction_energy
from .heads import head_importance

__all__ = ["head_importance", "layer_interaction_energy", "pruning_curve"]
