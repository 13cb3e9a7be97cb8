"""Every picture headspex draws: functions of plain data that return a matplotlib Figure.

Each takes `theme=DARK` for dark paper; `headspex.figures.style.save` writes svg, png or pdf.
"""

from headspex.figures.curve import pruning_curve, pruning_curves
from headspex.figures.energy import layer_interaction_energy
from headspex.figures.faithfulness import faithfulness_by_budget
from headspex.figures.graph import interaction_graph
from headspex.figures.heads import head_importance
from headspex.figures.orders import interaction_orders
from headspex.figures.shapiq_plots import shapiq_plot
from headspex.figures.style import DARK, LIGHT

__all__ = [
    "DARK",
    "LIGHT",
    "faithfulness_by_budget",
    "head_importance",
    "interaction_graph",
    "interaction_orders",
    "layer_interaction_energy",
    "pruning_curve",
    "pruning_curves",
    "shapiq_plot",
]
