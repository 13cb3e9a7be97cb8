"""Scores on disk and their measurement in blocks."""

from pathlib import Path

import numpy as np
import pytest

from headspex import evaluate as evaluation
from headspex.errors import UsageError
from headspex.evaluate import evaluate
from headspex.store import ScoreStore

MASKS = np.array([[True, False, True], [False, False, True]])


def _every_mask_with(n_questions: int) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(MASKS, n_questions, axis=0), np.tile(np.arange(n_questions), len(MASKS))


class CountingScorer:
    """Scores a row by its mask and question; remembers how many rows it was asked for."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        self.rows += len(questions)
        return np.stack([masks.sum(axis=1), questions], axis=1).astype(np.float32)


def test_scores_come_back_bit_for_bit_and_absent_ones_as_none(tmp_path: Path) -> None:
    values = np.array([[0.1, -np.inf], [np.float32(1e-30), 3.0]], dtype=np.float32)
    with ScoreStore(tmp_path / "scores.sqlite") as store:
        store.add(MASKS, np.array([0, 7]), values)
    with ScoreStore(tmp_path / "scores.sqlite") as store:
        found = store.get(MASKS, np.array([0, 7]))
        absent = store.get(MASKS[:1], np.array([7]))
        assert len(store) == 2
    assert absent == [None]
    np.testing.assert_array_equal(np.stack([row for row in found if row is not None]), values)


def test_a_file_that_is_no_database_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    path.write_text("these are not the scores you are looking for" * 100)
    with pytest.raises(UsageError, match="scores cannot be kept in"):
        ScoreStore(path)


def test_every_row_is_measured_once_and_then_read_from_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evaluation, "BLOCK", 4)
    masks, questions = _every_mask_with(5)
    told: list[int] = []
    with ScoreStore(":memory:") as store:
        scorer = CountingScorer()
        first = evaluate(scorer, masks, questions, store=store, progress=told.append)
        assert (scorer.rows, sum(told)) == (10, 10)
        again = evaluate(scorer, masks, questions, store=store)
        assert scorer.rows == 10
        more = evaluate(scorer, *_every_mask_with(6), store=store)
    assert scorer.rows == 18  # the two blocks that hold a new row were measured whole
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[:, 0], [2] * 5 + [1] * 5)
    np.testing.assert_array_equal(more[:, 1], [0, 1, 2, 3, 4, 5] * 2)
