import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headspex.errors import UsageError
from headspex.tasks import Question, Task, split


def question(number: int, subject: str = "s", choices: int = 4) -> Question:
    return Question(subject, f"question {number}", tuple("abcdefgh"[:choices]), 0)


def test_id_is_a_hash_of_subject_question_and_choices() -> None:
    text = json.dumps(["s", "né?", ["x", "y"]], ensure_ascii=False).encode()
    expected = hashlib.sha256(text).hexdigest()[:16]
    assert Question("s", "né?", ("x", "y"), 1).id == expected


def test_pool_drops_repetitions_and_the_questions_of_the_shots() -> None:
    first, second, shot = question(1), question(2), question(3)
    elsewhere = Question("other", " question 1 ", first.choices, 0)
    task = Task("t", test=(first, shot, second, first), validation=(elsewhere,), dev=(shot,))
    assert task.pool == (first, second)


def test_chance_averages_over_the_numbers_of_choices() -> None:
    assert Task("t", test=(question(1, choices=2), question(2, choices=4))).chance == 0.375


@given(st.lists(st.integers(2, 30), min_size=1, max_size=5))
def test_search_and_heldout_halve_every_subject_without_overlap(sizes: list[int]) -> None:
    test = [question(i, f"s{k}") for k, n in enumerate(sizes) for i in range(n * k, n * (k + 1))]
    task = Task("t", test=tuple({q.question: q for q in test}.values()))
    if len(task.pool) < 2:
        return
    search, heldout = split(task)
    assert sorted(q.id for q in (*search, *heldout)) == sorted(q.id for q in task.pool)
    for subject in task.subjects:
        counts = [sum(q.subject == subject for q in part) for part in (search, heldout)]
        assert 0 <= counts[0] - counts[1] <= 1
    assert list(search) == [q for q in task.pool if q in search]


def test_split_does_not_depend_on_file_order() -> None:
    questions = tuple(question(i) for i in range(40))
    one, other = Task("t", test=questions), Task("t", test=questions[::-1])
    assert set(split(one)[0]) == set(split(other)[0])


def test_splits_are_reached_by_name() -> None:
    task = Task("t", test=tuple(question(i) for i in range(9)), dev=(question(99),))
    assert task.questions("dev") == (question(99),)
    assert task.questions("search") == split(task)[0]
    assert task.questions("heldout") == split(task)[1]
    with pytest.raises(UsageError, match=r"no split 'train'; known: dev, validation"):
        task.questions("train")
    with pytest.raises(UsageError, match=r"has no validation questions"):
        task.questions("validation")


def test_too_few_shots_or_questions_are_refused() -> None:
    task = Task("t", test=(question(1),), dev=(question(2),))
    with pytest.raises(UsageError, match=r"shots 2 .* has 1 for 's'"):
        task.shots("s", 2)
    with pytest.raises(UsageError, match=r"0 or more, but got -1"):
        task.shots("s", -1)
    with pytest.raises(UsageError, match=r"too few"):
        split(task)
