"""On which device and in which dtype a model runs, where the user leaves that open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from headspex.errors import UsageError, argument
from headspex.settings import AUTO
from headspex.support.notice import say_once

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Share of the free memory that weights may take; the rest is for activations and stored states.
WEIGHTS_SHARE = 0.8


def choose_device(name: str) -> str:
    """The device of this name; "auto" is a GPU by CUDA, else Apple's (MPS), else the CPU.

    Raises:
        UsageError: torch does not know the device, or this machine lacks it.
    """
    if name != AUTO:
        _check_device(name)
        return name
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def choose_dtype(name: str, device: str, config: Any) -> str:
    """The dtype of this name; "auto" depends on the device.

    On an accelerator it is that of the checkpoint, on the CPU float32 while that fits into the
    free memory, as CPUs compute fastest in float32.

    Args:
        name: a dtype or "auto".
        device: from `choose_device`.
        config: the model's configuration.

    Raises:
        UsageError: no such dtype.
    """
    if name != AUTO:
        check_dtype(name)
        return name
    stored = str(getattr(config, "dtype", None) or "float32").removeprefix("torch.")
    if stored not in DTYPES:
        stored = "float32"
    if stored == "float32" or torch.device(device).type != "cpu":
        return stored
    free = free_memory()
    needed = 4 * parameters(config)
    return stored if free is not None and needed > WEIGHTS_SHARE * free else "float32"


def say_chosen(device: str, dtype: str, chosen_device: str, chosen_dtype: str) -> None:
    """Print once what "auto" became, but for float32 on the CPU, which runs everywhere."""
    if (chosen_device, chosen_dtype) == ("cpu", "float32"):
        return
    became = [
        f"{argument(flag)} auto is {chosen}"
        for flag, given, chosen in (
            ("device", device, chosen_device),
            ("dtype", dtype, chosen_dtype),
        )
        if given == AUTO
    ]
    if became:
        say_once(", ".join(became))


def check_dtype(name: str) -> None:
    """Refuse a dtype that models are not loaded in."""
    if name not in DTYPES:
        raise UsageError(
            f"{argument('dtype')} must be {AUTO}, {', '.join(DTYPES)}, but is {name!r}"
        )


def blueprint(config: Any, architecture: str | None = None) -> Any:
    """A model with this configuration that takes no memory.

    Args:
        config: of transformers.
        architecture: the class; None: the one that the configuration names.
    """
    import transformers

    named = architecture or (getattr(config, "architectures", None) or [""])[0]
    with torch.device("meta"):
        model = (
            getattr(transformers, named)(config)
            if hasattr(transformers, named)
            else transformers.AutoModelForCausalLM.from_config(config)
        )
    model.tie_weights()
    return model


def parameters(config: Any, architecture: str | None = None) -> int:
    """The number of weights of a model with this configuration; see `blueprint`."""
    return sum(weight.numel() for weight in blueprint(config, architecture).parameters())


def free_memory() -> int | None:
    """Bytes of memory that a new process may take; None if the system does not say."""
    meminfo = Path("/proc/meminfo")  # of Linux
    lines = meminfo.read_text().splitlines() if meminfo.is_file() else []
    free = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return next((1024 * int(kilobytes) for kilobytes in free), None)


def _check_device(device: str) -> None:
    try:
        kind = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"no device {device!r}; known: {AUTO}, cpu, cuda, cuda:N, mps") from error
    present = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if kind.type not in present:
        raise UsageError(f"no device {device!r}; known: {AUTO}, {', '.join(present)}, cuda:N")
    if (kind.index or 0) >= present[kind.type]:
        raise UsageError(
            f"torch finds {present[kind.type]} {kind.type} devices on this machine, too few for "
            f"{device!r}; use {argument('device')} cpu"
        )
