"""What the rows of a JSON file hold: multiple choice or paired prompts."""

from collections.abc import Collection

from headspex.errors import UsageError

QUESTIONS = "a multiple-choice question"
PAIRS = "a pair of prompts"
MIB = "a row of MIB"

COUNTERFACTUAL = "_counterfactual"  # how the names of MIB's other prompts end
# The second line: what others call them; such a row is refused with the names to use.
OF_PAIRS = {
    "clean", "corrupted", "wrong",
    "clean_prompt", "clean_prefix", "corrupt", "corrupted_prompt", "wrong_answers",
}  # fmt: skip


def kind_of(keys: Collection[str]) -> str | None:
    """The kind of a row with these keys; None where they do not tell."""
    if any(key.endswith(COUNTERFACTUAL) for key in keys):
        return MIB
    if "question" in keys:
        return QUESTIONS
    return PAIRS if OF_PAIRS.intersection(keys) else None


def check_kind(keys: Collection[str], place: str, kind: str) -> None:
    """Refuse a row of another kind than the file's first one.

    Raises:
        UsageError: the row is of another kind.
    """
    found = kind_of(keys)
    if found not in (kind, None):
        raise UsageError(
            f"{place}: all rows of a file must be of one kind, but the first is {kind} and this "
            f"one {found}; put them into separate files"
        )
