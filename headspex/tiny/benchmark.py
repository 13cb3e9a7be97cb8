"""Write the benchmark `mini` as CSV files in the layout of the original MMLU.

`python -m headspex.tiny.benchmark --out tasks/data/mini` makes the files that ship.
"""

import argparse
import csv
from pathlib import Path
from random import Random

from headspex.tiny.questions import SUBJECTS, Question, questions, with_answer_at

DEV_QUESTIONS = 5  # MMLU's shots
TEST_QUESTIONS = 240  # per subject; 60 for each letter
SEED = 2024


def benchmark(subject: str, *, seed: int = SEED) -> tuple[list[Question], list[Question]]:
    """The dev and test questions of a subject: all different, letters equally frequent.

    Args:
        subject: a key of `SUBJECTS`.
        seed: of the draw; each subject has its own stream.

    Returns:
        5 dev and 240 test questions, all from the test side, which training never sees.
    """
    rng = Random(f"{subject}/{seed}")
    unique: dict[tuple[str, tuple[str, ...]], Question] = {}
    for question in questions(subject, rng, test_side=True):
        unique.setdefault((question.text, tuple(sorted(question.choices))), question)
        if len(unique) == DEV_QUESTIONS + TEST_QUESTIONS:
            break
    letters = [i % 4 for i in range(len(unique))]
    rng.shuffle(test_letters := letters[:TEST_QUESTIONS])
    rng.shuffle(dev_letters := letters[TEST_QUESTIONS:])
    drawn = [
        with_answer_at(question, letter)
        for question, letter in zip(unique.values(), dev_letters + test_letters, strict=True)
    ]
    return drawn[:DEV_QUESTIONS], drawn[DEV_QUESTIONS:]


def write_csv(path: Path, rows: list[Question]) -> None:
    """One question a line: text, four choices, letter; no header, as in MMLU."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([row.text, *row.choices, row.letter] for row in rows)


def main() -> None:
    """Write `dev/` and `test/` of every subject."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for dev/ and test/")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    for subject in SUBJECTS:
        dev, test = benchmark(subject, seed=options.seed)
        write_csv(options.out / "dev" / f"{subject}_dev.csv", dev)
        write_csv(options.out / "test" / f"{subject}_test.csv", test)


if __name__ == "__main__":
    main()
