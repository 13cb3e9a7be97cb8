"""Whether this machine can do what headspex does, before hours are spent on it."""

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
EXTRAS = {"ray": "ray", "lm_eval": "lm-eval", "peft": "peft", "gguf": "gguf", "shapiq": "shapiq"}
LITTLE_DISK, LITTLE_MEMORY = 2e9, 4e9  # bytes; below them even the shipped run gets into trouble
AGREE = 1e-3  # nats; the shipped model rounds less in float32


@dataclass(frozen=True)
class Finding:
    """What one look found.

    Attributes:
        about: what was looked at.
        state: "ok", "missing" (nothing that every run needs), or "wrong".
        said: in words.
    """

    about: str
    state: str
    said: str

    def to_dict(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self)


def examine(folder: Path) -> Iterator[Finding]:
    """Look at everything, one finding after the other.

    Args:
        folder: where runs would be kept.
    """
    for about, look in LOOKS.items():
        try:
            state, said = look(folder)
        except UsageError as error:
            state, said = "wrong", str(error)
        except Exception as error:  # noqa: BLE001 - whatever is wrong is what this command is for
            state, said = "wrong", f"{type(error).__name__}: {error}"
        yield Finding(about, state, said)


def _python(folder: Path) -> tuple[str, str]:
    found = ".".join(map(str, sys.version_info[:3]))
    return "ok", f"{found}, headspex {version('headspex')}"


def _packages(folder: Path) -> tuple[str, str]:
    return "ok", ", ".join(f"{name} {version(name)}" for name in NEEDED)


def _tested(folder: Path) -> tuple[str, str]:
    """An untested version is not a fault, but the first thing to look at when one shows."""
    told = ", ".join(f"{name} {' and '.join(versions)}" for name, versions in TESTED.items())
    other = ", ".join(f"{name} {given}" for name, given in untested().items())
    if not other:
        return "ok", f"the versions at hand are among those tested: {told}"
    return "missing", f"no tests ran with {other}; they ran with {told}"


def _extras(folder: Path) -> tuple[str, str]:
    lacking = []
    for extra, package in EXTRAS.items():
        try:
            version(package)
        except PackageNotFoundError:
            lacking.append(extra.replace("_", "-"))
    if not lacking:
        return "ok", ", ".join(EXTRAS.values())
    return "missing", f"{', '.join(lacking)}; pip install 'headspex[{','.join(lacking)}]' adds them"


def _processors(folder: Path) -> tuple[str, str]:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if not torch.cuda.is_available():
        return "ok", f"{cores} CPU cores, no GPU that torch can use"
    gpus = (torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count()))
    told = ", ".join(f"{gpu.name} ({gpu.total_memory / 2**30:.0f} GiB)" for gpu in gpus)
    return "ok", f"{cores} CPU cores, {told}; give --device cuda"


def _memory(folder: Path) -> tuple[str, str]:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return "missing", "this system does not tell"
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return "wrong" if size < LITTLE_MEMORY else "ok", f"{size / 2**30:.0f} GiB"


def _disk(folder: Path) -> tuple[str, str]:
    free = shutil.disk_usage(folder).free
    return "wrong" if free < LITTLE_DISK else "ok", f"{free / 2**30:.0f} GiB free in {folder}"


def _scores(folder: Path) -> tuple[str, str]:
    """A store is a database, a run holds a lock; some network disks have none."""
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

    offline = "off by HF_HUB_OFFLINE" if constants.HF_HUB_OFFLINE else "asked when a name needs it"
    token = "a token" if get_token() else "no token (gated models need one: hf auth login)"
    here = [
        alias
        for alias, name in ALIASES.items()
        if isinstance(try_to_load_from_cache(name, "config.json"), str)
    ]
    return "ok", f"network {offline}; {token}; in the cache: {', '.join(here) or 'no alias'}"


def _shipped(folder: Path) -> tuple[str, str]:
    """The shipped model answers, and both of its forward passes agree under masks."""
    import numpy as np

    from headspex.hooks import answer_log_probs, load_model
    from headspex.support.seeds import stream
    from headspex.tasks import encode_task, load_task

    model, task = load_model("tiny"), load_task("mini")
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


Look = Callable[[Path], tuple[str, str]]
LOOKS: dict[str, Look] = {
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
    return int(wrong), {"ok": not wrong, "findings": [one.to_dict() for one in findings]}
