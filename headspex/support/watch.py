"""The progress of a run, in a file that another terminal can read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headspex.support.files import write_json
from headspex.support.progress import progress

FORMAT = "headspex.status/1"
EVERY = 1.0  # seconds between two writes, at least


class Watch:
    """Reports a run's progress: bars on standard error, and `status.json` in its folder.

    The file is for people: the run does not depend on it, and a finished run has none.

    Args:
        path: of `status.json`; None writes no file.
        passes_total: forward passes of the whole run, at most.
    """

    def __init__(self, path: Path | None = None, passes_total: int = 0) -> None:
        self._path, self._written = path, 0.0
        self._begun, self._before = time.monotonic(), 0
        self._content: dict[str, Any] = {
            "format": FORMAT,
            "stage": "start",
            "stage_passes": 0,
            "stage_total": 0,
            "passes": 0,
            "passes_total": passes_total,
            "passes_per_second": None,
            "faithfulness": None,
        }

    def stage(self, name: str) -> None:
        """Start a stage."""
        self._tell(stage=name, stage_passes=0, stage_total=0)

    def faithfulness(self, found: dict[str, float] | None) -> None:
        """Record how well the spectrum of the search so far predicts."""
        self._tell(faithfulness=found)

    @contextmanager
    def progress(self, total: int, what: str) -> Iterator[Callable[[int], object]]:
        """A bar and the file; call the yielded function with each number of finished passes.

        Call it with 0 after the stored passes, from which on the rate is measured.
        """
        self._tell(stage=what, stage_passes=0, stage_total=total)
        with progress(total, what) as advance:

            def tell(passes: int) -> None:
                advance(passes)
                self._advance(passes)

            yield tell

    def _advance(self, passes: int) -> None:
        content, now = self._content, time.monotonic()
        content["passes"] += passes
        content["stage_passes"] += passes
        if passes == 0:
            self._begun, self._before = now, content["passes"]
        elif now > self._begun:
            content["passes_per_second"] = (content["passes"] - self._before) / (now - self._begun)
        if now - self._written >= EVERY:
            self._tell()

    def _tell(self, **news: Any) -> None:
        self._content.update(news)
        if self._path is not None:
            self._written = time.monotonic()
            write_json(self._path, {**self._content, "written": round(time.time(), 1)})
