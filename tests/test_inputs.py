"""Which inputs questions need, and what is computed once for several of them."""

import numpy as np
import pytest

from headspex.errors import UsageError
from headspex.hooks.batching import batches, chunks, forks, plan_work
from headspex.hooks.inputs import passes, plan_inputs
from headspex.tasks import EncodedQuestion

LETTERS = ((10,), (11,), (12,), (13,))


def behind(shots: range, *own: int) -> EncodedQuestion:
    return EncodedQuestion((*shots, *own), LETTERS)


def test_answers_of_one_token_are_read_off_one_input() -> None:
    (one,) = passes(EncodedQuestion((1, 2, 3), LETTERS), 16)
    assert one.tokens == (1, 2, 3)
    assert one.reads == ((0, 2, 10), (1, 2, 11), (2, 2, 12), (3, 2, 13))


def test_an_input_that_another_begins_with_is_read_off_the_longer_one() -> None:
    found = passes(EncodedQuestion((1, 2), ((7, 10), (7, 11), (9,), (8, 8))), 16)
    assert {one.tokens for one in found} == {(1, 2, 7), (1, 2, 8)}
    reads = sorted(read for one in found for read in one.reads)
    assert reads == [(0, 1, 7), (0, 2, 10), (1, 1, 7), (1, 2, 11), (2, 1, 9), (3, 1, 8), (3, 2, 8)]


def test_answers_without_room_and_prompts_without_tokens_are_refused() -> None:
    with pytest.raises(UsageError, match=r"an answer of 3 tokens is longer than .* context of 2"):
        passes(EncodedQuestion((1,), ((1, 2, 3),)), 2)
    with pytest.raises(UsageError, match="at least one token"):
        passes(EncodedQuestion((), ((1,),)), 2)


def test_questions_share_the_worked_examples_of_their_own_subject() -> None:
    first, second = range(100, 150), range(200, 240)
    asked = [
        behind(first, 1, 2, 3), behind(second, 1, 2), behind(first, 1, 4), behind(second, 3),
        EncodedQuestion((5, 6, 7), LETTERS),
    ]  # fmt: skip
    # The subject's two questions also begin alike with token 1.
    assert plan_inputs(asked, 128).shared == (51, 40, 51, 40, 0)


def test_less_than_an_eighth_in_common_is_not_shared() -> None:
    asked = [behind(range(2), *range(50, 65)), behind(range(2), *range(70, 85))]
    assert plan_inputs(asked, 64).shared == (0, 0)
    asked = [behind(range(3), *range(50, 65)), behind(range(3), *range(70, 85))]
    assert plan_inputs(asked, 64).shared == (3, 3)


def test_the_position_that_is_read_is_never_shared() -> None:
    asked = [behind(range(20)), behind(range(20), 1, 2)]
    inputs = plan_inputs(asked, 64)
    assert inputs.shared == (19, 19)
    assert inputs.places(0) == (0,)
    assert inputs.places(1) == (2,)


def test_equal_questions_share_their_inputs() -> None:
    asked = [behind(range(5)), behind(range(5)), behind(range(6))]
    assert plan_inputs(asked, 64).of_question == ((0,), (0,), (1,))


def test_every_item_is_in_one_batch_and_batches_keep_to_their_tokens() -> None:
    rng = np.random.default_rng(0)
    asked = [behind(range(0), *rng.integers(1, 99, rng.integers(5, 30))) for _ in range(20)]
    inputs = plan_inputs(asked, 64)
    keep = np.ones((300, 3, 4), dtype=bool)
    keep[1::2, 0] = [True, False, True, False]
    keep[:, 2] = rng.random((300, 4)) < 0.5
    work = plan_work(inputs, rng.integers(0, 20, 300), keep)
    counts = []
    for merged in (True, False):
        found = list(batches(work, np.arange(300), inputs.lengths, 100, merged=merged))
        counts.append(len(found))
        assert sorted(np.concatenate(found)) == list(range(300))
        for items in found:
            # Rows that differ in nothing but the last layer's mask share all tokens but one.
            distinct = {(work.inputs[i], work.before_last[work.rows[i]]) for i in items}
            states = len(distinct) if merged else len(items)
            assert len(items) == 1 or states * inputs.lengths[work.inputs[items]].max() <= 100
    assert counts[0] < counts[1] / 2


def test_a_chunk_holds_all_questions_of_as_many_masks_as_fit() -> None:
    asked = [behind(range(100, 150), n, 1) for n in range(4)]
    inputs = plan_inputs(asked, 64)
    keep = np.repeat(np.random.default_rng(0).random((6, 3, 4)) < 0.5, 4, axis=0)
    work = plan_work(inputs, np.tile(np.arange(4), 6), keep)
    found = list(chunks(work, inputs, np.arange(24), 100))
    assert [len(items) for items in found] == [8, 8, 8]
    assert all(len(np.unique(keep[work.rows[items]], axis=0)) == 2 for items in found)


def test_masks_part_where_they_first_differ() -> None:
    start = np.array([0, 0, 0, 1])
    codes = np.array([[0, 5, 1], [0, 5, 2], [0, 6, 1], [0, 5, 1]])
    counts = [len(fork.parent) for fork in forks(start, codes)]
    assert counts == [2, 3, 4]
    for layer, fork in enumerate(forks(start, codes)):
        for a in range(4):
            for b in range(4):
                alike = (
                    start[a] == start[b] and (codes[a, : layer + 1] == codes[b, : layer + 1]).all()
                )
                assert (fork.of_item[a] == fork.of_item[b]) == alike
