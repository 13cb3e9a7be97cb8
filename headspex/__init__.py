"""Which attention heads, and which combinations of heads, an ability lives in, and which can go.

Names are imported on first use, so that `import headspex` and `headspex --help` are quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headspex.data import TrainingValue as TrainingValue
    from headspex.data.findings import explain_training as explain_training
    from headspex.energy import LayerEnergy as LayerEnergy
    from headspex.energy import layer_energy as layer_energy
    from headspex.errors import UsageError as UsageError
    from headspex.exact import best_sets as best_sets
    from headspex.features import TextValue as TextValue
    from headspex.features import explain_text as explain_text
    from headspex.findings import Findings as Findings
    from headspex.fit import explain as explain
    from headspex.fit import fit_spectrum as fit_spectrum
    from headspex.players import Players as Players
    from headspex.schedule import Schedule as Schedule
    from headspex.schedule import prune_schedule as prune_schedule
    from headspex.shapley import shapley_values as shapley_values
    from headspex.spectrum import Spectrum as Spectrum
    from headspex.study import Study as Study

__version__ = "0.1.0"

# No name here may be that of a submodule: importing the module would hide the name.
_HOME = {
    "LayerEnergy": "energy",
    "layer_energy": "energy",
    "UsageError": "errors",
    "best_sets": "exact",
    "explain": "fit",
    "fit_spectrum": "fit",
    "Players": "players",
    "Schedule": "schedule",
    "prune_schedule": "schedule",
    "Spectrum": "spectrum",
    "Findings": "findings",
    "Study": "study",
    "TextValue": "features.value",
    "explain_text": "features.findings",
    "TrainingValue": "data.value",
    "explain_training": "data.findings",
    "shapley_values": "shapley",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"headspex.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
