"""Measure a run's scores in shares, by independent processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from headspex.budget.allocation import Allocation
from headspex.budget.plan import Plan
from headspex.budget.sample import draw_sample
from headspex.errors import UsageError
from headspex.runs.findings import search_passes
from headspex.runs.lock import locked
from headspex.runs.ray_pool import Pool
from headspex.runs.run import allocation_of, open_run
from headspex.runs.run_folder import RunFolder, read_run
from headspex.scores.block import Block
from headspex.scores.evaluate import Passes
from headspex.scores.store import ScoreStore
from headspex.setup import Setup
from headspex.support.identity import first_difference


@dataclass(frozen=True)
class Shard:
    """The `number`-th of `count` equal shares, counted from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From text such as "2/8".

        Raises:
            UsageError: bad syntax, or a share out of range.
        """
        number, slash, count = text.partition("/")
        if slash and number.isdecimal() and count.isdecimal() and len(text) < 20:
            found = cls(int(number), int(count))
            if 1 <= found.number <= found.count:
                return found
        raise UsageError(f"--shard must be i/n with 1 <= i <= n, such as 2/8, but is {text!r}")


def score_shard(setup: Setup, out: Path, shard: Shard, pool: Pool) -> int:
    """Measure a share of the blocks of search, fresh and watched masks, in a folder of its own.

    Every shard measures the whole pilot, as all must make the same choices from it.

    Returns:
        Number of passes in the share.
    """
    with open_run(setup, out, pool) as opened:
        allocation = allocation_of(setup, opened)
        every = _blocks(setup.plan, allocation, setup.settings.seed)
        blocks = list(islice(every, shard.number - 1, None, shard.count))
        total = sum(map(len, blocks))
        if blocks:
            opened.judge.measure(blocks, total=total, what=f"shard {shard.number}/{shard.count}")
        return total


def _blocks(plan: Plan, allocation: Allocation, seed: int) -> Iterator[Block]:
    """The blocks that all shards of a run measure together."""
    sample = draw_sample(plan, allocation, seed=seed)
    for passes in (
        *search_passes(sample),
        Passes.of_each(sample.fresh, sample.fresh_asked),
        Passes.of_each(sample.watched, sample.watched_search),
    ):
        yield from passes


def merge(to: Path, shards: Sequence[Path]) -> int:
    """Join the scores of shards of one run; `headspex prune` continues from them.

    Blocks that no shard has are reported on standard error; the run will measure them.

    Args:
        to: a new folder, or one of this run.
        shards: folders of `headspex score`.

    Returns:
        Number of blocks in the joined store.

    Raises:
        UsageError: shards of different runs, a shard named twice, or a folder in use.
    """
    for number, shard in enumerate(shards):
        if any(shard.resolve() == earlier.resolve() for earlier in shards[:number]):
            raise UsageError(f"each shard counts once, but {shard} is named twice; leave one out")
    identity = read_run(shards[0])["identity"]
    for shard in shards[1:]:
        difference = first_difference(identity, read_run(shard)["identity"])
        if difference is not None:
            raise UsageError(
                f"merged shards must be of one run, but those in {shards[0]} and {shard} differ "
                f"({difference})"
            )
    with ScoreStore(RunFolder(shards[0]).scores) as first:
        fingerprint = first.fingerprint
    folder, differing = RunFolder(to), 0
    with locked(to):
        folder.begin(identity)
        with ScoreStore(folder.scores, fingerprint) as store:
            for shard in shards:
                with locked(shard), ScoreStore(RunFolder(shard).scores, fingerprint) as part:
                    for block, scores in part.blocks():
                        differing += _join(store, block, scores)
            joined = len(store)
            chosen = filter(None, (RunFolder(shard).allocation() for shard in shards))
            if (spent := next(chosen, None)) is not None:
                _report_missing(store, identity, Allocation.from_dict(spent))
    if differing:
        print(
            f"headspex: {differing} blocks were measured by two shards with different last bits, "
            "as on different hardware; the first shard's scores count",
            file=sys.stderr,
        )
    return joined


def _report_missing(store: ScoreStore, identity: dict[str, Any], spent: Allocation) -> None:
    blocks = list(_blocks(Plan.of_run(identity), spent, identity["seed"]))
    present = sum(block in store for block in blocks)
    if present < len(blocks):
        print(
            f"headspex: {present} of the {len(blocks)} blocks of the search and of fresh masks are "
            "there; merge the other shards too, or the run will measure the rest itself",
            file=sys.stderr,
        )


def _join(store: ScoreStore, block: Block, scores: np.ndarray) -> bool:
    """Add a block if it is new; returns whether a known block has other scores."""
    known = store.get(block)
    if known is None:
        store.add(block, scores)
        return False
    return known.tobytes() != scores.tobytes()
