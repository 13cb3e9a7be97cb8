"""Sets of players and the algebra of multilinear polynomials over them, as arrays.

A polynomial is a list of `Block`s, one per order. Everything that changes a basis - trees to
characters, characters to other characters, characters to products of masks - is one operation:
replace each factor of a term by `stay + take * (new factor)`, multiply out, add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, combinations
from math import comb
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int, UInt64

from headspex.errors import UsageError

Term: TypeAlias = tuple[int, ...]  # ascending columns; () is the constant

MAX_TERMS = 1 << 24  # 16.8 million terms of order 4 hold 0.4 GB
_CHUNK = 1 << 20  # products multiplied out at once: about 60 MB with their columns
# A sum below this share of its summands' magnitude is an exact zero up to rounding.
_ROUNDING = 16 * np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False)
class Block:
    """Terms of one order with their coefficients; columns ascend within a row."""

    columns: Int[np.ndarray, "terms order"]
    coefficients: Float[np.ndarray, " terms"]

    @property
    def order(self) -> int:
        """How many players each term has."""
        return int(self.columns.shape[1])

    def terms(self) -> list[Term]:
        """The rows as tuples."""
        if self.order == 0:
            return [()] * len(self.columns)
        return list(zip(*self.columns.T.tolist(), strict=True))


def blocks_of(terms: Iterable[Term], coefficients: Float[np.ndarray, " terms"]) -> list[Block]:
    """Cut terms into blocks, in the same sequence.

    Raises:
        UsageError: the terms do not begin with () or are not sorted by order.
    """
    terms = list(terms)
    sizes = np.fromiter(map(len, terms), dtype=np.int64, count=len(terms))
    if not terms or terms[0] != () or (np.diff(sizes) < 0).any():
        raise UsageError("terms must begin with () and be sorted by (order, columns)")
    flat = np.fromiter(chain.from_iterable(terms), dtype=np.int64, count=int(sizes.sum()))
    # Columns beyond int32 stay out of range, for the caller to refuse.
    flat = flat.clip(-1, np.iinfo(np.int32).max).astype(np.int32)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    blocks = []
    for order in np.unique(sizes):
        first, last = np.searchsorted(sizes, [order, order + 1])
        columns = flat[ends[first] : ends[last]].reshape(last - first, order)
        blocks.append(Block(columns=columns, coefficients=coefficients[first:last]))
    return blocks


def sort_keys(
    columns: Int[np.ndarray, "terms order"], n_players: int
) -> UInt64[np.ndarray, "words terms"]:
    """Pack each row into as few 64-bit words as it needs; words compare as the rows do."""
    bits = max(1, (n_players - 1).bit_length())
    per_word = 64 // bits
    count, order = columns.shape
    keys = np.zeros((max(1, -(-order // per_word)), count), dtype=np.uint64)
    for position in range(order):
        word = keys[position // per_word]
        word <<= np.uint64(bits)
        word |= columns[:, position].astype(np.uint64)
    return keys


def merge(
    columns: Int[np.ndarray, "terms order"],
    coefficients: Float[np.ndarray, " terms"],
    n_players: int,
) -> Block:
    """Add up equal rows and sort them; sums that cancelled to rounding error are dropped."""
    if len(columns) == 0:
        return Block(columns=columns, coefficients=coefficients)
    keys = sort_keys(columns, n_players)
    # Stable, so that summation has the same order on every machine.
    sorter = np.argsort(keys[0], kind="stable") if len(keys) == 1 else np.lexsort(keys[::-1])
    keys = keys[:, sorter]
    first = np.concatenate([[True], (keys[:, 1:] != keys[:, :-1]).any(axis=0)])
    starts = np.flatnonzero(first)
    ordered = coefficients[sorter]
    sums = np.add.reduceat(ordered, starts)
    kept = np.abs(sums) > _ROUNDING * np.add.reduceat(np.abs(ordered), starts)
    return Block(columns=columns[sorter[starts[kept]]], coefficients=sums[kept])


def multiply_out(
    columns: Int[np.ndarray, "terms order"],
    coefficients: Float[np.ndarray, " terms"],
    stay: Float[np.ndarray, "terms order"],
    take: Float[np.ndarray, "terms order"],
) -> Iterator[Block]:
    """Expand coefficient * prod_i (stay_i + take_i x_i) of every row into products of x.

    Yields blocks with repeated rows, a bounded number of products at a time.

    Raises:
        UsageError: a row has so many factors that its products alone exceed `MAX_TERMS`.
    """
    order = columns.shape[1]
    if 1 << order > MAX_TERMS:
        raise UsageError(
            f"a term of {order} players expands to 2**{order} terms, more than {MAX_TERMS:,}; "
            "drop terms of such order first with Spectrum.truncate(max_order=...)"
        )
    step = max(1, _CHUNK >> order)
    choices = [
        np.array(list(combinations(range(order), size)), dtype=np.int64).reshape(
            comb(order, size), size
        )
        for size in range(order + 1)
    ]
    for start in range(0, len(columns), step):
        rows = slice(start, start + step)
        products = coefficients[rows, None]
        for factor in range(order):  # bit `factor` of the product's index: x_factor is taken
            products = np.concatenate(
                [products * stay[rows, factor, None], products * take[rows, factor, None]], axis=1
            )
        for chosen in choices:
            values = products[:, (1 << chosen).sum(axis=1)]
            alive = values != 0.0
            yield Block(columns=columns[rows][:, chosen][alive], coefficients=values[alive])


def collect(parts: Iterable[Block], n_players: int) -> list[Block]:
    """Add up blocks that may repeat terms into one sorted block per order.

    Raises:
        UsageError: more than `MAX_TERMS` terms remain.
    """
    merged: dict[int, Block] = {}
    pending: dict[int, list[Block]] = {}
    n_pending = 0

    def settle() -> None:
        for order, blocks in pending.items():
            blocks = [merged[order], *blocks] if order in merged else blocks
            merged[order] = merge(
                np.concatenate([block.columns for block in blocks]),
                np.concatenate([block.coefficients for block in blocks]),
                n_players,
            )
        pending.clear()
        n_terms = sum(len(block.coefficients) for block in merged.values())
        if n_terms > MAX_TERMS:
            raise UsageError(
                f"the expansion has {n_terms:,} terms, more than {MAX_TERMS:,}; "
                "drop weak or high-order terms first with Spectrum.truncate(...)"
            )

    for part in parts:
        pending.setdefault(part.order, []).append(part)
        n_pending += len(part.coefficients)
        n_merged = sum(len(block.coefficients) for block in merged.values())
        if n_pending > max(4 * _CHUNK, n_merged):  # doubling: each term is sorted O(log) times
            settle()
            n_pending = 0
    settle()
    return [merged[order] for order in sorted(merged) if len(merged[order].coefficients)]


def substitute(
    blocks: Iterable[Block],
    stay: Float[np.ndarray, " players"],
    take: Float[np.ndarray, " players"],
    n_players: int,
) -> list[Block]:
    """The polynomial after every variable x_i is replaced by stay_i + take_i y_i."""
    parts = (
        part
        for block in blocks
        for part in multiply_out(
            block.columns, block.coefficients, stay[block.columns], take[block.columns]
        )
    )
    return collect(parts, n_players)


def check_blocks(blocks: Iterable[Block], n_players: int) -> None:
    """Refuse terms that are not unique and sorted, with ascending columns.

    Raises:
        UsageError: as above, or a column out of range.
    """
    for block in blocks:
        columns = block.columns
        if columns.size and not (columns.min() >= 0 and columns.max() < n_players):
            raise UsageError(f"terms name columns outside 0..{n_players - 1}")
        if (columns[:, 1:] <= columns[:, :-1]).any():
            raise UsageError("the columns of a term must ascend, each named once")
        keys = sort_keys(columns, n_players)
        differ = keys[:, 1:] != keys[:, :-1]
        first = differ.argmax(axis=0)  # the first word in which a row differs from its neighbour
        rows = np.arange(len(first))
        if not (differ.any(axis=0) & (keys[first, rows + 1] > keys[first, rows])).all():
            raise UsageError("terms must be sorted by (order, columns), each named once")
