"""Scores on disk: those of each mask on each question, block by block."""

from __future__ import annotations

import errno
import json
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float

from headspex.errors import UsageError, argument
from headspex.scores.block import Block, digest
from headspex.support.identity import first_difference

# The key is the first column, so that keys are read without the scores.
_SCHEMA = """
create table if not exists fingerprint (content text not null, checksum blob not null);
create table if not exists blocks (
    key blob not null,          -- digest of players, masks, runs and questions
    players integer not null,   -- bits of a mask
    masks blob not null,        -- packed bits, 1 = the player stays on
    runs blob not null,         -- number of consecutive rows of each mask, little-endian uint32
    questions blob not null,    -- positions in questions.json, search first, little-endian uint32
    log_probs blob not null,    -- of the choices, row by row, little-endian float32
    checksum blob not null      -- of the fingerprint and all of the above
);
"""
_COLUMNS = "key, players, masks, runs, questions, log_probs, checksum"
# Errors of the disk or folder; all other errors of SQLite mean that the file is damaged.
_DISK_ERRORS = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
}
_SMALLEST_ROW = 64  # bytes; two digests alone are 32
_VERSIONS = (b"\x01\x01", b"\x02\x02")  # bytes 18 and 19: rollback journal, WAL

Scores = Float[np.ndarray, "rows choices"]


class ScoreStore:
    """`scores.sqlite` of a run: a block of (mask, question) rows -> log-probabilities of choices.

    Raw scores are stored; every metric is computed from them. A question with fewer choices than
    the widest is padded with -inf.

    Every block has a checksum over its rows, its scores and the fingerprint, so that no score is
    ever used for another question, mask or model. Damaged blocks are reported on standard error
    and measured again; the damaged file is kept under another name.

    Args:
        path: the file, or ":memory:".
        fingerprint: everything that decides a score, as JSON; None takes the file's.

    Raises:
        UsageError: the file cannot be opened, is not a store, or has another fingerprint.
    """

    def __init__(self, path: Path | str, fingerprint: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self.fingerprint = dict(fingerprint or {})
        self._places: dict[bytes, int] = {}
        try:
            damage = self._open(fingerprint)
        except _DamageError as error:
            damage = str(error)
        if damage and not self.fingerprint:
            self.close()
            raise UsageError(f"{path} is damaged ({damage}): the origin of its scores is unknown")
        if damage:
            self._rescue(damage)

    def __enter__(self) -> ScoreStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __len__(self) -> int:
        """The number of blocks."""
        return len(self._places)

    def __contains__(self, block: Block) -> bool:
        return block.key in self._places

    def add(self, block: Block, log_probs: Scores) -> None:
        """Store a block of scores, all or nothing.

        Raises:
            UsageError: the disk is full or cannot be written.
        """
        scores = np.ascontiguousarray(log_probs, dtype="<f4").tobytes()
        row = [block.key, block.masks.shape[1], *block.parts, scores]
        try:
            with self._translated_errors(), self._database:
                self._insert([*row, self._checksum(row)])
        except _DamageError as error:
            raise UsageError(
                f"{self.path} has just been damaged ({error}); repeat the command, which rescues "
                "the intact blocks"
            ) from error

    def get(self, block: Block) -> Scores | None:
        """The scores of a block, float32; None if it has not been measured."""
        place = self._places.get(block.key)
        if place is None:
            return None
        found = None
        with suppress(_DamageError), self._translated_errors():
            query = f"select {_COLUMNS} from blocks where rowid = ?"
            found = self._database.execute(query, [place]).fetchone()
        if found is None or not self._is_good(found) or found[0] != block.key:
            # It was intact when the file was opened: the disk is failing.
            _warn(
                f"{len(block):,} scores in {self.path} have just been damaged; measuring them again"
            )
            del self._places[block.key]
            return None
        return _scores(found)

    def blocks(self) -> Iterator[tuple[Block, Scores]]:
        """All blocks, in the order they were added."""
        for place in sorted(self._places.values()):
            with self._translated_errors():
                query = f"select {_COLUMNS} from blocks where rowid = ?"
                found = self._database.execute(query, [place]).fetchone()
            yield Block.of_parts(found[1], found[2:5]), _scores(found)

    def _open(self, wanted: Mapping[str, Any] | None) -> str:
        """Open and check the file, and index its blocks; returns a description of any damage."""
        with self._translated_errors():
            self._database = sqlite3.connect(self.path)
        with self._closed_if_it_fails(), self._translated_errors():
            _check_header(self.path)
            # A rollback journal works on every file system, and FULL survives a power cut. A
            # commit takes milliseconds, measuring a block about a second.
            self._database.execute("pragma journal_mode = delete")
            self._database.execute("pragma synchronous = full")
            self._database.executescript(_SCHEMA)
            damage = self._read_fingerprint(wanted)
            (verdict,) = self._database.execute("pragma quick_check(1)").fetchone()
            if verdict != "ok":
                raise _DamageError(verdict)
            lost = 0
            for place, *row in self._database.execute(f"select rowid, {_COLUMNS} from blocks"):
                if self._is_good(row):
                    self._places[row[0]] = place
                else:
                    lost += 1
        return f"{lost} of its blocks fail their checksums" if lost else damage

    def _read_fingerprint(self, wanted: Mapping[str, Any] | None) -> str:
        """Take the file's fingerprint or check it; returns a description of any damage."""
        rows = self._database.execute("select content, checksum from fingerprint").fetchall()
        content = None
        for text, checksum in rows[:1]:
            if isinstance(text, str) and checksum == digest([text.encode()]):
                content = json.loads(text)
        self.fingerprint = dict(wanted if wanted is not None else content or {})
        text = json.dumps(self.fingerprint, sort_keys=True)
        if content is not None and (difference := first_difference(content, json.loads(text))):
            raise UsageError(
                "a store holds scores of one model, data set and settings, but those of "
                f"{self.path} differ ({difference}); choose another {argument('out')}"
            )
        self._fingerprint = digest([text.encode()])
        if rows and content is None:
            return "its fingerprint fails its checksum"
        if not rows:
            with self._database:
                self._database.execute(
                    "insert into fingerprint values (?, ?)", [text, self._fingerprint]
                )
        return ""

    def _rescue(self, damage: str) -> None:
        """Copy the intact blocks of a damaged file to a new one, and report it."""
        self.close()
        path = Path(self.path)
        names = (path.with_suffix(f".damaged-{number}") for number in range(1, 10_000))
        aside = next(name for name in names if not name.exists())
        try:
            path.replace(aside)
            # The old file's journal would be replayed into the new one.
            path.with_name(path.name + "-journal").unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(
                f"{path} is damaged ({damage}) and cannot be set aside: {error.strerror}"
            ) from error
        self._places = {}
        self._open(self.fingerprint)
        with self._closed_if_it_fails(), self._translated_errors(), self._database:
            for row in _readable(aside):
                if self._is_good(row) and row[0] not in self._places:
                    self._insert(row)
        _warn(
            f"{path} is damaged ({damage}); {len(self)} of its blocks are good and stay, the rest "
            f"is measured again, and the damaged file is kept as {aside.name}"
        )

    def _insert(self, row: Sequence[Any]) -> None:
        query = f"insert into blocks ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?)"
        self._places[row[0]] = int(self._database.execute(query, row).lastrowid or 0)

    def _is_good(self, row: Any) -> bool:
        kinds = (bytes, int, bytes, bytes, bytes, bytes, bytes)
        return all(map(isinstance, row, kinds)) and row[-1] == self._checksum(row[:-1])

    def _checksum(self, row: Any) -> bytes:
        key, players, *blobs = row
        return digest([key, str(players).encode(), *blobs], of=self._fingerprint)

    @contextmanager
    def _closed_if_it_fails(self) -> Iterator[None]:
        """Close the store on errors: the caller of a failed constructor cannot."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Turn disk errors into `UsageError`, and other errors of SQLite into `_DamageError`."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code is None or code & 0xFF not in _DISK_ERRORS:
                raise _DamageError(str(error)) from error
            raise UsageError(
                f"scores must go to a file that can be written, but {self.path} failed ({error}); "
                "stored scores are intact: check the disk and repeat the command"
            ) from error


class _DamageError(Exception):
    """The file's content has changed since it was written."""


def _readable(path: Path) -> Iterator[list[Any]]:
    """The rows of a damaged file that SQLite can still read."""
    query = f"select {_COLUMNS} from blocks where rowid = ?"
    with closing(sqlite3.connect(path)) as database:
        for place in range(1, path.stat().st_size // _SMALLEST_ROW):
            with suppress(sqlite3.Error):
                found = database.execute(query, [place]).fetchone()
                if found is not None:
                    yield list(found)


def _scores(row: Any) -> Scores:
    rows = len(row[4]) // 4
    return np.frombuffer(row[5], "<f4").reshape(rows, -1)


def _check_header(path: Path | str) -> None:
    """Raise `_DamageError` for a bad header, which SQLite would report as a read-only disk."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(100)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return
        raise UsageError(f"scores cannot be kept in {path}: {error.strerror}") from error
    if head and head[18:20] not in _VERSIONS:
        raise _DamageError("its header is not SQLite's")


def _warn(sentence: str) -> None:
    print(f"headspex: {sentence}", file=sys.stderr)
