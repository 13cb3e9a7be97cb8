"""Protocols: presets of other settings, such as the paper's head experiment (arXiv 2505.17495)."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from headspex.errors import UsageError, argument

PAPER_MASKS = 5_000
PAPER_QUESTIONS = (120, 111)  # searched and held out, of 231
PAPER_SHARE = Fraction(120, 231)  # of a task's questions that are searched
PAPER: Mapping[str, Any] = {
    "keep": 0.5,
    "questions_per_mask": "all",
    "ablation": "zero",
    "rescale": True,
    "refine": 0,
}
BUDGETS = ("budget", "verify_budget")  # which the paper does not have
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": PAPER,
    "hendrycks": {"prompt_style": "hendrycks"},  # prompts as MMLU's authors wrote them
}
PROTOCOLS = tuple(PRESETS)


def prescribed(
    protocol: str, given: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The settings of a protocol.

    Args:
        protocol: one of `PROTOCOLS`.
        given: all settings, as given by the user.
        defaults: of all settings; a setting equal to its default counts as not given.

    Raises:
        UsageError: a given setting contradicts the protocol.
    """
    preset = PRESETS[protocol]
    for name in (*preset, *(BUDGETS if protocol == "paper" else ())):
        if given[name] not in (defaults[name], preset.get(name, defaults[name])):
            flag = argument(name)
            rule = (
                f"scores {PAPER_MASKS:,} masks on all search questions, and verifies on all others"
                if name in BUDGETS
                else f"has {flag} {preset[name]}"
            )
            raise UsageError(
                f"{argument('protocol')} {protocol} {rule}, but {flag} is {given[name]}; leave "
                "one of the two out"
            )
    return preset


def said_of_split(n_search: int, n_heldout: int) -> str | None:
    """A notice if the numbers of questions differ from the paper's, else None."""
    if (n_search, n_heldout) == PAPER_QUESTIONS:
        return None
    searched, held = PAPER_QUESTIONS
    return (
        f"the paper splits {searched + held} questions {searched}/{held}; these "
        f"{n_search + n_heldout} are split {n_search}/{n_heldout}, in the same proportion"
    )
