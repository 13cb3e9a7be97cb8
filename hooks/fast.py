"""The fast path: a forward pass under many masks, computing only what answers need.

- Layers below the first ablated part are computed once per input (`headspex.hooks.prefix`).
- A prefix that inputs share, such as worked examples, is computed once per mask.
- For the same input, masks with equal first layers share the computation of these layers.
- The last layer and the logits are computed at the answers' positions only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from headspex.hooks.ablation import Ablation
from headspex.hooks.answers import (
    Answers,
    Asked,
    asked,
    divergence,
    exact_log_probs,
    read_off,
)
from headspex.hooks.attention import Heads, KeysValues, States
from headspex.hooks.batching import Work, batches, chunks, forks
from headspex.hooks.corrupted import Corrupted
from headspex.hooks.decoder import UNCHANGED, Decoder, Edit
from headspex.hooks.fill import Fill, Parts
from headspex.hooks.inputs import Inputs
from headspex.hooks.kept import Kept, limit_of
from headspex.hooks.prefix import Trunk

LOGITS = 2**26  # computed at once: 256 MiB in float32


@dataclass(frozen=True, eq=False)
class Shared:
    """A prefix under several masks: keys and values of the first ablated layer and those above."""

    kv: dict[int, KeysValues]
    state: dict[int, Int[np.ndarray, " masks"]]  # the row of `kv` of each mask
    mask_of_rank: dict[int, int]

    @property
    def length(self) -> int:
        """Tokens of the prefix."""
        k, _ = next(iter(self.kv.values()))
        return k.shape[2]

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
        self.decoder, self._inputs = decoder, inputs
        self._corrupted = Corrupted(partial(decoder_outputs, decoder), decoder.device)
        self.forget(batch_tokens)

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
                how = ablation
                if ablation.resampled is not None:
                    own = [self._inputs.passes[index] for index in question.inputs]
                    how = Ablation(self._corrupted.fill(own, ablation.resampled))
                states = BatchInputs(question.inputs, question.of_item, question.places)
                x, state = final_states(self.decoder, self._trunk, work, batch, states, how, shared)
                whole = None
                if question.kl is not None:
                    whole = self._whole(question.inputs.tolist(), beginning)
                values, kl = _read(x, state, question, self.decoder, whole)
                rows = torch.from_numpy(work.rows[batch])
                yield batch, Answers.of(rows, question, values, kl)

    def forget(self, batch_tokens: int) -> None:
        """Empty the cache between calls; later batches of it hold `batch_tokens` tokens."""
        self._trunk = Trunk(self.decoder, self._inputs, batch_tokens)
        self._final: Kept[int, Tensor] = Kept(limit_of(self.decoder.device))

    def _whole(self, indices: list[int], beginning: tuple[int, ...]) -> States:
        """The last residual stream of the whole model where inputs are read, padded."""
        decoder = self.decoder

        def computed(new: list[int]) -> list[Tensor]:
            x = self._trunk.states(new, decoder.last)
            places = [self._inputs.places(index) for index in new]
            at = pad_sequence([torch.tensor(one) for one in places], batch_first=True)
            past = None
            if beginning:
                past = self._trunk.beginning(beginning, decoder.last).kv[decoder.last]
            y = last_layer(decoder, x, at, decoder.keys_values(x, decoder.last, past))
            return [own[: len(one)] for own, one in zip(y, places, strict=True)]

        found = self._final.all(indices, computed)
        return pad_sequence([found[index] for index in indices], batch_first=True)

    def _shared(
        self, beginning: tuple[int, ...], work: Work, chunk: np.ndarray, ablation: Ablation
    ) -> Shared:
        decoder = self.decoder
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


@dataclass(frozen=True, eq=False)
class BatchInputs:
    """The distinct inputs of a batch of items.

    Attributes:
        inputs: each once.
        of_item: the input of each item, as an index into `inputs`.
        places: positions whose last state is wanted, [inputs, places]; None: all.
    """

    inputs: Int[np.ndarray, " inputs"]
    of_item: Int[np.ndarray, " items"]
    places: Int[Tensor, "inputs places"] | None = None


def final_states(
    decoder: Decoder,
    trunk: Trunk,
    work: Work,
    items: Int[np.ndarray, " items"],
    batch: BatchInputs,
    ablation: Ablation,
    shared: Shared | None = None,
) -> tuple[States, Int[np.ndarray, " items"]]:
    """The residual stream after the last layer, once for each distinct (input, mask) pair.

    Args:
        decoder: the model.
        trunk: of the decoder.
        work: the call's work.
        items: some of its items.
        batch: their inputs.
        ablation: a fill of resample ablation has one row for each distinct input.
        shared: the prefix of all these inputs under the masks of the items, if they share one.

    Returns:
        The states at the wanted places, and the state of each item.
    """
    rows = work.rows[items]
    x = trunk.states(batch.inputs.tolist(), work.first)
    parted = forks(batch.of_item, work.codes[rows, work.first :])
    before = np.unique(batch.of_item, return_index=True)[1]  # one item of each state
    for index, fork in enumerate(parted, work.first):
        source = batch.of_item[fork.member]
        own, masks = ablation.of_rows(source), work.masks[rows[fork.member], index]
        at = None
        if index == decoder.last and batch.places is not None:
            at = batch.places[source]
        edit = _edit(masks, own, index, _absolute(at, x, shared))
        ranks = work.ranks[rows[fork.member if at is None else before]]
        past = None if shared is None else shared.past(index, ranks)
        if at is None:
            x, _ = decoder.layer(_rows(x, fork.parent), index, edit, past=past)
        else:
            k, v = decoder.keys_values(x, index, past)
            known = _rows(k, fork.parent), _rows(v, fork.parent)
            x = last_layer(decoder, _rows(x, fork.parent), at, known, edit)
        before = fork.member
    return x, parted[-1].of_item


def last_layer(
    decoder: Decoder,
    x: States,
    places: Int[Tensor, "states places"],
    known: KeysValues,
    edit: Edit = UNCHANGED,
) -> States:
    """The residual stream after the last layer, at some places of `x`.

    Args:
        decoder: the model.
        x: the residual stream before the layer, at all tokens after a shared prefix.
        places: of `x`.
        known: the layer's keys and values of all tokens.
        edit: what is changed in it.
    """
    start = known[0].shape[2] - x.shape[1]
    own = x.gather(1, places.to(x.device)[..., None].expand(-1, -1, x.shape[-1]))
    return decoder.layer_at(own, decoder.last, places + start, known, edit)


def _edit(
    masks: Bool[np.ndarray, "states switches"],
    ablation: Ablation,
    index: int,
    places: Int[Tensor, "states places"] | None = None,
) -> Edit:
    """What the masks of a layer do to states, at some places or, in order, at all."""
    heads, mlp = torch.from_numpy(masks[:, :-1]), torch.from_numpy(masks[:, -1])

    def replaced(z: Heads) -> Heads:
        return ablation.replaced(z, heads, index, places)

    def replaced_mlp(out: States) -> States:
        return ablation.replaced_mlp(out, mlp, index, places)

    return Edit(None if heads.all() else replaced, None if mlp.all() else replaced_mlp)


def _absolute(
    places: Int[Tensor, "states places"] | None, x: States, shared: Shared | None
) -> Int[Tensor, "rows places"] | None:
    """Places counted from the first token of the input; None: all of an input, in order."""
    if shared is None:
        return places
    own = torch.arange(x.shape[1])[None] if places is None else places
    return own + shared.length


def _rows(x: Tensor, parent: Int[np.ndarray, " states"]) -> Tensor:
    """The states before a fork, once for each state after it."""
    if len(parent) == len(x):  # the states after a fork are in the order of those before it
        return x
    return x[torch.from_numpy(parent).to(x.device)]


def decoder_outputs(decoder: Decoder, tokens: Int[Tensor, "batch pos"], parts: Parts) -> Fill:
    """As `headspex.hooks.part_outputs`."""
    heads: list[Heads] = []
    mlps: list[States] = []

    def recorded(z: Heads) -> Heads:
        heads.append(z)
        return z

    def recorded_mlp(out: States) -> States:
        mlps.append(out)
        return out

    edit = Edit(recorded if parts.heads else None, recorded_mlp if parts.mlps else None)
    x = decoder.embedded(tokens)
    for index in range(decoder.last + 1):
        x, _ = decoder.layer(x, index, edit)
    return Fill(_stacked(heads), _stacked(mlps))


def _stacked(found: list[Tensor]) -> Tensor | None:
    return torch.stack([one.to(found[0].device) for one in found]) if found else None


def _read(
    x: States,
    state: Int[np.ndarray, " items"],
    question: Asked,
    decoder: Decoder,
    whole: States | None,
) -> tuple[Float[Tensor, " reads"], Float[Tensor, "items places"] | None]:
    """The log-probabilities to read, and KL divergences from the whole model at all places.

    A few states at a time: vocabularies are large.
    """
    of_read = torch.from_numpy(state)[question.item]
    values = torch.zeros(len(of_read), dtype=x.dtype)
    divergences = []
    input_of = question.of_item[np.unique(state, return_index=True)[1]]  # of each state
    size = max(1, LOGITS // (x.shape[1] * decoder.vocabulary))
    for start in range(0, len(x), size):
        logits = decoder.logits(x[start : start + size])
        found = torch.log_softmax(logits, dim=-1)
        mine = (of_read >= start) & (of_read < start + size)
        where = (of_read[mine] - start, question.column[mine])
        at = tuple(part.to(found.device) for part in where)
        values[mine] = read_off(found, at, question.token[mine]).cpu()
        if whole is not None:
            own, of_state = np.unique(input_of[start : start + size], return_inverse=True)
            expected = exact_log_probs(decoder.logits(whole[torch.from_numpy(own).to(x.device)]))
            of = torch.from_numpy(of_state).to(found.device)
            masked = found if logits.dtype == torch.float32 else exact_log_probs(logits)
            divergences.append(divergence(expected[of], masked).cpu())
    return values, torch.cat(divergences)[torch.from_numpy(state)] if divergences else None
