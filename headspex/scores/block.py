"""A block: the rows of (mask, question) that are measured together, and kept together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

SLOPE_PASSES = 3  # that a slope of a question costs: the forward pass, and the backward one as two
BLOCK = 1_024  # rows: about a second on a laptop, ten seconds of an 8B model on a large GPU


@dataclass(frozen=True, eq=False)
class Block:
    """Rows that share their fate: row i asks `questions[i]` under `masks[i]`.

    The last bits of a score depend on what else is in its batches. So a block is measured whole,
    its scores are a function of its rows alone, and it is found again by them.
    """

    masks: Bool[np.ndarray, "rows players"]
    questions: Int[np.ndarray, " rows"]

    def __len__(self) -> int:
        return len(self.questions)

    @cached_property
    def parts(self) -> tuple[bytes, bytes, bytes]:
        """Masks (bits, each byte-aligned), how many rows in turn each is for, and questions.

        Numbers are little-endian uint32. Neighbours with the same mask share it.
        """
        packed = np.packbits(self.masks, axis=1)
        new = np.append(True, (packed[1:] != packed[:-1]).any(axis=1))[: len(packed)]
        runs = np.diff(np.append(np.flatnonzero(new), len(packed)))
        numbers = (runs.astype("<u4").tobytes(), self.questions.astype("<u4").tobytes())
        return packed[new].tobytes(), *numbers

    @cached_property
    def key(self) -> bytes:
        """16 bytes that no other block has."""
        return digest([str(self.masks.shape[1]).encode(), *self.parts])

    @classmethod
    def of_parts(cls, n_players: int, parts: Sequence[bytes]) -> Block:
        """What `parts` came from.

        Raises:
            ValueError: they fit no block.
        """
        masks, runs, questions = (
            np.frombuffer(part, kind)
            for part, kind in zip(parts, ("u1", "<u4", "<u4"), strict=True)
        )
        if not 0 < n_players < 2**24 or int(runs.sum()) != len(questions):
            raise ValueError("masks and questions are not equally many")
        bits = np.unpackbits(masks.reshape(len(runs), -1), axis=1, count=n_players)
        return cls(np.repeat(bits.astype(bool), runs, axis=0), questions.astype(np.int64))


def digest(parts: Iterable[bytes], *, of: bytes = b"") -> bytes:
    """16 bytes of blake2b over parts and their lengths.

    Args:
        parts: what counts.
        of: at most 64 bytes under which equal parts get a digest of their own.
    """
    found = hashlib.blake2b(key=of, digest_size=16)
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.digest()
