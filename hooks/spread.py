"""Which device holds which part of a model that is too large for one GPU."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from headspex.errors import UsageError, argument
from headspex.hooks.load_in import packed_types
from headspex.hooks.placement import WEIGHTS_SHARE, blueprint
from headspex.support.notice import say_once

Limits = Mapping[int | str, int]  # bytes that weights may take on each GPU, and as "cpu"
DeviceMap = dict[str, int | str]  # the name of a part of the model -> a GPU, or "cpu"

UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "KB": 10**3, "MB": 10**6,
         "GB": 10**9, "TB": 10**12}  # fmt: skip
HALVINGS = 10  # of the search for an even map; then it is even to a thousandth of a GPU


def parse_limits(text: str) -> dict[int | str, int]:
    """Limits such as "0=20GiB,1=20GiB,cpu=30GiB", GPUs in ascending order and the CPU last.

    Raises:
        UsageError: anything else, or no GPU among them.
    """
    found: dict[int | str, int] = {}
    for pair in text.split(","):
        place, _, size = pair.strip().partition("=")
        unit = next((unit for unit in UNITS if size.endswith(unit)), "")
        key: int | str = int(place) if place.isdecimal() else place
        try:
            count = int(float(size.removesuffix(unit)) * UNITS.get(unit, 0))
        except (ValueError, OverflowError):
            count = 0
        if count < 1 or key in found or (isinstance(key, str) and key != "cpu"):
            raise UsageError(
                f"{argument('max_memory')} must be sizes of different GPUs, and of the CPU, such "
                f"as 0=20GiB,1=20GiB,cpu=30GiB, but has {pair.strip()!r} in {text!r}"
            )
        found[key] = count
    gpus = sorted(key for key in found if isinstance(key, int))
    if not gpus:
        raise UsageError(
            f"{argument('max_memory')} must name a GPU, as 0=20GiB does, but is {text!r}; to run "
            f"on the CPU alone, use {argument('device')} cpu"
        )
    return {key: found[key] for key in (*gpus, "cpu") if key in found}


def device_number(device: str) -> int | str:
    """A device as device maps name it: a GPU's number, or such as "cpu"."""
    place = torch.device(device)
    if place.type != "cuda":
        return device
    return torch.cuda.current_device() if place.index is None else place.index


def free_bytes(device: str) -> dict[int, int]:
    """Free memory of the GPUs that a model on this device may use, by their number.

    Those are all for "cuda", one for "cuda:1", and none for another device.
    """
    place = torch.device(device)
    if place.type != "cuda":
        return {}
    gpus = range(torch.cuda.device_count()) if place.index is None else [place.index]
    return {gpu: int(torch.cuda.mem_get_info(gpu)[0]) for gpu in gpus}


def placed(
    config: Any,
    dtype: torch.dtype,
    device: str,
    max_memory: str | None,
    *,
    name: str,
    load_in: str | None = None,
) -> DeviceMap | None:
    """Where each part of a model goes; None if all of it goes to one device.

    Without `max_memory` a model stays on one GPU if its weights fit into the share of its free
    memory that weights may take; if not, it is spread over all GPUs.

    Args:
        config: of the model.
        dtype: of its weights.
        device: from `headspex.hooks.placement.choose_device`; "cuda:1" stands for this GPU alone.
        max_memory: limits as the user gives them; they force a spread.
        name: of the model, for messages.
        load_in: how weights are quantised; see `headspex.hooks.load_in`.

    Raises:
        UsageError: the weights do not fit, or limits name a GPU that is not there.
    """
    free = free_bytes(device)
    if max_memory is None and not free:
        return None
    model = blueprint(config)
    sizes = packed_types(model, load_in)
    if max_memory is not None:
        limits: Limits = _checked(parse_limits(max_memory), device)
    else:
        needed = weight_bytes(model, dtype, sizes)
        first = next(iter(free.values()))
        if needed <= WEIGHTS_SHARE * first or (len(free) == 1 and needed <= first):
            return None
        limits = {gpu: int(WEIGHTS_SHARE * own) for gpu, own in free.items()}
    found = device_map(model, dtype, limits, sizes) if len(free) > 1 or max_memory else None
    if found is None:
        shown = ", ".join(f"{place}={gibibytes(own)}" for place, own in limits.items())
        raise UsageError(
            f"the weights of {name} take {gibibytes(weight_bytes(model, dtype, sizes))} and must "
            f"fit into {shown}, which leaves room for activations, but do not; take "
            f"{argument('load_in')} 8bit or 4bit, more GPUs, or let a part wait on the CPU by "
            f"{argument('max_memory')} (slow)"
        )
    if load_in is not None and "cpu" in found.values():
        raise UsageError(
            f"quantised weights stay on GPUs, but {argument('max_memory')} is {max_memory}, by "
            f"which a part of {name} waits on the CPU; give GPUs more, or leave "
            f"{argument('load_in')} out"
        )
    say_once(f"the weights of {name} are spread over {said(found)}")
    return found


def _checked(limits: dict[int | str, int], device: str) -> Limits:
    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    place = torch.device(device)
    if place.type != "cuda" or place.index is not None:
        raise UsageError(
            f"{argument('max_memory')} spreads a model over GPUs, but {argument('device')} is "
            f"{device}; set it to cuda, or leave {argument('max_memory')} out"
        )
    absent = [key for key in limits if isinstance(key, int) and key >= present]
    if absent:
        raise UsageError(
            f"{argument('max_memory')} must name GPUs from 0 to {present - 1}, but names "
            f"{absent[0]}; leave it out"
        )
    return limits


def device_map(
    model: Any,
    dtype: torch.dtype,
    limits: Limits,
    sizes: Mapping[str, Any] | None = None,
) -> DeviceMap | None:
    """The map that fills all GPUs to the same share of their limits, as nearly as parts allow.

    Layers are not divided. The CPU, if it has a limit, takes what full GPUs leave.

    Args:
        model: without memory, from `blueprint`.
        dtype: of its weights.
        limits: of each device.
        sizes: weights of another type, by name, as `infer_auto_device_map` takes them.

    Returns:
        None if the weights do not fit.
    """
    from accelerate import infer_auto_device_map

    def within(shares: Limits) -> DeviceMap | None:
        found = infer_auto_device_map(
            model, dict(shares), no_split_module_classes=list(model._no_split_modules or ()),
            dtype=dtype, special_dtypes=None if sizes is None else dict(sizes),
        )  # fmt: skip
        return None if "disk" in found.values() else dict(found)

    gpus = {place: own for place, own in limits.items() if place != "cpu"}
    found = within(gpus)
    if found is None:
        return within(limits) if len(gpus) < len(limits) else None
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        share = (low + high) / 2
        fuller = within({place: int(share * own) for place, own in gpus.items()})
        if fuller is None:
            low = share
        else:
            found, high = fuller, share
    return found


def spread_over(model: Any, where: DeviceMap) -> Any:
    """A model on the CPU, moved to the devices of a map."""
    from accelerate import dispatch_model

    return dispatch_model(model, where)


def fewest_gpus(
    model: Any, dtype: torch.dtype, limits: Sequence[int], sizes: Mapping[str, Any] | None = None
) -> int | None:
    """The number of GPUs that a model needs, the first of these; None if all are too few.

    Args:
        model, dtype, sizes: as in `device_map`.
        limits: bytes that weights may take on each GPU.
    """
    if limits and weight_bytes(model, dtype, sizes) <= limits[0]:
        return 1
    counts = range(2, len(limits) + 1)
    return next(
        (n for n in counts if device_map(model, dtype, dict(enumerate(limits[:n])), sizes)), None
    )


def gpus_to_hold(config: Any, dtype: torch.dtype, load_in: str | None) -> int:
    """The number of this machine's GPUs that a model needs when they are empty; all, if too few.

    Args:
        config, dtype, load_in: as in `placed`.
    """
    count = torch.cuda.device_count()
    limits = [int(WEIGHTS_SHARE * torch.cuda.mem_get_info(gpu)[1]) for gpu in range(count)]
    model = blueprint(config)
    return fewest_gpus(model, dtype, limits, packed_types(model, load_in)) or count


def weight_bytes(model: Any, dtype: torch.dtype, sizes: Mapping[str, Any] | None = None) -> int:
    """Bytes of a model's weights; arguments as in `device_map`."""
    from accelerate.utils import compute_module_sizes

    special = None if sizes is None else dict(sizes)
    return int(compute_module_sizes(model, dtype=dtype, special_dtypes=special)[""])


def said(found: DeviceMap) -> str:
    """The devices of a map, in words."""
    gpus = sorted({place for place in found.values() if isinstance(place, int)})
    numbers = ", ".join(map(str, gpus))
    shown = f"GPU {numbers}" if len(gpus) == 1 else f"GPUs {numbers}"
    waiting = sum(place == "cpu" for place in found.values())
    return f"{shown}; {waiting} of {len(found)} parts wait on the CPU" if waiting else shown


def gibibytes(count: float) -> str:
    """A number of bytes for people."""
    return f"{count / 2**30:.3g}GiB"
