"""Plans whose fresh masks are asked a few questions each."""

from __future__ import annotations

from typing import Any

from headspex.budget.plan import Plan


def made_plan(
    n_players: int, n_search: int, n_heldout: int, n_fresh: int, sizes: tuple[int, ...],
    search_budget: int, **others: Any,
) -> Plan:  # fmt: skip
    """A plan; what is not said of verification is small."""
    few = {
        "fresh_search": min(6, n_search),
        "fresh_heldout": min(3, n_heldout),
        "n_compared": min(10, n_heldout),
    }
    return Plan(n_players, n_search, n_heldout, n_fresh, sizes, search_budget, **{**few, **others})
