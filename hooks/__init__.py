"""Ablation of heads and MLPs on TransformerLens bridges.

Names are imported on first use: torch takes seconds to import, TransformerLens more.
"""

from typing import TYPE_CHECKING

from headspex.support.lazy import lazily

if TYPE_CHECKING:
    from headspex.hooks.ablation import ablated as ablated
    from headspex.hooks.ablation import ablation_hooks as ablation_hooks
    from headspex.hooks.catalogue import ALIASES as ALIASES
    from headspex.hooks.catalogue import ARCHITECTURES as ARCHITECTURES
    from headspex.hooks.fill import Fill as Fill
    from headspex.hooks.fill import Parts as Parts
    from headspex.hooks.forward import answer_log_probs as answer_log_probs
    from headspex.hooks.loading import LoadedModel as LoadedModel
    from headspex.hooks.loading import load_model as load_model
    from headspex.hooks.outputs import head_outputs as head_outputs
    from headspex.hooks.outputs import mean_activations as mean_activations
    from headspex.hooks.outputs import mean_outputs as mean_outputs
    from headspex.hooks.outputs import part_outputs as part_outputs

_HOME = {
    "ablated": "ablation",
    "ablation_hooks": "ablation",
    "ALIASES": "catalogue",
    "ARCHITECTURES": "catalogue",
    "Fill": "fill",
    "Parts": "fill",
    "answer_log_probs": "forward",
    "LoadedModel": "loading",
    "load_model": "loading",
    "head_outputs": "outputs",
    "mean_activations": "outputs",
    "mean_outputs": "outputs",
    "part_outputs": "outputs",
}
__all__ = sorted(_HOME)

__getattr__, __dir__ = lazily(__name__, _HOME)
