"""The fast path: a forward pass under many masks, computing only what answers need.

- Layers below the first ablated part are computed once per input (`headspex.hooks.prefix`).
- A prefix that inputs share, such as worked examples, is computed once per mask.
- For the same input, masks with equal first layers share the computation of these layers.
- The last layer and the logits are computed at the answers' positions only.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headspex.hooks.ablation import Ablation
from headspex.hooks.answers import Answers, Asked, asked, read_off
from headspex.hooks.attention import Heads, KeysValues, States
from headspex.hooks.batching import Work, batches, chunks, forks
from headspex.hooks.decoder import Decoder, Edit
from headspex.hooks.inputs import Inputs
from headspex.hooks.prefix import Trunk

LOGITS = 2**26  # computed at once: 256 MiB in float32


@dataclass(frozen=True, eq=False)
class Shared:
    """A prefix under several masks: keys and values of the first ablated layer and those above."""

    kv: dict[int, KeysValues]
    state: dict[int, Int[np.ndarray, " masks"]]  # the row of `kv` of each mask
    mask_of_rank: dict[int, int]

    def past(self, index: int, ranks: Int[np.ndarray, " states"]) -> KeysValues:
        """Keys and values of a layer under the masks with these ranks."""
        mask = np.array([self.mask_of_rank[int(rank)] for rank in ranks])
        state, (k, v) = self.state[index][mask], self.kv[index]
        if (state == state[0]).all():
            return k[state[0]][None], v[state[0]][None]
        rows = torch.from_numpy(state).to(k.device)
        return k[rows], v[rows]


class FastPath:
    """Scores items with a model in parts.

    Args:
        decoder: the model.
        inputs: all inputs of later calls.
        batch_tokens: tokens in one batch of the states that are cached between calls.
    """

    def __init__(self, decoder: Decoder, inputs: Inputs, batch_tokens: int) -> None:
        self._decoder, self._inputs = decoder, inputs
        self._trunk = Trunk(decoder, inputs, batch_tokens)

    def run(
        self, work: Work, items: Int[np.ndarray, " items"], ablation: Ablation, batch_tokens: int
    ) -> Iterator[tuple[Int[np.ndarray, " batch"], Answers]]:
        """Run some items of the work; yields each batch of items with its answers."""
        for chunk in chunks(work, self._inputs, items, batch_tokens):
            beginning = self._inputs.beginning(int(work.inputs[chunk[0]]))
            shared = self._shared(beginning, work, chunk, ablation) if beginning else None
            lengths = self._inputs.own_lengths
            for batch in batches(work, chunk, lengths, batch_tokens, merged=True):
                question = asked(work, self._inputs, batch)
                x, state = self._answers(work, batch, question, ablation, shared)
                values = _read(x, state, question, self._decoder)
                rows = torch.from_numpy(work.rows[batch])[question.item]
                yield batch, Answers(rows, question.choice, values)

    def forget(self, batch_tokens: int) -> None:
        """Empty the cache between calls; later batches of it hold `batch_tokens` tokens."""
        self._trunk = Trunk(self._decoder, self._inputs, batch_tokens)

    def _shared(
        self, beginning: tuple[int, ...], work: Work, chunk: np.ndarray, ablation: Ablation
    ) -> Shared:
        decoder = self._decoder
        ranks, sample = np.unique(work.ranks[work.rows[chunk]], return_index=True)
        rows = work.rows[chunk][sample]  # one row of each mask
        prefix = self._trunk.beginning(beginning, work.first)
        x, start = prefix.x[0][None], np.zeros_like(rows)
        kv, state = {work.first: prefix.kv[work.first]}, {work.first: start}
        parted = forks(start, work.codes[rows, work.first :])
        for index, fork in enumerate(parted[:-1], work.first):
            x = _rows(x, fork.parent)
            edit = _edit(work.masks[rows[fork.member], index], ablation, index)
            x, own = decoder.layer(x, index, edit)
            state[index + 1] = fork.of_item
            if index > work.first:
                kv[index], state[index] = own, fork.of_item
        if decoder.last > work.first:
            kv[decoder.last] = decoder.keys_values(x, decoder.last)
        return Shared(kv, state, {int(rank): n for n, rank in enumerate(ranks)})

    def _answers(
        self,
        work: Work,
        items: np.ndarray,
        question: Asked,
        ablation: Ablation,
        shared: Shared | None,
    ) -> tuple[States, Int[np.ndarray, " items"]]:
        """The last residual stream at the answers of each state, and the state of each item."""
        decoder, rows = self._decoder, work.rows[items]
        x = self._trunk.states(question.inputs.tolist(), work.first)
        parted = forks(question.of_item, work.codes[rows, work.first :])
        before = np.unique(question.of_item, return_index=True)[1]  # one item of each state
        for index, fork in enumerate(parted, work.first):
            edit = _edit(work.masks[rows[fork.member], index], ablation, index)
            ranks = work.ranks[rows[fork.member if index < decoder.last else before]]
            past = None if shared is None else shared.past(index, ranks)
            if index < decoder.last:
                x, _ = decoder.layer(_rows(x, fork.parent), index, edit, past=past)
            else:
                k, v = decoder.keys_values(x, index, past)
                at = question.places[question.of_item[fork.member]]
                start = k.shape[2] - x.shape[1]
                x = _rows(x, fork.parent)
                x = x.gather(1, at.to(x.device)[..., None].expand(-1, -1, x.shape[-1]))
                known = _rows(k, fork.parent), _rows(v, fork.parent)
                x = decoder.layer_at(x, index, at + start, known, edit)
            before = fork.member
        return x, parted[-1].of_item


def _edit(masks: Bool[np.ndarray, "states switches"], ablation: Ablation, index: int) -> Edit:
    """What the masks of a layer do to states."""
    heads, mlp = torch.from_numpy(masks[:, :-1]), torch.from_numpy(masks[:, -1])

    def replaced(z: Heads) -> Heads:
        return ablation.replaced(z, heads, index)

    return Edit(None if heads.all() else replaced, None if mlp.all() else mlp)


def _rows(x: Tensor, parent: Int[np.ndarray, " states"]) -> Tensor:
    """The states before a fork, once for each state after it."""
    if len(parent) == len(x):  # the states after a fork are in the order of those before it
        return x
    return x[torch.from_numpy(parent).to(x.device)]


def masked_logits(
    decoder: Decoder, trunk: Trunk, work: Work, items: Int[np.ndarray, " items"], ablation: Ablation
) -> Float[Tensor, "items pos vocabulary"]:
    """Logits at every position of items whose inputs are equally long.

    Args:
        decoder: the model.
        trunk: of the decoder; inputs share no prefix.
        work: the call's work.
        items: some of its items.
        ablation: of heads; a fill of resample ablation has one row for each distinct input, in
            ascending order.
    """
    rows = work.rows[items]
    distinct, of_item = np.unique(work.inputs[items], return_inverse=True)
    x = trunk.states(distinct.tolist(), work.first)
    parted = forks(of_item, work.codes[rows, work.first :])
    for index, fork in enumerate(parted, work.first):
        own = ablation.of_rows(of_item[fork.member])
        edit = _edit(work.masks[rows[fork.member], index], own, index)
        x, _ = decoder.layer(_rows(x, fork.parent), index, edit)
    return decoder.logits(x)[torch.from_numpy(parted[-1].of_item).to(x.device)]


def outputs_of_heads(
    decoder: Decoder, tokens: Int[Tensor, "batch pos"]
) -> Float[Tensor, "layers batch pos head d_head"]:
    """As `headspex.hooks.head_outputs`."""
    found: list[Heads] = []

    def recorded(z: Heads) -> Heads:
        found.append(z)
        return z

    x = decoder.embedded(tokens)
    for index in range(decoder.last + 1):
        x, _ = decoder.layer(x, index, Edit(recorded))
    return torch.stack([z.to(found[0].device) for z in found])


def _read(
    x: States, state: Int[np.ndarray, " items"], question: Asked, decoder: Decoder
) -> Float[Tensor, " reads"]:
    """The log-probabilities to read, for a few states at a time: vocabularies are large."""
    of_read = torch.from_numpy(state)[question.item]
    values = torch.zeros(len(of_read), dtype=x.dtype)
    size = max(1, LOGITS // (x.shape[1] * decoder.vocabulary))
    for start in range(0, len(x), size):
        found = decoder.log_probs(x[start : start + size])
        mine = (of_read >= start) & (of_read < start + size)
        where = (of_read[mine] - start, question.column[mine])
        at = tuple(part.to(found.device) for part in where)
        values[mine] = read_off(found, at, question.token[mine]).cpu()
    return values
