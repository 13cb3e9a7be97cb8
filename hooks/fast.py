"""The fast path: a Llama's forward pass under many masks, computing only what answers need.

- Layers below the first ablated part are computed once per input (`headspex.hooks.prefix`).
- A prefix that inputs share, such as worked examples, is computed once per mask.
- For the same input, masks with equal first layers share the computation of these layers.
- The last layer and the logits are computed at the answers' positions only.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headspex.hooks.ablation import Ablation
from headspex.hooks.answers import Answers, Asked, asked, read_off
from headspex.hooks.batching import Fork, Work, batches, chunks, forks
from headspex.hooks.inputs import Inputs
from headspex.hooks.llama import (
    Heads,
    KeysValues,
    Llama,
    States,
    attend,
    keys_values,
    log_probs,
    rest_of_layer,
)
from headspex.hooks.prefix import Trunk

LOGITS = 2**26  # computed at once: 256 MiB in float32


@dataclass(frozen=True, eq=False)
class Shared:
    """A prefix under several masks: keys and values of the layers above the first ablated one."""

    kv: dict[int, KeysValues]
    state: dict[int, Int[np.ndarray, " masks"]]  # the row of `kv` of each mask
    mask_of_rank: dict[int, int]


class FastPath:
    """Scores items with a Llama's weights.

    Args:
        llama: weights.
        inputs: all inputs of later calls.
        batch_tokens: tokens in one batch of the states that are cached between calls.
    """

    def __init__(self, llama: Llama, inputs: Inputs, batch_tokens: int) -> None:
        self._llama, self._inputs = llama, inputs
        self._trunk = Trunk(llama, inputs, batch_tokens)

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
                values = _read(x, state, question, self._llama)
                rows = torch.from_numpy(work.rows[batch])[question.item]
                yield batch, Answers(rows, question.choice, values)

    def forget(self, batch_tokens: int) -> None:
        """Empty the cache between calls; later batches of it hold `batch_tokens` tokens."""
        self._trunk = Trunk(self._llama, self._inputs, batch_tokens)

    def _shared(
        self, beginning: tuple[int, ...], work: Work, chunk: np.ndarray, ablation: Ablation
    ) -> Shared:
        llama = self._llama
        ranks, sample = np.unique(work.ranks[work.rows[chunk]], return_index=True)
        rows = work.rows[chunk][sample]  # one row of each mask
        prefix = self._trunk.beginning(beginning, work.first)
        x, z = prefix.x[0][None], prefix.z[0][None]
        found: dict[int, KeysValues] = {}
        state: dict[int, np.ndarray] = {}
        parted = forks(np.zeros_like(rows), work.codes[rows, work.first :])
        for index, fork in enumerate(parted[:-1], work.first):
            x = _fork_states(x, z, fork, work.masks[rows, index], ablation, llama, index)
            state[index + 1] = fork.of_item
            if index + 1 == llama.last:
                found[index + 1] = keys_values(x, llama, index + 1)
            else:
                x, z, found[index + 1] = attend(x, llama, index + 1)
        return Shared(found, state, {int(rank): n for n, rank in enumerate(ranks)})

    def _answers(
        self,
        work: Work,
        items: np.ndarray,
        question: Asked,
        ablation: Ablation,
        shared: Shared | None,
    ) -> tuple[States, Int[np.ndarray, " items"]]:
        """The last residual stream at the answers of each state, and the state of each item."""
        llama, rows = self._llama, work.rows[items]
        x, z = self._trunk.states(question.inputs.tolist(), work.first)
        parted = forks(question.of_item, work.codes[rows, work.first :])
        member = np.zeros(0, dtype=np.int64)
        for index, fork in enumerate(parted, work.first):
            if index > work.first:
                past = None if shared is None else _past(shared, index, work.ranks[rows[member]])
                places = question.places[question.of_item[member]]
                x, z, _ = attend(x, llama, index, past, places if index == llama.last else None)
            x = _fork_states(x, z, fork, work.masks[rows, index], ablation, llama, index)
            member = fork.member
        return x, parted[-1].of_item


def _past(shared: Shared, index: int, ranks: np.ndarray) -> KeysValues:
    """Keys and values of a prefix under the masks with these ranks."""
    mask = np.array([shared.mask_of_rank[int(rank)] for rank in ranks])
    state, (k, v) = shared.state[index][mask], shared.kv[index]
    if (state == state[0]).all():
        return k[state[0]][None], v[state[0]][None]
    rows = torch.from_numpy(state).to(k.device)
    return k[rows], v[rows]


def _fork_states(
    x: States, z: Heads, fork: Fork, masks: np.ndarray, ablation: Ablation, llama: Llama, index: int
) -> States:
    """States after a layer whose masks split them; `masks` is bool [items, switches]."""
    if len(fork.parent) > len(x):
        parent = torch.from_numpy(fork.parent).to(x.device)
        x, z = x[parent], z[parent]
    heads, mlp = masks[fork.member, :-1], masks[fork.member, -1]
    if not heads.all():
        z = ablation.replaced(z, torch.from_numpy(heads), index)
    return rest_of_layer(x, z, llama, index, None if mlp.all() else torch.from_numpy(mlp))


def _read(
    x: States, state: Int[np.ndarray, " items"], question: Asked, llama: Llama
) -> Float[Tensor, " reads"]:
    """The log-probabilities to read, for a few states at a time: vocabularies are large."""
    of_read = torch.from_numpy(state)[question.item]
    values = torch.zeros(len(of_read), dtype=x.dtype)
    size = max(1, LOGITS // (x.shape[1] * len(llama.unembedding)))
    for start in range(0, len(x), size):
        found = log_probs(x[start : start + size], llama)
        mine = (of_read >= start) & (of_read < start + size)
        where = (of_read[mine] - start, question.column[mine])
        at = tuple(part.to(found.device) for part in where)
        values[mine] = read_off(found, at, question.token[mine]).cpu()
    return values
