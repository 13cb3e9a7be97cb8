"""A block: (mask, question) rows that are measured and stored together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

SLOPE_PASSES = 3  # cost of a question's slope: one forward pass, and a backward pass as two
# Rows of gradients: few, so that several workers share the 128 questions of a walk's step, but as
# many as a backward pass over short prompts takes.
SLOPE_BLOCK = 32
BLOCK = 1_024  # rows: about a second on a laptop, ten seconds of an 8B model on a large GPU


@dataclass(frozen=True, eq=False)
class Block:
    """Rows measured together: row i asks `questions[i]` under `masks[i]`.

    The last bits of a score depend on the rest of its batch. So a block is always measured whole:
    its scores are a function of its rows alone, and its rows are its key in the store.
    """

    masks: Bool[np.ndarray, "rows players"]
    questions: Int[np.ndarray, " rows"]

    def __len__(self) -> int:
        return len(self.questions)

    @cached_property
    def parts(self) -> tuple[bytes, bytes, bytes]:
        """Masks (packed bits, byte-aligned), the run length of each mask, and questions.

        Numbers are little-endian uint32. Consecutive rows with the same mask store it once.
        """
        packed = np.packbits(self.masks, axis=1)
        new = np.append(True, (packed[1:] != packed[:-1]).any(axis=1))[: len(packed)]
        runs = np.diff(np.append(np.flatnonzero(new), len(packed)))
        numbers = (runs.astype("<u4").tobytes(), self.questions.astype("<u4").tobytes())
        return packed[new].tobytes(), *numbers

    @cached_property
    def key(self) -> bytes:
        """A digest of 16 bytes that identifies the block."""
        return digest([str(self.masks.shape[1]).encode(), *self.parts])

    @classmethod
    def of_parts(cls, n_players: int, parts: Sequence[bytes]) -> Block:
        """The block with these `parts`.

        Raises:
            ValueError: they are inconsistent.
        """
        masks, runs, questions = (
            np.frombuffer(part, kind)
            for part, kind in zip(parts, ("u1", "<u4", "<u4"), strict=True)
        )
        if not 0 < n_players < 2**24 or int(runs.sum()) != len(questions):
            raise ValueError("the numbers of masks and questions differ")
        bits = np.unpackbits(masks.reshape(len(runs), -1), axis=1, count=n_players)
        return cls(np.repeat(bits.astype(bool), runs, axis=0), questions.astype(np.int64))


def digest(parts: Iterable[bytes], *, of: bytes = b"") -> bytes:
    """16 bytes of blake2b over parts and their lengths.

    Args:
        parts: the content.
        of: key of at most 64 bytes; another key gives another digest.
    """
    found = hashlib.blake2b(key=of, digest_size=16)
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.digest()
