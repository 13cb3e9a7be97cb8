"""Weights that accelerate keeps elsewhere, and brings to a module's device for each call."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn


def is_offloaded(module: nn.Module) -> bool:
    """Whether a module's own weights are elsewhere between its calls."""
    if "_hf_hook" not in vars(module):  # the name that accelerate gives its hook
        return False
    from accelerate.utils import has_offloaded_params

    return bool(has_offloaded_params(module))


def lacks_weights(model: nn.Module) -> bool:
    """Whether some weights are neither in memory nor brought there for each call."""
    return any(
        weight.is_meta
        for part in model.modules()
        if not is_offloaded(part)
        for weight in part.parameters(recurse=False)
    )


def device_of(model: nn.Module) -> torch.device:
    """Where a model, or a part of one, computes; of a spread model, its first part."""
    return next(_devices(model))


def devices_of(model: nn.Module) -> tuple[str, ...]:
    """All devices that a model computes on, each once, that of its first part first."""
    return tuple(dict.fromkeys(map(str, _devices(model))))


def fetch_for_calls(modules: Iterable[nn.Module]) -> None:
    """Bring the weights of copied modules for each call, as accelerate does for the originals."""

    def bring(module: Any, args: Any, named: Any) -> Any:
        return module._hf_hook.pre_forward(module, *args, **named)

    def release(module: Any, args: Any, output: Any) -> Any:
        return module._hf_hook.post_forward(module, output)

    for module in modules:
        if is_offloaded(module):
            module.register_forward_pre_hook(bring, with_kwargs=True)
            module.register_forward_hook(release, always_call=True)


def leave_devices(model: Any) -> None:
    """Move a spread model to the CPU's memory, so that GPUs are free for other processes."""
    from accelerate.hooks import remove_hook_from_submodules

    remove_hook_from_submodules(model)
    model.to("cpu")
    torch.cuda.empty_cache()


def offloaded_state(model: nn.Module) -> dict[str, Tensor]:
    """The offloaded weights of a model by name, on the CPU."""
    from accelerate.utils import align_module_device

    found = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if is_offloaded(module):
            with align_module_device(module, torch.device("cpu")):
                for own, weight in module.named_parameters(recurse=False):
                    found[f"{name}.{own}"] = weight.data
    return found


def _devices(model: nn.Module) -> Iterator[torch.device]:
    for part in model.modules():
        weight = next(part.parameters(recurse=False), None)
        if weight is None:
            continue
        if is_offloaded(part):
            hook: Any = part._hf_hook
            place = hook.execution_device
            yield torch.device("cuda", place) if isinstance(place, int) else torch.device(place)
        else:
            yield weight.device
