"""One run: a model and a task -> spectrum, schedule, verified curve, files."""

from __future__ import annotations

from pathlib import Path

from headspex.runs.findings import Findings
from headspex.setup import Setup
from headspex.support.html_table import html_table
from headspex.units import plural


class Study(Setup):
    """A model, a task and settings; `run` does the work.

        study = headspex.Study("tiny", "mini", keep=0.8)
        findings = study.run("runs/tiny-mini")

    Arguments, attributes and errors are those of `headspex.setup.Setup`.
    """

    def run(
        self, out: str | Path, *, ray: str | None = None, cpus_per_worker: int | None = None
    ) -> Findings:
        """Do everything, write the run's folder, and return what was found.

        A run that was stopped, however, goes on where it was, and one with a larger budget than
        before goes on from there; its files are those of a run that nothing happened to.

        Args:
            out: the folder.
            ray: measure with Ray: "local", or the address of a cluster. Results are the same.
            cpus_per_worker: of Ray, where there are no GPUs; as many as torch's threads by default.

        Raises:
            UsageError: settings that do not fit the model or task, a folder of another run or one
                that another process works in, `cpus_per_worker` without `ray`, or a full disk.
        """
        from headspex.report import publish  # matplotlib takes a second
        from headspex.runs.run import run

        return run(self, Path(out), ray=ray, cpus_per_worker=cpus_per_worker, publish=publish)

    def __repr__(self) -> str:
        """One line: what is switched, in which model, on which task."""
        settings = self.settings
        layers = "" if settings.layers is None else f" of layers {settings.layers}"
        switched = f"{plural(settings.unit)}{layers}"
        return f"Study({settings.model} on {settings.task}, {switched}, seed {settings.seed})"

    def _repr_html_(self) -> str:
        """What was asked for, for a notebook: the settings that are not the default."""
        default = type(self.settings)()
        rows = [
            (name, str(value))
            for name, value in self.settings.to_dict().items()
            if value != getattr(default, name) and value != []
        ]
        return html_table(repr(self), ("setting", "value"), rows)
