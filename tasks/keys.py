"""The keys of questions in files, and what other benchmarks call them."""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from headspex.errors import UsageError


@dataclass(frozen=True)
class Keys:
    """The keys of one kind of row.

    Attributes:
        needed: keys that a row must have.
        optional: keys that it may have.
        elsewhere: what others call them; the first one found counts.
    """

    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


# As in MMLU-Pro, ARC, HellaSwag, OpenBookQA, MedMCQA and others.
QUESTION = Keys(
    ("question", "choices", "answer"),
    ("subject", "split"),
    {
        "question": ("prompt", "query", "input", "question_stem", "stem", "text", "ctx", "problem"),
        "choices": ("options", "endings", "candidates", "answers", "mc_choices"),
        "answer": (
            "answer_index", "answer_idx", "answerkey", "correct_answer", "correct", "label",
            "target", "gold", "solution", "cop",
        ),
        "subject": ("category", "topic", "subject_name", "subset"),
        "split": ("part",),
    },
)  # fmt: skip
ALIKE = 0.8  # difflib's ratio from which a key counts as a misspelling


def check_keys(
    found: Collection[str], place: str, *, more: bool = False, keys: Keys = QUESTION
) -> None:
    """Refuse a row with missing or unknown keys, and suggest which to rename.

    Args:
        found: the row's keys.
        place: file and line, or row, for errors.
        more: whether unknown keys are allowed, as in other people's tables.
        keys: that the row is to have.

    Raises:
        UsageError: keys are missing or unknown.
    """
    known = (*keys.needed, *keys.optional)
    missing = [name for name in keys.needed if name not in found]
    unknown = [] if more else sorted(name for name in found if name not in known)
    if not missing and not unknown:
        return
    renames = dict(_renames(found, missing if more else known, keys))
    # An unknown key that replaces no missing one is to be removed.
    rest = [name for name in unknown if name not in renames.values()]
    lacking = [name for name in missing if name not in renames]
    wrong = [f"{', '.join(missing)} missing"] if missing else []
    if unknown:
        wrong.append(f"unknown key {', '.join(map(repr, unknown))}")
    ways = [f"rename {old!r} to {new!r}" for new, old in renames.items()]
    ways += [f"add {', '.join(lacking)}"] if lacking else []
    ways += [f"leave out {', '.join(map(repr, rest))}"] if rest else []
    raise UsageError(
        f"{place}: {', '.join(wrong)}; {', '.join(ways)} (known: {', '.join(sorted(known))})"
    )


def _renames(
    found: Collection[str], wanted: Iterable[str], keys: Keys
) -> Iterator[tuple[str, str]]:
    """Known keys that are missing, each with the unknown key that seems to mean it."""
    known = (*keys.needed, *keys.optional)
    free = {name.lower(): name for name in found if name not in known}
    for new in wanted:
        if new in found:
            continue
        close = difflib.get_close_matches(new, free, n=1, cutoff=ALIKE)
        others = (new, *keys.elsewhere.get(new, ()), *close)
        old = next((name for name in others if name in free), None)
        if old is not None:
            yield new, free.pop(old)
