"""Find which attention heads a capability depends on, how they interact, and which can be pruned.

Names are imported on first use, so that `import headspex` and `headspex --help` are quick.
"""

from typing import TYPE_CHECKING

from headspex.support.lazy import lazily

if TYPE_CHECKING:
    from headspex.data import TrainingValue as TrainingValue
    from headspex.data.findings import explain_training as explain_training
    from headspex.engine.energy import LayerEnergy as LayerEnergy
    from headspex.engine.energy import layer_energy as layer_energy
    from headspex.engine.fit import explain as explain
    from headspex.engine.fit import fit_spectrum as fit_spectrum
    from headspex.engine.pairwise import interaction_values as interaction_values
    from headspex.engine.shapley import shapley_values as shapley_values
    from headspex.engine.spectrum import Spectrum as Spectrum
    from headspex.errors import UsageError as UsageError
    from headspex.features import TextValue as TextValue
    from headspex.features import explain_text as explain_text
    from headspex.players import Players as Players
    from headspex.runs.findings import Findings as Findings
    from headspex.runs.finished_run import FinishedRun as FinishedRun
    from headspex.runs.finished_run import load_run as load_run
    from headspex.schedules.exact import best_sets as best_sets
    from headspex.schedules.removal import best_removal as best_removal
    from headspex.schedules.removal import removal_order as removal_order
    from headspex.schedules.removal import smallest_removal as smallest_removal
    from headspex.schedules.schedule import Schedule as Schedule
    from headspex.schedules.schedule import prune_schedule as prune_schedule
    from headspex.study import Study as Study

__version__ = "0.2.0"

_HOME = {
    "LayerEnergy": "engine.energy",
    "layer_energy": "engine.energy",
    "UsageError": "errors",
    "best_sets": "schedules.exact",
    "explain": "engine.fit",
    "fit_spectrum": "engine.fit",
    "Players": "players",
    "best_removal": "schedules.removal",
    "removal_order": "schedules.removal",
    "smallest_removal": "schedules.removal",
    "Schedule": "schedules.schedule",
    "prune_schedule": "schedules.schedule",
    "Spectrum": "engine.spectrum",
    "Findings": "runs.findings",
    "FinishedRun": "runs.finished_run",
    "load_run": "runs.finished_run",
    "Study": "study",
    "TextValue": "features.value",
    "explain_text": "features.findings",
    "TrainingValue": "data.value",
    "explain_training": "data.findings",
    "interaction_values": "engine.pairwise",
    "shapley_values": "engine.shapley",
}
__all__ = sorted(_HOME)

__getattr__, __dir__ = lazily(__name__, _HOME)
