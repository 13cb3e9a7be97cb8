"""transformers' own modules under a bridge, without the bridge's wrappers."""

import copy
from typing import Any

from torch import nn

IMPLEMENTATION = "headspex"  # of attention, see `headspex.hooks.attention`


class Stock:
    """A transformers model as it was before a bridge wrapped its modules.

    The modules are shallow copies that share parameters and buffers with the bridge, so in-place
    edits of the weights show in both. Hooks are not copied.

    Args:
        model: `original_model` of a bridge.
        attention: its implementation, as transformers names it.

    Attributes:
        model: the copy.
    """

    def __init__(self, model: Any, attention: str = IMPLEMENTATION) -> None:
        self._attention = attention
        self._copies: dict[int, nn.Module] = {}
        self._configs: dict[int, Any] = {}
        self.model: Any = self._copied(model)

    def copy_of(self, module: Any) -> Any:
        """The copy of a module of the bridge, or of what it wraps."""
        return self._copies[id(_unwrapped(module))]

    def _copied(self, module: nn.Module) -> nn.Module:
        module = _unwrapped(module)
        if id(module) in self._copies:
            return self._copies[id(module)]
        found = self._copies[id(module)] = copy.copy(module)
        # The originals' dictionaries, but for hooks and for a `forward` that was put on the object
        # and would run the original.
        found.__dict__ = {name: value for name, value in vars(module).items() if name != "forward"}
        for name, value in vars(module).items():
            if "_hooks" in name:
                found.__dict__[name] = type(value)()
        if "config" in vars(module):
            found.__dict__["config"] = self._config(module.config)
        found.__dict__["_modules"] = {
            name: None if child is None else self._copied(child)
            for name, child in module._modules.items()
        }
        return found

    def _config(self, config: Any) -> Any:
        if id(config) not in self._configs:
            changed = copy.copy(config)
            # Not by its property, which would look for an implementation inside transformers.
            changed.__dict__["_attn_implementation_internal"] = self._attention
            self._configs[id(config)] = changed
        return self._configs[id(config)]


def _unwrapped(module: nn.Module) -> nn.Module:
    while (inner := module._modules.get("_original_component")) is not None:
        module = inner
    return module
