"""Order and batches of (input, mask) pairs, and the computation that pairs share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from headspex.hooks.inputs import Inputs


@dataclass(frozen=True, eq=False)
class Work:
    """One call's work: items are (row, input) pairs, one or more per row.

    A layer's switches are its heads, then its MLP. `codes` numbers the distinct masks of each
    layer. `ranks` orders whole masks so that masks with equal first layers are adjacent.
    """

    rows: Int[np.ndarray, " items"]
    inputs: Int[np.ndarray, " items"]
    masks: Bool[np.ndarray, "rows layers switches"]
    codes: Int[np.ndarray, "rows layers"]
    ranks: Int[np.ndarray, " rows"]
    before_last: Int[np.ndarray, " rows"]  # as ranks, without the last layer
    first: int  # the first layer with anything off; the last layer if nothing is off
    n_choices: int


def plan_work(
    inputs: Inputs,
    questions: Sequence[int] | Int[np.ndarray, " rows"],
    masks: Bool[np.ndarray, "rows layers switches"],
) -> Work:
    """The work of rows: row i asks question `questions[i]` under `masks[i]`."""
    found = [inputs.of_question[question] for question in questions]
    packed = np.packbits(masks, axis=2)
    codes = np.stack([_numbered(packed[:, layer]) for layer in range(masks.shape[1])], axis=1)
    touched = ~masks.all(axis=(0, 2))
    return Work(
        rows=np.repeat(np.arange(len(found)), list(map(len, found))),
        inputs=np.array([index for indices in found for index in indices], dtype=np.int64),
        masks=masks,
        codes=codes,
        ranks=_numbered(codes),
        before_last=_numbered(codes[:, :-1]),
        first=int(touched.argmax()) if touched.any() else masks.shape[1] - 1,
        n_choices=inputs.n_choices,
    )


def chunks(
    work: Work, inputs: Inputs, items: Int[np.ndarray, " items"], batch_tokens: int
) -> Iterator[Int[np.ndarray, " chunk"]]:
    """Split `items` into parts whose inputs share one prefix, or have none.

    The prefix is computed once per mask, so `batch_tokens` limits the masks of a part.
    """
    together: dict[tuple[int, ...], list[int]] = {}
    for item in items:
        together.setdefault(inputs.beginning(int(work.inputs[item])), []).append(int(item))
    for beginning, members in together.items():
        part = np.array(members)
        if not beginning:
            yield part
            continue
        part = part[np.argsort(work.ranks[work.rows[part]], kind="stable")]
        ranks = _numbered(work.ranks[work.rows[part]][:, None])
        yield from _cut(part, ranks // max(1, batch_tokens // len(beginning)))


def batches(
    work: Work,
    items: Int[np.ndarray, " items"],
    lengths: Int[np.ndarray, " inputs"],
    batch_tokens: int,
    *,
    merged: bool,
) -> Iterator[Int[np.ndarray, " batch"]]:
    """Split `items` into batches of at most `batch_tokens` tokens with padding, or of one item.

    Long inputs come first: there is little padding, and running out of memory shows at once. Equal
    inputs are adjacent, and among them masks with equal first layers.

    Args:
        work: the call's work.
        items: some of its items.
        lengths: tokens of every input.
        batch_tokens: the most tokens of a batch.
        merged: whether items whose masks differ only in the last layer count as one item, plus
            one token for each further item.
    """
    rows, asked = work.rows[items], work.inputs[items]
    order = np.lexsort((rows, work.ranks[rows], asked, -lengths[asked]))
    items, rows, asked = items[order], rows[order], asked[order]
    state = np.stack([asked, work.before_last[rows]])
    new = np.append(True, (state[:, 1:] != state[:, :-1]).any(axis=0)) | (not merged)
    start, used = 0, 0
    for end, tokens in enumerate(lengths[asked].tolist()):
        # The first input of a batch is the longest; the others are padded to it.
        cost = int(lengths[asked[start]]) if new[end] else 1
        if end > start and used + cost > batch_tokens:
            yield items[start:end]
            start, used, cost = end, 0, tokens
        used += cost
    yield items[start:]


@dataclass(frozen=True, eq=False)
class Fork:
    """How the masks of one layer split the states of a batch."""

    parent: Int[np.ndarray, " states"]  # the state before this layer's masks
    member: Int[np.ndarray, " states"]  # one item of each state
    of_item: Int[np.ndarray, " items"]  # the state of each item


def forks(
    start: Int[np.ndarray, " items"], codes: Int[np.ndarray, "items layers"]
) -> tuple[Fork, ...]:
    """How the states of a batch split, layer by layer.

    Two items share a state, which is computed once, while their `start` (numbered from 0) and all
    their masks so far are equal.
    """
    found, state = [], start
    for code in codes.T:
        key = state * (int(codes.max()) + 1) + code
        _, member, of_item = np.unique(key, return_index=True, return_inverse=True)
        found.append(Fork(state[member], member, of_item))
        state = of_item
    return tuple(found)


def _numbered(table: np.ndarray) -> Int[np.ndarray, " rows"]:
    """Equal rows get equal numbers, from 0 in lexicographic order."""
    if table.shape[1] == 0:
        return np.zeros(len(table), dtype=np.int64)
    return np.unique(table, axis=0, return_inverse=True)[1].reshape(-1)


def _cut(items: np.ndarray, group: np.ndarray) -> Iterator[np.ndarray]:
    """Consecutive items with equal `group`."""
    yield from np.split(items, np.flatnonzero(np.diff(group)) + 1)
