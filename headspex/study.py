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
        self,
        out: str | Path,
        *,
        ray: str | None = None,
        cpus_per_worker: int | None = None,
        gpus_per_worker: int | None = None,
    ) -> Findings:
        """Do the run, write its folder, and return the findings.

        A stopped run resumes where it was, and a larger budget extends a finished one. The files
        are those of an uninterrupted run.

        Args:
            out: the folder.
            ray: measure with Ray: "local", or the address of a cluster. Results are the same.
            cpus_per_worker: for Ray without GPUs; torch's number of threads by default.
            gpus_per_worker: for Ray with GPUs; as few as hold the model by default.

        Raises:
            UsageError: settings that do not fit the model or task, a folder of another run or
                locked by another process, the size of a worker without `ray`, or a full disk.
        """
        from headspex.report import publish  # matplotlib takes a second
        from headspex.runs.ray_pool import Pool
        from headspex.runs.run import run

        pool = Pool(ray, cpus_per_worker, gpus_per_worker)
        return run(self, Path(out), pool=pool, publish=publish)

    def __repr__(self) -> str:
        """One line: model, task, switched units and seed."""
        settings = self.settings
        layers = "" if settings.layers is None else f" of layers {settings.layers}"
        switched = f"{plural(settings.unit)}{layers}"
        return f"Study({settings.model} on {settings.task}, {switched}, seed {settings.seed})"

    def _repr_html_(self) -> str:
        """For a notebook: the settings that differ from the default."""
        default = type(self.settings)()
        rows = [
            (name, str(value))
            for name, value in self.settings.to_dict().items()
            if value != getattr(default, name) and value != []
        ]
        return html_table(repr(self), ("setting", "value"), rows)
