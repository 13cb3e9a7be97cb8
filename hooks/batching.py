"""In which order and which batches (input, mask) pairs are run, and what they have in common."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from headspex.hooks.inputs import Inputs


@dataclass(frozen=True, eq=False)
class Work:
    """All that one call asks: items are (row, input) pairs, one or more a row.

    The last of a layer's switches is its MLP's, the others are its heads'. `codes` numbers the
    masks of each layer: equal number, equal mask of that layer. `ranks` orders
    whole masks so that masks with equal first layers stand together.
    """

    rows: Int[np.ndarray, " items"]
    inputs: Int[np.ndarray, " items"]
    masks: Bool[np.ndarray, "rows layers switches"]
    codes: Int[np.ndarray, "rows layers"]
    ranks: Int[np.ndarray, " rows"]
    before_last: Int[np.ndarray, " rows"]  # as ranks, the last layer left out
    first: int  # the first layer with anything off; the last one where there is none
    n_choices: int


def plan_work(
    inputs: Inputs,
    questions: Sequence[int] | Int[np.ndarray, " rows"],
    masks: Bool[np.ndarray, "rows layers switches"],
) -> Work:
    """What rows need; row i asks question `questions[i]` under `keep[i]`."""
    found = [inputs.of_question[question] for question in questions]
    packed = np.packbits(masks, axis=2)
    codes = np.stack([_numbered(packed[:, layer]) for layer in range(masks.shape[1])], axis=1)
    touched = ~masks.all(axis=(0, 2))
    return Work(
        rows=np.repeat(np.arange(len(found)), [len(one) for one in found]),
        inputs=np.array([index for one in found for index in one], dtype=np.int64),
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
    """Parts of `items` whose inputs share one beginning, or none.

    A beginning is computed once per mask of a part, so that a part holds as many masks as
    `batch_tokens` allow.
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
    """Parts of `items` of at most `batch_tokens` tokens with padding, or of one item.

    Long inputs come first, so that little is padded and too little memory shows at once; equal
    inputs stand together, and among them masks that begin alike.

    Args:
        work: what is asked.
        items: some of its items.
        lengths: tokens of every input.
        batch_tokens: what a batch may hold.
        merged: whether items that only the last layer's mask tells apart count as one, and one
            token for each further one.
    """
    rows, asked = work.rows[items], work.inputs[items]
    order = np.lexsort((rows, work.ranks[rows], asked, -lengths[asked]))
    items, rows, asked = items[order], rows[order], asked[order]
    state = np.stack([asked, work.before_last[rows]])
    new = np.append(True, (state[:, 1:] != state[:, :-1]).any(axis=0)) | (not merged)
    start, used = 0, 0
    for end, tokens in enumerate(lengths[asked].tolist()):
        # The first of a batch is the longest: the others are padded to it.
        cost = int(lengths[asked[start]]) if new[end] else 1
        if end > start and used + cost > batch_tokens:
            yield items[start:end]
            start, used, cost = end, 0, tokens
        used += cost
    yield items[start:]


@dataclass(frozen=True, eq=False)
class Fork:
    """Where a layer's masks part what was the same so far."""

    parent: Int[np.ndarray, " states"]  # the state before this layer's masks
    member: Int[np.ndarray, " states"]  # one item of each state
    of_item: Int[np.ndarray, " items"]  # the state of each item


def forks(
    start: Int[np.ndarray, " items"], codes: Int[np.ndarray, "items layers"]
) -> tuple[Fork, ...]:
    """How the states of a batch divide, layer by layer.

    Two items are in one state as long as they started alike (`start`, numbered from 0) and all
    their masks so far are equal: what is computed for one serves the other.
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
