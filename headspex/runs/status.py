"""Progress of a run, read from its folder at any time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headspex.errors import UsageError
from headspex.runs.lock import holder
from headspex.runs.run_folder import RunFolder, read_run
from headspex.support.files import read_json
from headspex.support.watch import FORMAT


@dataclass(frozen=True)
class Status:
    """Progress of a run.

    Attributes:
        state: "running", "stopped" (or killed) or "finished".
        held_by: description of the process working on it.
        stage: the current stage, or the last one.
        passes, passes_total: forward passes done, and the most the whole run takes.
        passes_per_second, seconds_left: None until something was measured.
        faithfulness: R² of the finished run, or at the last look at the search.
    """

    state: str
    held_by: str | None
    stage: str
    passes: int
    passes_total: int
    passes_per_second: float | None
    seconds_left: float | None
    faithfulness: dict[str, float] | None

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"{self.state}: {self.stage}, {self.passes:,} of at most {self.passes_total:,} passes"
        ]
        if self.state == "running" and self.passes_per_second is not None:
            left = "" if self.seconds_left is None else f", {_time(self.seconds_left)} left"
            lines.append(f"{self.passes_per_second:,.0f} passes a second{left}")
        if (found := self.faithfulness) is not None:
            after = f" after {found['passes']:,} passes of search" if "passes" in found else ""
            lines.append(f"R² {found['r2']:.3f} [{found['low']:.3f}, {found['high']:.3f}]{after}")
        if self.state == "running":
            lines.append(f"by {self.held_by}")
        if self.state == "stopped":
            lines.append("repeat the command that began it to go on")
        return "\n".join(lines)


def status(path: Path) -> Status:
    """Progress of the run in a folder.

    Raises:
        UsageError: the folder holds no run, or its files are damaged.
    """
    folder, content, who = RunFolder(path), read_run(path), holder(path)
    results = content.get("results")
    if results is not None and who is None:
        total = int(results["passes_total"])
        return Status(
            "finished", None, "all done", total, total, None, None, results["faithfulness"]
        )
    saved = _read(folder.status) if folder.status.is_file() else {}
    rate, done = saved.get("passes_per_second"), saved.get("passes", 0)
    total = saved.get("passes_total", 0)
    return Status(
        state="stopped" if who is None else "running",
        held_by=who,
        stage=saved.get("stage", "start"),
        passes=done,
        passes_total=total,
        passes_per_second=rate,
        seconds_left=(total - done) / rate if rate else None,
        faithfulness=saved.get("faithfulness"),
    )


def _read(path: Path) -> dict[str, Any]:
    """`status.json`, checked."""
    content: Any = read_json(path)
    kinds: dict[str, Any] = {
        "stage": str,
        "passes": int,
        "passes_total": int,
        "passes_per_second": float | int | None,
        "faithfulness": dict | None,
    }
    fits = isinstance(content, dict) and content.get("format") == FORMAT
    if not fits or not all(isinstance(content.get(k), kind) for k, kind in kinds.items()):
        raise UsageError(f"{path} is not a status file of this version of headspex; resume the run")
    known = content["faithfulness"]
    numbers = [] if known is None else [known.get(name) for name in ("r2", "low", "high")]
    if not all(isinstance(number, int | float) for number in numbers):
        raise UsageError(f"{path} is damaged: its R² is not a number; resume the run")
    return dict(content)


def _time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s"
