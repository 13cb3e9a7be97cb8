"""Resample ablation: outputs of heads on corrupted prompts take the place of ablated heads'."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from headspex.hooks.inputs import Inputs
from headspex.hooks.kept import Kept, limit_of

Outputs = Float[Tensor, "layers batch pos head d_head"]


class Corrupted:
    """Outputs of all heads on the corrupted prompts, each computed once.

    Args:
        inputs: all inputs of later calls.
        outputs: computes them for tokens [batch, pos].
        device: of the outputs.
    """

    def __init__(
        self,
        inputs: Inputs,
        outputs: Callable[[Int[Tensor, "batch pos"]], Outputs],
        device: torch.device,
    ) -> None:
        self._inputs, self._outputs = inputs, outputs
        self._kept: Kept[int, Float[Tensor, "pos layers head d_head"]] = Kept(limit_of(device))

    def fill(self, indices: Sequence[int]) -> Outputs:
        """The outputs for some inputs, padded on the right."""
        found = self._kept.all(indices, self._computed)
        padded = pad_sequence([found[index] for index in indices], batch_first=True)
        return padded.permute(2, 0, 1, 3, 4)

    def _computed(self, indices: list[int]) -> list[Float[Tensor, "pos layers head d_head"]]:
        # `check_corrupted` has seen that every prompt has one. Attention is causal: padding on the
        # right changes nothing before it.
        rows = [torch.tensor(self._inputs.passes[index].corrupted) for index in indices]
        outputs = self._outputs(pad_sequence(rows, batch_first=True)).permute(1, 2, 0, 3, 4)
        return [own[: len(row)] for own, row in zip(outputs, rows, strict=True)]
