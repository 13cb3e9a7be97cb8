"""A cache of states below the first ablated part, which no mask changes: one per input."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from headspex.hooks.attention import KeysValues, States
from headspex.hooks.decoder import Decoder
from headspex.hooks.inputs import Inputs
from headspex.hooks.kept import Kept, limit_of


@dataclass(frozen=True, eq=False)
class PrefixState:
    """States of some inputs before the first ablated layer."""

    x: tuple[Tensor, ...]  # [pos, width], the residual stream, without the prefix
    kv: tuple[KeysValues, ...] = ()  # only of a prefix: of each layer up to this one

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        return sum(t.nbytes for t in (*self.x, *(t for pair in self.kv for t in pair)))


class Trunk:
    """A cache of `PrefixState`s, limited in bytes.

    An input is always computed in the same batch, so its states do not depend on earlier calls,
    to the last bit.

    Args:
        decoder: the model in parts.
        inputs: all inputs of later calls.
        batch_tokens: tokens (with padding) of a batch.
    """

    def __init__(self, decoder: Decoder, inputs: Inputs, batch_tokens: int) -> None:
        self._decoder, self._inputs = decoder, inputs
        self._batches_by_prefix = _batches_by_prefix(inputs, batch_tokens)
        self._place = {
            index: (number, place)
            for number, batch in enumerate(self._batches_by_prefix)
            for place, index in enumerate(batch)
        }
        self._kept: Kept[tuple[int, object], PrefixState] = Kept(limit_of(decoder.device))

    def states(self, indices: Sequence[int], first: int) -> States:
        """Distinct inputs before layer `first`, padded on the right."""
        places = [self._place[index] for index in indices]
        found = {number: self._batch(number, first) for number in dict(places)}
        return pad_sequence([found[number].x[place] for number, place in places], batch_first=True)

    def beginning(self, tokens: tuple[int, ...], first: int) -> PrefixState:
        """State of a shared prefix before layer `first`."""

        def grow() -> PrefixState:
            x, kv = self._grow([tokens], first)
            return PrefixState((x[0],), (*kv, self._decoder.keys_values(x, first)))

        return self._kept.get((first, tokens), grow)

    def _batch(self, number: int, first: int) -> PrefixState:
        batch = self._batches_by_prefix[number]
        beginning = self._inputs.beginning(batch[0])
        tokens = [self._inputs.passes[i].tokens[len(beginning) :] for i in batch]

        def grow() -> PrefixState:
            past = self.beginning(beginning, first).kv if beginning else ()
            x, _ = self._grow(tokens, first, past)
            return PrefixState(tuple(one[: len(own)] for one, own in zip(x, tokens, strict=True)))

        return self._kept.get((first, number), grow)

    def _grow(
        self, tokens: Sequence[tuple[int, ...]], first: int, past: tuple[KeysValues, ...] = ()
    ) -> tuple[States, tuple[KeysValues, ...]]:
        start = past[0][0].shape[2] if past else 0
        padded = pad_sequence([torch.tensor(one) for one in tokens], batch_first=True)
        x, found = self._decoder.embedded(padded, start), []
        for index in range(first):
            x, kv = self._decoder.layer(x, index, past=past[index] if past else None)
            found.append(kv)
        return x, tuple(found)


def _batches_by_prefix(inputs: Inputs, batch_tokens: int) -> list[list[int]]:
    """Batches of inputs with the same shared prefix, the longest inputs first."""
    order = sorted(
        range(len(inputs.passes)),
        key=lambda i: (inputs.beginning(i), -inputs.own_lengths[i], i),
    )
    found: list[list[int]] = []
    for index in order:
        batch = found[-1] if found else []
        fits = batch and (len(batch) + 1) * inputs.own_lengths[batch[0]] <= batch_tokens
        if fits and inputs.beginning(batch[0]) == inputs.beginning(index):
            batch.append(index)
        else:
            found.append([index])
    return found
