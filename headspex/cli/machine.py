"""Checks of `headspex doctor`: whether headspex works on this machine."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from headspex.cli.tested_versions import TESTED, untested
from headspex.errors import UsageError

NEEDED = ("torch", "transformers", "transformer-lens", "xgboost", "scikit-learn", "numpy")
# Extra -> the package that it brings.
EXTRAS = {"ray": "ray", "lm-eval": "lm-eval", "peft": "peft", "gguf": "gguf", "shapiq": "shapiq",
          "quantised": "bitsandbytes"}  # fmt: skip
LITTLE_DISK, LITTLE_MEMORY = 2e9, 4e9  # bytes; with less even the shipped model may fail
AGREE = 1e-3  # nats; above the rounding of the shipped model in float32


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        about: what was checked.
        state: "ok", "missing" (but not needed by every run), or "wrong".
        said: the details, as printed.
    """

    about: str
    state: str
    said: str

    def to_dict(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self)


def examine(folder: Path) -> Iterator[Finding]:
    """Do all checks, one after the other.

    Args:
        folder: where runs would be stored.
    """
    for about, check in LOOKS.items():
        try:
            state, details = check(folder)
        except UsageError as error:
            state, details = "wrong", str(error)
        except Exception as error:  # noqa: BLE001 - any failure is a finding
            state, details = "wrong", f"{type(error).__name__}: {error}"
        yield Finding(about, state, details)


def _python(folder: Path) -> tuple[str, str]:
    found = ".".join(map(str, sys.version_info[:3]))
    return "ok", f"{found}, headspex {version('headspex')}"


def _packages(folder: Path) -> tuple[str, str]:
    return "ok", ", ".join(f"{name} {version(name)}" for name in NEEDED)


def _tested(folder: Path) -> tuple[str, str]:
    """An untested version is no fault, but the first suspect when something fails."""
    tested = ", ".join(f"{name} {' and '.join(versions)}" for name, versions in TESTED.items())
    other = ", ".join(f"{name} {given}" for name, given in untested().items())
    if not other:
        return "ok", f"the tests ran with these versions: {tested}"
    return "missing", f"the tests have not run with {other}, but with {tested}"


def _extras(folder: Path) -> tuple[str, str]:
    missing = []
    for extra, package in EXTRAS.items():
        try:
            version(package)
        except PackageNotFoundError:
            missing.append(extra)
    if not missing:
        return "ok", ", ".join(EXTRAS)
    return "missing", (
        f"{', '.join(missing)} not installed; pip install 'headspex[{','.join(missing)}]' adds them"
    )


def _processors(folder: Path) -> tuple[str, str]:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if not torch.cuda.is_available():
        return "ok", f"{cores} CPU cores, no GPU that torch can use"
    gpus = (torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count()))
    names = ", ".join(f"{gpu.name} ({gpu.total_memory / 2**30:.0f} GiB)" for gpu in gpus)
    return "ok", f"{cores} CPU cores, {names}"


def _memory(folder: Path) -> tuple[str, str]:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return "missing", "this system does not report it"
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return "wrong" if size < LITTLE_MEMORY else "ok", f"{size / 2**30:.0f} GiB"


def _disk(folder: Path) -> tuple[str, str]:
    free = shutil.disk_usage(folder).free
    return "wrong" if free < LITTLE_DISK else "ok", f"{free / 2**30:.0f} GiB free in {folder}"


def _scores(folder: Path) -> tuple[str, str]:
    """Scores are an SQLite database, and a run takes a lock: some network disks support neither."""
    from headspex.runs.lock import locked

    with tempfile.TemporaryDirectory(dir=folder, prefix=".headspex-doctor-") as place:
        database = sqlite3.connect(Path(place) / "scores.sqlite")
        try:
            with database:
                database.execute("create table t (x)")
                database.execute("insert into t values (1)")
        finally:
            database.close()
        with locked(Path(place) / "run"):
            pass
    return "ok", f"SQLite {sqlite3.sqlite_version} writes and locks in {folder}"


def _hub(folder: Path) -> tuple[str, str]:
    from huggingface_hub import constants, get_token, try_to_load_from_cache

    from headspex.hooks import ALIASES

    offline = "off by HF_HUB_OFFLINE" if constants.HF_HUB_OFFLINE else "used when needed"
    token = "a token" if get_token() else "no token (gated models need one: hf auth login)"
    cached = [
        alias
        for alias, name in ALIASES.items()
        if isinstance(try_to_load_from_cache(name, "config.json"), str)
    ]
    return "ok", f"network {offline}; {token}; in the cache: {', '.join(cached) or 'no alias'}"


def _shipped(folder: Path) -> tuple[str, str]:
    """The shipped model answers correctly, and both forward passes agree under masks."""
    import numpy as np

    from headspex.hooks import answer_log_probs, load_model
    from headspex.support.seeds import stream
    from headspex.tasks import encode_task, load_task

    model, task = load_model("tiny", device="cpu", dtype="float32"), load_task("mini")
    questions = task.test[:: max(1, len(task.test) // 20)][:20]
    asked = encode_task(task, questions, model.tokenizer)
    masks = stream(0, "doctor").random((len(asked), model.n_layers, model.n_heads)) < 0.9
    masks[: len(asked) // 2] = True
    both = [answer_log_probs(model, asked, masks, path=path) for path in ("fast", "bridge")]
    whole = both[0][: len(asked) // 2]
    right = sum(
        int(row.argmax() == question.answer)
        for row, question in zip(whole, questions, strict=False)
    )
    real = np.isfinite(both[1])
    apart = float(np.abs(both[0][real] - both[1][real]).max())
    good = apart < AGREE and right > 0.8 * len(whole)
    return (
        "ok" if good else "wrong",
        f"{right} of {len(whole)} questions right; the fast forward pass and TransformerLens hooks "
        f"differ by {apart:.1e} under masks",
    )


LOOKS: dict[str, Callable[[Path], tuple[str, str]]] = {
    "python": _python,
    "packages": _packages,
    "tested": _tested,
    "extras": _extras,
    "processors": _processors,
    "memory": _memory,
    "disk": _disk,
    "scores": _scores,
    "hub": _hub,
    "shipped model": _shipped,
}


def verdict(findings: list[Finding]) -> tuple[int, dict[str, Any]]:
    """The exit code, and everything for `--json`."""
    wrong = any(finding.state == "wrong" for finding in findings)
    return int(wrong), {"ok": not wrong, "findings": [finding.to_dict() for finding in findings]}
