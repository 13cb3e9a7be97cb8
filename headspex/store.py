"""Scores on disk: what each mask answered to each question."""

import sqlite3
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.errors import UsageError

_SCHEMA = """
create table if not exists scores (
    mask blob not null,         -- bits of the players that stay on, packed
    question integer not null,  -- position in questions.json
    log_probs blob not null,    -- of the choices, little-endian float32
    primary key (mask, question)
) without rowid
"""


class ScoreStore:
    """`scores.sqlite` of a run: (mask, question) -> log-probabilities of the choices.

    Scores are kept as they were measured; every metric is computed from them. A question may have
    fewer choices than the widest: the rest is -inf.
    """

    def __init__(self, path: Path | str) -> None:
        """Open or create.

        Args:
            path: the file, or ":memory:".

        Raises:
            UsageError: the file cannot be opened, or is no database.
        """
        try:
            self._database = sqlite3.connect(path)
            self._database.execute(_SCHEMA)
        except sqlite3.Error as error:
            raise UsageError(f"scores cannot be kept in {path}: {error}") from error

    def __enter__(self) -> "ScoreStore":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was added stays."""
        self._database.close()

    def __len__(self) -> int:
        return int(self._database.execute("select count(*) from scores").fetchone()[0])

    def add(
        self,
        masks: Bool[np.ndarray, "rows players"],
        questions: Int[np.ndarray, " rows"],
        log_probs: Float[np.ndarray, "rows choices"],
    ) -> None:
        """Keep a block of scores, all of it or nothing; what is there already stays as it is.

        Raises:
            UsageError: the disk is full or cannot be written.
        """
        values = log_probs.astype("<f4")
        rows = [
            (packed.tobytes(), int(question), value.tobytes())
            for packed, question, value in zip(
                np.packbits(masks, axis=1), questions, values, strict=True
            )
        ]
        try:
            with self._database:
                self._database.executemany("insert or ignore into scores values (?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise UsageError(f"scores cannot be kept: {error}; what was kept is good") from error

    def get(
        self, masks: Bool[np.ndarray, "rows players"], questions: Int[np.ndarray, " rows"]
    ) -> list[Float[np.ndarray, " choices"] | None]:
        """The scores of each row, None where there are none yet."""
        find = "select log_probs from scores where mask = ? and question = ?"
        found: list[Float[np.ndarray, " choices"] | None] = []
        for packed, question in zip(np.packbits(masks, axis=1), questions, strict=True):
            row = self._database.execute(find, (packed.tobytes(), int(question))).fetchone()
            found.append(None if row is None else np.frombuffer(row[0], "<f4"))
        return found
