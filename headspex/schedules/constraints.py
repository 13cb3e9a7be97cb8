"""What a pruned model must keep: protected players, and limits for groups of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int

from headspex.errors import UsageError
from headspex.players import Players


@dataclass(frozen=True)
class Limit:
    """At most `removed` of these columns may go."""

    columns: tuple[int, ...]
    removed: int


@dataclass(frozen=True)
class Constraints:
    """Limits that every mask of a schedule satisfies.

    Attributes:
        n_players: columns of a mask.
        limits: of groups of players; a column may be in several.
    """

    n_players: int
    limits: tuple[Limit, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse limits that no mask can satisfy."""
        for limit in self.limits:
            if limit.removed < 0:
                raise UsageError(f"a limit is 0 or more players, but got {limit.removed}")
            outside = [i for i in limit.columns if not 0 <= i < self.n_players]
            if outside:
                raise UsageError(
                    f"protected columns must be within 0..{self.n_players - 1}, but got {outside}"
                )

    @classmethod
    def of(
        cls,
        players: Players,
        *,
        protect: Iterable[int] = (),
        per_layer: int | None = None,
    ) -> Constraints:
        """Protected columns, and the most players that each layer may lose."""
        limits = [Limit(tuple(sorted(set(protect))), 0)]
        if per_layer is not None:
            layer_of = players.layer_of
            limits += [
                Limit(tuple(np.flatnonzero(layer_of == layer).tolist()), per_layer)
                for layer in players.layers
            ]
        return cls(len(players), tuple(limit for limit in limits if limit.columns))

    @property
    def members(self) -> Bool[np.ndarray, "limits players"]:
        """True where a limit covers a column."""
        table = np.zeros((len(self.limits), self.n_players), dtype=np.bool_)
        for row, limit in zip(table, self.limits, strict=True):
            row[list(limit.columns)] = True
        return table

    @property
    def room(self) -> Int[np.ndarray, " limits"]:
        """How many of each limit's columns may go."""
        return np.array([limit.removed for limit in self.limits], dtype=np.int64)

    def most(self) -> int:
        """The most players that can be removed.

        Exact if limits overlap only in protected players, which are counted first.
        """
        members = self.members
        fixed = members[self.room == 0].any(axis=0) if len(members) else np.zeros(1, dtype=bool)
        free = np.broadcast_to(~fixed, (self.n_players,)).copy()
        total = 0
        for row, room in zip(members, self.room, strict=True):
            inside = row & free
            total += min(int(inside.sum()), int(room))
            free &= ~row
        return total + int(free.sum())

    def free(self, mask: Bool[np.ndarray, " players"]) -> Bool[np.ndarray, " players"]:
        """Columns in no exhausted limit, whether they are on or off."""
        members = self.members
        full = (members & ~mask).sum(axis=1) >= self.room
        return ~members[full].any(axis=0) if full.any() else np.ones_like(mask)

    def allows(self, mask: Bool[np.ndarray, " players"]) -> bool:
        """Whether a mask satisfies all limits."""
        return bool(((self.members & ~mask).sum(axis=1) <= self.room).all())
