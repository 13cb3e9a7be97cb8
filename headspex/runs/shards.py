"""A run's scores measured in shares, by processes that know nothing of each other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headspex.budget.sample import draw_sample
from headspex.errors import UsageError
from headspex.identity import first_difference
from headspex.runs.findings import search_passes
from headspex.runs.lock import locked
from headspex.runs.run import allocation_of, at_work
from headspex.runs.run_folder import RunFolder, read_run
from headspex.scores.block import Block
from headspex.scores.evaluate import Passes
from headspex.scores.store import ScoreStore

if TYPE_CHECKING:
    from headspex.study import Study


@dataclass(frozen=True)
class Shard:
    """The `number`-th of `count` equal shares, counted from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From text such as "2/8".

        Raises:
            UsageError: it names no share.
        """
        number, slash, count = text.partition("/")
        if slash and number.isdecimal() and count.isdecimal() and len(text) < 20:
            found = cls(int(number), int(count))
            if 1 <= found.number <= found.count:
                return found
        raise UsageError(f"--shard must be i/n with i within 1..n, such as 2/8, but is {text!r}")


def score_shard(
    study: Study, out: Path, shard: Shard, *, ray: str | None, cpus_per_worker: int | None
) -> int:
    """Measure a share of the blocks of search and fresh masks, into a folder of its own.

    A pilot, where there is one, is measured by every shard, as all must choose alike from it.

    Returns:
        How many passes the share has.
    """
    with at_work(study, out, ray=ray, cpus_per_worker=cpus_per_worker) as here:
        allocation = allocation_of(study, here)
        sample = draw_sample(study.plan, allocation, seed=study.settings.seed)
        asked = [
            *search_passes(sample),
            Passes.of_all(sample.fresh, sample.questions),
            Passes.of_all(sample.watched, sample.search),
        ]
        places = [(passes, number) for passes in asked for number in range(len(passes))]
        blocks = [passes[number] for passes, number in places[shard.number - 1 :: shard.count]]
        total = sum(map(len, blocks))
        if blocks:
            here.judge.measure(blocks, total=total, what=f"shard {shard.number}/{shard.count}")
        return total


def merge(to: Path, shards: Sequence[Path]) -> int:
    """Join the scores of shards of one run; `headspex prune` goes on with them.

    Args:
        to: a new folder, or one of this run.
        shards: folders of `headspex score`.

    Returns:
        How many blocks the joined store holds.

    Raises:
        UsageError: shards of different runs, or folders that are in use.
    """
    identity = read_run(shards[0])["identity"]
    for shard in shards[1:]:
        difference = first_difference(identity, read_run(shard)["identity"])
        if difference is not None:
            raise UsageError(
                f"shards of one run are merged, but {shard} is not of that of {shards[0]} "
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
    if differing:
        print(
            f"headspex: {differing} blocks were measured by two shards with different last bits, "
            "as on different hardware; the first one's count",
            file=sys.stderr,
        )
    return joined


def _join(store: ScoreStore, block: Block, scores: np.ndarray) -> bool:
    """Add a block that is not there yet; whether one that is there has other scores."""
    known = store.get(block)
    if known is None:
        store.add(block, scores)
        return False
    return known.tobytes() != scores.tobytes()
