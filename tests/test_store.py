"""Scores on disk, what happens to damaged ones, and their measurement in blocks."""

import json
import os
import resource
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headspex.errors import UsageError
from headspex.scores import evaluate as evaluation
from headspex.scores.block import Block
from headspex.scores.evaluate import InProcess, Passes, evaluate
from headspex.scores.store import ScoreStore

MODEL = {"weights": "abc", "dtype": "float32", "layers": [0, 2]}


def _block(seed: int, rows: int = 64, players: int = 21) -> Block:
    rng = np.random.default_rng(seed)
    masks = np.repeat(rng.random((rows // 4, players)) < 0.6, 4, axis=0)
    return Block(masks, rng.integers(50, size=rows))


def _values(seed: int, rows: int = 64) -> np.ndarray:
    values = np.random.default_rng([seed, 1]).normal(size=(rows, 4)).astype(np.float32)
    values[::7, 3] = -np.inf
    return values


def _filled(path: Path, n_blocks: int = 12) -> Path:
    with ScoreStore(path, MODEL) as store:
        for seed in range(n_blocks):
            store.add(_block(seed), _values(seed))
    return path


def _every_mask_with(n_questions: int) -> Passes:
    masks = np.array([[True, False, True], [False, False, True]])
    row = np.repeat(np.arange(2), n_questions)
    return Passes(masks, row, np.tile(np.arange(n_questions), 2))


class CountingScorer:
    """Scores a row by its mask and question; remembers how many rows it was asked for."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        self.rows += len(questions)
        return np.stack([masks.sum(axis=1), questions], axis=1).astype(np.float32)


def test_scores_come_back_bit_for_bit_and_absent_ones_as_none(tmp_path: Path) -> None:
    with ScoreStore(_filled(tmp_path / "scores.sqlite"), MODEL) as store:
        for seed in range(12):
            np.testing.assert_array_equal(store.get(_block(seed)), _values(seed))
        assert store.get(_block(12)) is None
        assert len(store) == 12
        assert _block(11) in store
        assert _block(12) not in store
        kept = list(store.blocks())
    for seed, (block, values) in enumerate(kept):
        np.testing.assert_array_equal(block.masks, _block(seed).masks)
        np.testing.assert_array_equal(block.questions, _block(seed).questions)
        np.testing.assert_array_equal(values, _values(seed))


@settings(max_examples=100)
@given(rows=st.integers(1, 40), players=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_block_is_made_again_from_its_parts(rows: int, players: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    block = Block(rng.random((rows, players)) < 0.5, rng.integers(9, size=rows))
    again = Block.of_parts(players, block.parts)
    np.testing.assert_array_equal(again.masks, block.masks)
    np.testing.assert_array_equal(again.questions, block.questions)
    assert again.key == block.key


def test_blocks_that_differ_in_a_bit_a_question_or_a_player_have_different_keys() -> None:
    block = _block(0)
    flipped, asked = block.masks.copy(), block.questions.copy()
    flipped[9, 20] ^= True
    asked[9] += 1
    wider = np.pad(block.masks, ((0, 0), (0, 1)))  # the same bytes once packed
    others = [Block(flipped, block.questions), Block(block.masks, asked),
              Block(wider, block.questions)]  # fmt: skip
    assert len({one.key for one in [block, *others]}) == 4


@pytest.mark.parametrize(
    ("other", "named"),
    [({**MODEL, "dtype": "bfloat16"}, "dtype: 'float32' there, 'bfloat16' here"),
     ({**MODEL, "layers": [0]}, r"layers: \[0, 2\] there"),
     ({**MODEL, "fill": "x"}, "fill: None there, 'x' here")],
)  # fmt: skip
def test_scores_of_something_else_are_refused_with_the_field_that_differs(
    tmp_path: Path, other: dict[str, object], named: str
) -> None:
    path = _filled(tmp_path / "scores.sqlite", 1)
    before = path.read_bytes()
    with pytest.raises(UsageError, match=named):
        ScoreStore(path, other)
    assert path.read_bytes() == before


def test_no_score_is_used_under_a_fingerprint_that_was_put_there_by_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, other = _filled(tmp_path / "scores.sqlite"), tmp_path / "other.sqlite"
    ScoreStore(other, {**MODEL, "weights": "xyz"}).close()
    with closing(sqlite3.connect(other)) as database:
        row = database.execute("select * from fingerprint").fetchone()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("update fingerprint set content = ?, checksum = ?", row)
    with ScoreStore(path, {**MODEL, "weights": "xyz"}) as store:
        assert len(store) == 0
    assert "12 of its blocks fail their checksums" in capsys.readouterr().err


def test_a_value_a_question_and_a_mask_that_were_changed_are_reported_once_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _filled(tmp_path / "scores.sqlite")
    with closing(sqlite3.connect(path)) as database, database:
        for rowid, column in ((1, "log_probs"), (2, "questions"), (3, "masks"), (4, "runs")):
            query = f"select {column} from blocks where rowid = {rowid}"
            (old,) = database.execute(query).fetchone()
            new = bytes([old[0] ^ 1]) + old[1:]
            database.execute(f"update blocks set {column} = ? where rowid = {rowid}", [new])
    with ScoreStore(path, MODEL) as store:
        assert [seed for seed in range(12) if store.get(_block(seed)) is None] == [0, 1, 2, 3]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "4 of its blocks fail their checksums" in said
    assert "8 of its blocks are good and stay" in said
    assert (tmp_path / "scores.damaged-1").is_file()
    with ScoreStore(path, MODEL) as store:
        assert len(store) == 8
    assert capsys.readouterr().err == ""


def _flips(size: int, count: int, seed: int) -> Iterator[tuple[int, int]]:
    rng = np.random.default_rng(seed)
    yield from zip(rng.integers(size, size=count), rng.integers(8, size=count), strict=True)


SLOW = pytest.mark.slow


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=SLOW) for seed in range(1, 4))])
def test_a_flipped_bit_is_harmless_or_reported_and_changes_no_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    """50 of 200 places over the whole file."""
    good = _filled(tmp_path / "good.sqlite")
    _flip_and_check(good, _flips(good.stat().st_size, 50, seed), capsys)


@pytest.mark.slow
def test_bits_flipped_where_sqlite_keeps_its_books_are_harmless_or_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Header, schema, and the headers of pages."""
    good = _filled(tmp_path / "good.sqlite", 40)
    size = good.stat().st_size
    places = [*range(0, 120, 2), *range(3_400, 4_096, 40)]
    places += [page + offset for page in range(4_096, size, 4_096) for offset in (0, 3, 5, 9, 13)]
    flips = ((place, place % 8) for place in places if place < size)
    _flip_and_check(good, flips, capsys, n_blocks=40)


def _flip_and_check(
    good: Path, flips: Iterator[tuple[int, int]], capsys: pytest.CaptureFixture[str],
    n_blocks: int = 12,
) -> None:  # fmt: skip
    data = good.read_bytes()
    for place, bit in flips:
        folder = good.parent / f"{place}-{bit}"
        folder.mkdir(exist_ok=True)
        path = folder / "scores.sqlite"
        changed = bytearray(data)
        changed[place] ^= 1 << bit
        path.write_bytes(changed)
        capsys.readouterr()
        with ScoreStore(path, MODEL) as store:
            missing = [seed for seed in range(n_blocks) if store.get(_block(seed)) is None]
            for seed in set(range(n_blocks)) - set(missing):
                np.testing.assert_array_equal(store.get(_block(seed)), _values(seed))
            said = capsys.readouterr().err
            assert not missing or "is damaged" in said, (place, bit)
            for seed in missing:
                store.add(_block(seed), _values(seed))
        with ScoreStore(path, MODEL) as store:
            for seed in range(n_blocks):
                np.testing.assert_array_equal(store.get(_block(seed)), _values(seed))
        assert capsys.readouterr().err == "", (place, bit)
        shutil.rmtree(folder)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.97])
def test_a_torn_file_keeps_what_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], share: float
) -> None:
    path = _filled(tmp_path / "scores.sqlite")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with ScoreStore(path, MODEL) as store:
        for seed in range(12):
            known = store.get(_block(seed))
            assert known is None or np.array_equal(known, _values(seed))
            if known is None:
                store.add(_block(seed), _values(seed))
        assert len(store) == 12
    assert ("is damaged" in capsys.readouterr().err) == (share > 0)


def test_a_file_that_is_no_database_is_kept_under_another_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scores.sqlite"
    path.write_text("these are not the scores you are looking for" * 100)
    with ScoreStore(path, MODEL) as store:
        assert len(store) == 0
    assert "kept as scores.damaged-1" in capsys.readouterr().err
    assert (tmp_path / "scores.damaged-1").read_text().startswith("these are not")


def test_a_damaged_store_of_nobody_knows_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    path.write_bytes(b"SQLite format 3\0" + b"x" * 5_000)
    with pytest.raises(UsageError, match="the origin of its scores is unknown"):
        ScoreStore(path)


@pytest.mark.parametrize("fault", ["of another model", "damaged", "no database"])
def test_a_store_that_cannot_be_opened_leaves_no_connection_open(
    tmp_path: Path, fault: str
) -> None:
    path = _filled(tmp_path / "scores.sqlite", 1)
    wanted = {"weights": "xyz"} if fault == "of another model" else None
    if fault == "damaged":
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("update fingerprint set checksum = x'00'")
    if fault == "no database":
        path.write_bytes(b"x" * 5_000)
    with pytest.raises(UsageError):
        ScoreStore(path, wanted)
    ours = {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
    assert str(path) not in ours


def _in_a_child(work: object) -> str:
    """What a function that may change its process says; it must end by a UsageError."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()  # type: ignore[operator]
            os.write(theirs, b"it worked")
        except UsageError as error:
            os.write(theirs, str(error).encode())
        except BaseException as error:  # noqa: BLE001 - the parent tells it
            os.write(theirs, repr(error).encode())
        os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    return os.read(ours, 10_000).decode()


@pytest.mark.parametrize("room", [0, 100, 900, 2_000])
def test_a_full_disk_ends_with_a_sentence_and_a_store_that_is_good(
    tmp_path: Path, room: int
) -> None:
    path = _filled(tmp_path / "scores.sqlite")

    def write_until_full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit = path.stat().st_size + room
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with ScoreStore(path, MODEL) as store:
            for seed in range(12, 40):
                store.add(_block(seed), _values(seed))

    said = _in_a_child(write_until_full)
    assert said.startswith("scores must go to a file that can be written"), said
    with ScoreStore(path, MODEL) as store:
        assert len(store) >= 12
        for seed in range(len(store)):
            np.testing.assert_array_equal(store.get(_block(seed)), _values(seed))


def test_a_read_only_folder_ends_with_a_sentence_and_a_store_that_is_good(tmp_path: Path) -> None:
    path = _filled(tmp_path / "scores.sqlite")
    before = path.read_bytes()
    for parent in path.parents[:3]:
        parent.chmod(0o755)
    path.chmod(0o444)
    tmp_path.chmod(0o555)

    def write_as_nobody() -> None:
        if os.getuid() == 0:
            os.setuid(65_534)
        with ScoreStore(path, MODEL) as store:
            store.add(_block(12), _values(12))

    try:
        said = _in_a_child(write_as_nobody)
    finally:
        tmp_path.chmod(0o755)
    assert said.startswith("scores must go to a file that can be written"), said
    assert path.read_bytes() == before


def test_a_place_that_cannot_hold_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must go to a file that can be written"):
        ScoreStore(tmp_path / "nowhere" / "scores.sqlite", MODEL)


def test_every_block_is_measured_once_and_then_read_from_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evaluation, "BLOCK", 4)
    told: list[int] = []
    scorer = CountingScorer()
    here = InProcess(scorer)
    with ScoreStore(":memory:") as store:
        first = evaluate(here, _every_mask_with(5), store=store, progress=told.append)
        assert (scorer.rows, sum(told), told) == (10, 10, [0, 4, 4, 2])
        again = evaluate(here, _every_mask_with(5), store=store)
        assert scorer.rows == 10
        more = evaluate(here, _every_mask_with(6), store=store)
    # The first block is the same; those that hold a new row are others, and are measured whole.
    assert scorer.rows == 18
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[:, 0], [2] * 5 + [1] * 5)
    np.testing.assert_array_equal(more[:, 1], [0, 1, 2, 3, 4, 5] * 2)


def test_the_file_describes_itself(tmp_path: Path) -> None:
    """What the documentation of the format says, read with nothing but sqlite3."""
    path = _filled(tmp_path / "scores.sqlite", 1)
    with closing(sqlite3.connect(path)) as database:
        (content, _) = database.execute("select * from fingerprint").fetchone()
        players, masks, runs, questions, log_probs = database.execute(
            "select players, masks, runs, questions, log_probs from blocks"
        ).fetchone()
    assert json.loads(content) == MODEL
    distinct = np.unpackbits(np.frombuffer(masks, "u1").reshape(-1, 3), axis=1)[:, :players]
    rows = np.repeat(distinct, np.frombuffer(runs, "<u4"), axis=0)
    np.testing.assert_array_equal(rows, _block(0).masks)
    np.testing.assert_array_equal(np.frombuffer(questions, "<u4"), _block(0).questions)
    np.testing.assert_array_equal(np.frombuffer(log_probs, "<f4").reshape(64, 4), _values(0))
