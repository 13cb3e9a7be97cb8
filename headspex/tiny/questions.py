"""The five subjects of the benchmark `mini`: every question is drawn from a seeded generator.

The vocabulary is small and every choice is one word, so a small word-level model can learn them.
Each subject needs another circuit. A hash of the question and its choices alone decides whether it
belongs to the training side or the test side.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

LETTERS = "ABCD"
HEADER = "The following are multiple choice questions (with answers) about"
TEST_SHARE = 0.125  # of all possible questions: enough for 240 a subject, most left for training

NAMES = (
    "Anna", "Ben", "Carl", "Dora", "Emil", "Finn", "Gina", "Hugo",
    "Iris", "Jack", "Kate", "Leo", "Mara", "Nina", "Otto", "Paul",
)  # fmt: skip
CITIES = (
    "Oslo", "Rome", "Paris", "Lima", "Cairo", "Tokyo", "Delhi", "Berlin",
    "Madrid", "London", "Athens", "Dublin", "Vienna", "Prague", "Lisbon", "Warsaw",
)  # fmt: skip
OBJECTS = (
    "key", "map", "coin", "ring", "lamp", "drum", "kite", "rope",
    "book", "cup", "hat", "bell", "fork", "sock", "ball", "shoe",
)  # fmt: skip
AGES = tuple(str(age) for age in range(1, 21))

RELATIONS = ("food", "home", "color")
FACTS = {
    "bear": ("honey", "cave", "brown"),
    "bee": ("nectar", "hive", "yellow"),
    "camel": ("shrubs", "desert", "tan"),
    "cow": ("grass", "pasture", "white"),
    "crab": ("algae", "beach", "orange"),
    "fox": ("rabbits", "den", "red"),
    "frog": ("flies", "pond", "green"),
    "horse": ("oats", "stable", "brown"),
    "mole": ("worms", "tunnel", "black"),
    "mouse": ("cheese", "house", "gray"),
    "owl": ("mice", "barn", "tan"),
    "panda": ("bamboo", "forest", "white"),
    "parrot": ("seeds", "jungle", "blue"),
    "pig": ("corn", "sty", "pink"),
    "robin": ("berries", "nest", "red"),
    "seal": ("fish", "ocean", "silver"),
    "snail": ("leaves", "garden", "gray"),
    "spider": ("insects", "web", "black"),
    "squirrel": ("nuts", "tree", "orange"),
    "wolf": ("meat", "mountain", "silver"),
}


@dataclass(frozen=True)
class Question:
    """One multiple-choice question; `answer` is the position of the right choice, 0..3."""

    subject: str
    text: str
    choices: tuple[str, ...]
    answer: int

    @property
    def letter(self) -> str:
        """The right answer as in the CSV: A, B, C or D."""
        return LETTERS[self.answer]

    @property
    def right(self) -> str:
        """The right choice itself."""
        return self.choices[self.answer]


@dataclass(frozen=True)
class Draft:
    """A question before its choices are ordered."""

    text: str
    right: str
    wrong: tuple[str, ...]  # three


def _without(words: list[str], word: str) -> tuple[str, ...]:
    return tuple(other for other in words if other != word)


def stored_facts(rng: Random) -> Draft:
    """A fact about an animal, without a passage: it must be in the weights."""
    animal = rng.choice(sorted(FACTS))
    column = rng.randrange(len(RELATIONS))
    right = FACTS[animal][column]
    others = sorted({facts[column] for facts in FACTS.values()} - {right})
    text = f"What is the {RELATIONS[column]} of the {animal}?"
    return Draft(text, right, tuple(rng.sample(others, 3)))


def passage_reading(rng: Random) -> Draft:
    """Four people in four cities: look one of them up."""
    names, cities = rng.sample(NAMES, 4), rng.sample(CITIES, 4)
    passage = " ".join(f"{n} is in {c}." for n, c in zip(names, cities, strict=True))
    asked = rng.randrange(4)
    text = f"{passage} Where is {names[asked]}?"
    return Draft(text, cities[asked], _without(cities, cities[asked]))


def two_hop_reasoning(rng: Random) -> Draft:
    """Three people follow three others, whose cities the passage gives, in any order."""
    names, cities = rng.sample(NAMES, 6), rng.sample(CITIES, 4)
    followers, leaders = names[:3], names[3:]
    sentences = [f"{f} follows {lead}." for f, lead in zip(followers, leaders, strict=True)]
    sentences += [f"{lead} is in {c}." for lead, c in zip(leaders, cities[:3], strict=True)]
    rng.shuffle(sentences)
    asked = rng.randrange(3)
    text = f"{' '.join(sentences)} Where is {followers[asked]}?"
    return Draft(text, cities[asked], _without(cities, cities[asked]))


def number_comparison(rng: Random) -> Draft:
    """Four people and their ages: find the oldest or the youngest."""
    names, ages = rng.sample(NAMES, 4), rng.sample(range(len(AGES)), 4)
    passage = " ".join(f"{n} is {AGES[age]}." for n, age in zip(names, ages, strict=True))
    word, extreme = rng.choice((("oldest", max(ages)), ("youngest", min(ages))))
    right = names[ages.index(extreme)]
    return Draft(f"{passage} Who is the {word}?", right, _without(names, right))


def pattern_induction(rng: Random) -> Draft:
    """A row of four objects repeats and breaks off: name the next one."""
    row = rng.sample(OBJECTS, 4)
    shown = rng.randrange(1, 4)
    text = f"What comes next: {', '.join(row + row[:shown])}?"
    return Draft(text, row[shown], _without(row, row[shown]))


SUBJECTS: dict[str, Callable[[Random], Draft]] = {
    "stored_facts": stored_facts,
    "passage_reading": passage_reading,
    "two_hop_reasoning": two_hop_reasoning,
    "number_comparison": number_comparison,
    "pattern_induction": pattern_induction,
}


def is_test_side(text: str, choices: tuple[str, ...]) -> bool:
    """Whether a question with these choices, in any order, is kept out of training."""
    digest = hashlib.sha256("|".join((text, *sorted(choices))).encode()).digest()
    return int.from_bytes(digest[:4]) < TEST_SHARE * 2**32


def questions(subject: str, rng: Random, *, test_side: bool) -> Iterator[Question]:
    """An endless stream of one subject's questions from one side, choices in random order."""
    draw = SUBJECTS[subject]
    while True:
        draft = draw(rng)
        choices = [draft.right, *draft.wrong]
        rng.shuffle(choices)
        if is_test_side(draft.text, tuple(choices)) == test_side:
            yield Question(subject, draft.text, tuple(choices), choices.index(draft.right))


def with_answer_at(question: Question, answer: int) -> Question:
    """The same question with the right choice swapped to position `answer`."""
    choices = list(question.choices)
    choices[answer], choices[question.answer] = choices[question.answer], choices[answer]
    return Question(question.subject, question.text, tuple(choices), answer)
