"""Resample ablation: outputs on corrupted prompts take the place of ablated parts' outputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from headspex.hooks.fill import Fill, Parts
from headspex.hooks.inputs import Pass
from headspex.hooks.kept import Kept, limit_of


@dataclass(frozen=True, eq=False)
class _Own:
    """The outputs on one corrupted prompt, its positions first."""

    heads: Float[Tensor, "pos layers head d_head"] | None
    mlps: Float[Tensor, "pos layers d_model"] | None

    @property
    def nbytes(self) -> int:
        return sum(one.nbytes for one in (self.heads, self.mlps) if one is not None)


class Corrupted:
    """Outputs of heads and MLPs on the corrupted prompts, each computed once.

    Args:
        outputs: computes those of some parts for tokens [batch, pos].
        device: of the outputs.
    """

    def __init__(
        self,
        outputs: Callable[[Int[Tensor, "batch pos"], Parts], Fill],
        device: torch.device,
    ) -> None:
        self._outputs = outputs
        self._kept: Kept[tuple[Parts, Pass], _Own] = Kept(limit_of(device))

    def fill(self, inputs: Sequence[Pass], parts: Parts) -> Fill:
        """The outputs of parts for some inputs, padded on the right."""
        keys = [(parts, one) for one in inputs]
        found = self._kept.all(keys, lambda new: self._computed([one for _, one in new], parts))
        return Fill(
            _padded([found[key].heads for key in keys]), _padded([found[key].mlps for key in keys])
        )

    def _computed(self, inputs: list[Pass], parts: Parts) -> list[_Own]:
        # `check_corrupted` has seen that every prompt has one. Attention is causal: padding on the
        # right changes nothing before it.
        rows = [torch.tensor(one.corrupted) for one in inputs]
        outputs = self._outputs(pad_sequence(rows, batch_first=True), parts)

        def own(batch: Tensor | None, number: int) -> Tensor | None:
            return None if batch is None else batch[:, number, : len(rows[number])].transpose(0, 1)

        return [_Own(own(outputs.heads, n), own(outputs.mlps, n)) for n in range(len(rows))]


def _padded(own: Sequence[Tensor | None]) -> Tensor | None:
    """As [layers, batch, pos, ...]."""
    found = [one for one in own if one is not None]
    return pad_sequence(found, batch_first=True).movedim(2, 0) if found else None
