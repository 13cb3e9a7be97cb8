"""A model on the way from the corrupted to the clean prompt: node scores of EAP-IG.

Hanna, Pezzelle & Belinkov 2024 (arXiv 2403.17806): a part is worth the difference of its outputs on
the two prompts, times the gradient of the score by its output, a mean over inputs between them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from headspex.errors import UsageError
from headspex.hooks.ablation import Hook
from headspex.hooks.fill import Fill, Parts
from headspex.hooks.gated import Change, Gates, Logits, changing, hooked_logits, padded
from headspex.hooks.inputs import Pass
from headspex.hooks.outputs import part_outputs
from headspex.hooks.switches import hook_name, mlp_hook_name

FIRST = "blocks.0.hook_in"  # what the layers are given


class BetweenPrompts:
    """Logits of an input between the prompts, as `headspex.hooks.gated.GatedModel` gives them.

    With a gate g, (1 - g) times the difference between a part's outputs on the clean and on the
    corrupted prompt is taken from its output. So at gates of 1 the derivative by a gate is that
    difference times the gradient by the output.

    Args:
        bridge: a TransformerBridge.
        share: of the clean prompt; the corrupted one has the rest.
    """

    def __init__(self, bridge: Any, share: float) -> None:
        self._bridge, self._share = bridge, share
        self.device: torch.device = bridge.original_model.device
        self.n_ctx = int(bridge.original_model.config.max_position_embeddings)

    def outputs(self, tokens: Int[Tensor, "rows pos"], parts: Parts) -> Fill:
        """As `headspex.hooks.outputs.part_outputs`."""
        return part_outputs(self._bridge, tokens, parts)

    def of_inputs(
        self,
        inputs: Sequence[Pass],
        gates: Gates | None,
        places: Int[Tensor, "rows places"] | None,
        fill: Fill | None = None,
    ) -> Logits:
        """Logits at some places of each input; without gates, those of the clean prompt.

        Args:
            inputs: with corrupted prompts of as many tokens.
            gates: of each input; None: the clean prompt.
            places: positions; None: all.
            fill: not used.

        Raises:
            UsageError: an input has no corrupted prompt.
        """
        clean = padded([one.tokens for one in inputs]).to(self.device)
        places = None if places is None else places.to(self.device)
        if gates is None:
            return hooked_logits(self._bridge, clean, [], places)
        if any(one.corrupted is None for one in inputs):
            raise UsageError("EAP-IG needs a corrupted prompt for each prompt, but some have none")
        corrupted = padded([one.corrupted or () for one in inputs]).to(self.device)
        # Three batches in one: between, clean, corrupted.
        tokens = torch.cat([clean, clean, corrupted])
        hooks: list[tuple[str, Hook]] = [(FIRST, changing(self._mixed))]
        for layer in range(gates.shape[1]):
            own = gates[:, layer]
            hooks.append((hook_name(layer), changing(_moved(own[:, None, :-1, None]))))
            if (name := mlp_hook_name(layer)) in self._bridge.hook_dict:
                hooks.append((name, changing(_moved(own[:, None, -1:]))))
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
