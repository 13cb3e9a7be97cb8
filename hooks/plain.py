"""The plain path: TransformerLens hooks and nothing else, for any bridge."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from headspex.hooks.ablation import Ablation, hooks_of
from headspex.hooks.answers import Answers, asked, divergence, exact_log_probs, read_off
from headspex.hooks.batching import Work, batches
from headspex.hooks.corrupted import Corrupted
from headspex.hooks.inputs import Inputs
from headspex.hooks.outputs import part_outputs


class PlainPath:
    """Scores items with a bridge: one mask per row, logits of the last positions.

    Args:
        bridge: a TransformerBridge; its own hooks run too.
        inputs: all inputs of later calls.
    """

    def __init__(self, bridge: Any, inputs: Inputs) -> None:
        self._bridge, self._inputs = bridge, inputs
        device = bridge.original_model.device
        self._corrupted = Corrupted(partial(part_outputs, bridge), device)

    def run(
        self, work: Work, items: Int[np.ndarray, " items"], ablation: Ablation, batch_tokens: int
    ) -> Iterator[tuple[Int[np.ndarray, " batch"], Answers]]:
        """Run some items of the work; yields each batch of items with its answers."""
        lengths = self._inputs.lengths
        for batch in batches(work, items, lengths, batch_tokens, merged=False):
            question = asked(work, self._inputs, batch)
            rows = work.rows[batch]
            tokens = pad_sequence(
                [torch.tensor(self._inputs.passes[i].tokens) for i in question.inputs], True
            )
            shared = torch.tensor([self._inputs.shared[i] for i in question.inputs])
            places = (question.places + shared[:, None])[question.of_item]
            own = ablation
            if ablation.resampled is not None:
                inputs = [self._inputs.passes[index] for index in question.inputs]
                fill = self._corrupted.fill(inputs, ablation.resampled)
                own = Ablation(fill=fill).of_rows(question.of_item)
            hooks = hooks_of(torch.from_numpy(work.masks[rows]), own)
            logits = self._logits(tokens, question.of_item, places, hooks)
            found = torch.log_softmax(logits, dim=-1).cpu()
            values = read_off(found, (question.item, question.column), question.token)
            kl = None
            if question.kl is not None:
                each, at = np.arange(len(tokens)), question.places + shared[:, None]
                whole = exact_log_probs(self._logits(tokens, each, at, []))
                of = torch.from_numpy(question.of_item).to(whole.device)
                kl = divergence(whole[of], exact_log_probs(logits)).cpu()
            yield batch, Answers.of(torch.from_numpy(rows), question, values, kl)

    def forget(self, batch_tokens: int) -> None:
        """Do nothing: there is no cache between batches."""

    def _logits(
        self, tokens: Tensor, of_row: np.ndarray, places: Tensor, hooks: list[Any]
    ) -> Tensor:
        def at_places(x: Tensor, hook: Any) -> Tensor:
            return x.gather(1, places.to(x.device)[..., None].expand(-1, -1, x.shape[-1]))

        # The vocabulary is large: unembed only the positions that are read.
        hooks = [*hooks, ("unembed.hook_in", at_places)]
        tokens, row = tokens.to(self._bridge.original_model.device), torch.from_numpy(of_row)
        # Padding is on the right, and attention is causal: no attention mask is needed.
        logits: Tensor = self._bridge.run_with_hooks(tokens[row], fwd_hooks=hooks)
        return logits


def has_hooks(bridge: Any) -> bool:
    """Whether somebody hooked the bridge or a module, and so expects to see every row."""
    if any(point.fwd_hooks for point in bridge.hook_dict.values()):
        return True
    modules = bridge.original_model.modules()
    found = (
        hook
        for module in modules
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    )
    # A bridge hooks its own modules on its first run.
    return any(not hook.__module__.startswith("transformer_lens.") for hook in found)
