"""A model on the way from the corrupted to the clean prompt: node scores of EAP-IG.

Hanna, Pezzelle & Belinkov 2024 (arXiv 2403.17806): a part is worth the difference of its outputs on
the two prompts, times the gradient of the score by its output, a mean over inputs between them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from headspex.errors import UsageError
from headspex.hooks.ablation import Hook
from headspex.hooks.fill import Fill
from headspex.hooks.gated import (
    Change,
    GatedModel,
    Gates,
    Logits,
    Places,
    changing,
    hooked_logits,
)
from headspex.hooks.inputs import Pass, padded
from headspex.hooks.switches import hook_name, mlp_hook_name

FIRST = "blocks.0.hook_in"  # what the layers are given


class BetweenPrompts(GatedModel):
    """A gated model that reads an input between the two prompts.

    With a gate g, (1 - g) times the difference between a part's outputs on the clean and on the
    corrupted prompt is taken from its output. So at gates of 1 the derivative by a gate is that
    difference times the gradient by the output.

    Args:
        bridge: a TransformerBridge.
        share: of the clean prompt; the corrupted one has the rest.
    """

    def __init__(self, bridge: Any, share: float) -> None:
        super().__init__(bridge, None)
        self._share = share

    def of_inputs(
        self, inputs: Sequence[Pass], gates: Gates | None, places: Places, fill: Fill | None = None
    ) -> Logits:
        """As for any gated model, but the fill is not used; without gates, of the clean prompt.

        Raises:
            UsageError: an input has no corrupted prompt.
        """
        if gates is None:
            return super().of_inputs(inputs, gates, places)
        if any(one.corrupted is None for one in inputs):
            raise UsageError("EAP-IG needs a corrupted prompt for each prompt, but some have none")
        clean = padded([one.tokens for one in inputs])
        corrupted = padded([one.corrupted or () for one in inputs])
        # Three batches in one: between, clean, corrupted.
        tokens = torch.cat([clean, clean, corrupted]).to(self.device)
        hooks: list[tuple[str, Hook]] = [(FIRST, changing(self._mixed))]
        for layer in range(gates.shape[1]):
            own = gates[:, layer]
            hooks.append((hook_name(layer), changing(_moved(own[:, None, :-1, None]))))
            if (name := mlp_hook_name(layer)) in self._bridge.hook_dict:
                hooks.append((name, changing(_moved(own[:, None, -1:]))))
        places = None if places is None else places.to(self.device)
        return hooked_logits(self._bridge, tokens, hooks, places)[: len(inputs)]

    def _mixed(self, x: Tensor) -> Tensor:
        _, clean, corrupted = x.chunk(3)
        return torch.cat([corrupted + self._share * (clean - corrupted), clean, corrupted])


def _moved(gates: Tensor) -> Change:
    def moved(outputs: Tensor) -> Tensor:
        between, clean, corrupted = outputs.chunk(3)
        apart = (clean - corrupted).detach()
        return torch.cat([between + (gates.to(outputs) - 1) * apart, clean, corrupted])

    return moved
