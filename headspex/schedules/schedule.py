"""A pruning schedule: the order in which players are removed, as the spectrum predicts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import floor
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int

from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.players import Masks, Players
from headspex.schedules import schedule_json
from headspex.schedules.constraints import Constraints
from headspex.schedules.schedule_json import check_players
from headspex.support.html_table import TOP, html_table
from headspex.support.validation import whole

_SUM_AGAIN = 64  # steps between recomputations of the running sums, against rounding error
_TIE = 1e-12  # share of the terms' total magnitude; closer gains are a tie


@dataclass(frozen=True, eq=False, repr=False)
class Schedule:
    """The sequence in which players are switched off.

    Attributes:
        order: columns, first removed first; protected players are absent.
        n_players: columns of a mask.
        values: [len(order) + 1], predicted with 0, 1, ... players removed; None without a
            prediction.
    """

    order: tuple[int, ...]
    n_players: int
    values: Float[np.ndarray, " sizes"] | None = None

    def __post_init__(self) -> None:
        """Refuse an invalid order."""
        if len(set(self.order)) != len(self.order):
            raise UsageError("a schedule removes each player once, but one is named twice")
        if any(not 0 <= column < self.n_players for column in self.order):
            raise UsageError(f"a schedule names columns outside 0..{self.n_players - 1}")

    def masks(self, n_pruned: Iterable[int]) -> Masks:
        """The masks [sizes, players] after these numbers of removals.

        Raises:
            UsageError: more removals than the schedule has.
        """
        most = len(self.order)
        sizes = [whole("players that the schedule removes", size, 0, most) for size in n_pruned]
        masks = np.ones((len(sizes), self.n_players), dtype=np.bool_)
        for mask, size in zip(masks, sizes, strict=True):
            mask[list(self.order[:size])] = False
        return masks

    def mask(self, n_pruned: int) -> Bool[np.ndarray, " players"]:
        """The mask [players] after `n_pruned` removals."""
        mask: Bool[np.ndarray, " players"] = self.masks([n_pruned])[0]
        return mask

    def __repr__(self) -> str:
        """One line: who goes first, and who stays."""
        first = ", ".join(map(str, self.order[:8])) + (", ..." if len(self.order) > 8 else "")
        kept = self.n_players - len(self.order)
        stays = f", {kept} never" if kept else ""
        return f"Schedule({self.n_players} players, first to go: {first or 'none'}{stays})"

    def _repr_html_(self) -> str:
        """The first to go, for a notebook."""
        values = self.values
        rows = [
            (str(size), str(column), "" if values is None else f"{values[size]:.4g}")
            for size, column in enumerate(self.order[:TOP], start=1)
        ]
        left_out = len(self.order) - len(rows)
        header = ("goes as", "player", "predicted then")
        return html_table(repr(self), header, rows, left_out=left_out, noun="players")

    def to_json(self, players: Players, *, fingerprint: str | None = None) -> str:
        """One line of "headspex.schedule/1", first removed first.

        Heads stand as [layer, head], other units by their labels.

        Args:
            players: name the columns.
            fingerprint: sha256 of the weights it was made for, so that it fits no other model.
        """
        return schedule_json.dump(self.order, self.n_players, players, fingerprint)

    @classmethod
    def from_json(cls, text: str, players: Players, *, fingerprint: str | None = None) -> Schedule:
        """Read what `to_json` wrote.

        Args:
            text: of the file.
            players: name the columns.
            fingerprint: sha256 of the weights it will be used on; None skips the check. A file
                without a fingerprint gives a notice on standard error.

        Raises:
            UsageError: not a schedule of this format, not of `players`, or of other weights.
        """
        order = schedule_json.load(text, players, fingerprint)
        try:
            return cls(order, len(players))
        except UsageError as error:
            raise UsageError(f"not a schedule of these players: {error}") from error


def prune_schedule(
    spectrum: Spectrum,
    players: Players | None = None,
    *,
    protect: Iterable[int] = (),
    direction: str = "removal",
    constraints: Constraints | None = None,
) -> Schedule:
    """Remove, one by one, the player whose removal leaves the highest predicted value.

    Args:
        spectrum: predicts the value of a mask, the higher the better.
        players: only checked against the spectrum.
        protect: columns that are never removed.
        direction: "removal", or "build-up": start from the protected players alone, add the
            player that helps most, and remove in the reverse sequence.
        constraints: limits for groups of players; the schedule ends when they allow no removal.

    Ties go to the lower column (in "build-up", to be added). Cost is linear in the squared sizes of
    the terms: a second for 1,024 players and 20,000 terms.

    Raises:
        UsageError: an unknown direction, protected columns that do not exist, or limits with
            "build-up", whose first mask violates them.
    """
    if players is not None:
        check_players(spectrum.n_players, players)
    if direction not in ("removal", "build-up"):
        raise UsageError(f'direction is "removal" or "build-up", but got {direction!r}')
    if constraints is not None and constraints.limits and direction == "build-up":
        raise UsageError(
            "limits go with removal, as build-up starts from the protected players alone; "
            "leave one out"
        )
    protected = sorted(set(protect))
    if protected and not 0 <= protected[0] <= protected[-1] < spectrum.n_players:
        raise UsageError(
            f"protected columns must be within 0..{spectrum.n_players - 1}, but got {protected}"
        )
    free = np.ones(spectrum.n_players, dtype=np.bool_)
    free[protected] = False
    start = np.ones(spectrum.n_players, dtype=np.bool_)
    if direction == "build-up":
        start = ~free
    flips = _greedy_flips(spectrum, start, free, constraints or Constraints(spectrum.n_players))
    schedule = Schedule(
        order=tuple(flips if direction == "removal" else reversed(flips)),
        n_players=spectrum.n_players,
    )
    return with_values(schedule, spectrum)


def greedy_mask(
    spectrum: Spectrum, n_pruned: int, *, constraints: Constraints, removed: Iterable[int] = ()
) -> Bool[np.ndarray, " players"]:
    """The mask of greedy removal at one size, within the constraints.

    Args:
        removed: columns that go first.

    Raises:
        UsageError: fewer removals than `removed`, or more than the constraints allow.
    """
    mask = np.ones(spectrum.n_players, dtype=np.bool_)
    mask[sorted(set(removed))] = False
    left = n_pruned - int((~mask).sum())
    flips = _greedy_flips(spectrum, mask, mask, constraints, steps=left) if left >= 0 else []
    if left != len(flips) or not constraints.allows(mask):
        raise UsageError(
            f"the constraints and earlier removals allow {int((~mask).sum())} to "
            f"{int((~mask).sum()) + len(flips)} of {spectrum.n_players} players to be removed, but "
            f"{n_pruned} were asked for; protect fewer, or take another sparsity"
        )
    mask[flips] = False
    return mask


def schedule_from_scores(scores: npt.ArrayLike, *, protect: Iterable[int] = ()) -> Schedule:
    """Remove the player of the lowest score first; ties go to the lower column.

    Args:
        scores: how much each player helps, [players].
        protect: columns that are never removed.

    Raises:
        UsageError: scores are not one finite number per player.
    """
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise UsageError(
            f"scores are one finite number per player, but got the shape {list(array.shape)}"
            + ("" if np.isfinite(array).all() else " with NaN or infinite entries")
        )
    kept = set(protect)
    ranked = np.argsort(array, kind="stable").tolist()
    return Schedule(tuple(column for column in ranked if column not in kept), len(array))


def random_schedule(
    n_players: int, *, rng: np.random.Generator, protect: Iterable[int] = ()
) -> Schedule:
    """A uniformly random sequence."""
    kept = set(protect)
    shuffled = rng.permutation(n_players).tolist()
    return Schedule(tuple(column for column in shuffled if column not in kept), n_players)


def with_values(schedule: Schedule, spectrum: Spectrum) -> Schedule:
    """The same schedule with the predictions of `spectrum` after each removal."""
    masks = schedule.masks(range(len(schedule.order) + 1))
    return Schedule(schedule.order, schedule.n_players, spectrum.predict(masks))


def n_pruned(sparsity: float, n_players: int) -> int:
    """floor(sparsity * n_players), safe against 0.29 * 100 = 28.999999999999996.

    Raises:
        UsageError: a sparsity outside 0..1.
    """
    if not 0 <= sparsity <= 1:
        raise UsageError(f"sparsity is the fraction of players removed, 0..1, but got {sparsity}")
    return floor(sparsity * n_players + 1e-9)


def _greedy_flips(
    spectrum: Spectrum,
    start: Bool[np.ndarray, " players"],
    free: Bool[np.ndarray, " players"],
    constraints: Constraints,
    steps: int | None = None,
) -> list[int]:
    """Flip free players once each, always the one that gives the highest value.

    It ends after `steps`, or when the constraints allow no flip.

    `current` holds coefficient * prod chi_i of every term at the current mask. Flipping player i
    multiplies the terms with i by ratio_i, so its gain is (ratio_i - 1) * sum of their `current`.
    """
    n_players, keep = spectrum.n_players, spectrum.keep
    columns = padded_terms(spectrum)
    by_player = _terms_by_player(columns, n_players)
    # chi_on = -sqrt((1 - p) / p) and chi_off = sqrt(p / (1 - p)).
    turning_off, turning_on = -keep / (1 - keep), -(1 - keep) / keep
    ratio = np.where(start, turning_off, turning_on)
    chi = np.append(np.where(start, -np.sqrt((1 - keep) / keep), np.sqrt(keep / (1 - keep))), 1.0)
    current = spectrum.coefficients[1:] * chi[columns].prod(axis=1)
    width = columns.shape[1]

    def sums(rows: Int[np.ndarray, "terms order"], values: Float[np.ndarray, " terms"]) -> Any:
        weights = np.repeat(values, width)
        return np.bincount(rows.ravel(), weights, minlength=n_players + 1)[:n_players]

    candidates = free.copy()
    flips: list[int] = []
    members = constraints.members
    room = constraints.room - (members & ~start).sum(axis=1)
    for step in range(int(free.sum()) if steps is None else steps):
        candidates &= ~members[room <= 0].any(axis=0) if len(members) else True
        if not candidates.any():
            break
        if step % _SUM_AGAIN == 0:
            per_player = sums(columns, current)
            tie = _TIE * float(np.abs(current).sum()) * float(np.abs(ratio - 1).max())
        gain = np.where(candidates, (ratio - 1) * per_player, -np.inf)
        chosen = int(np.flatnonzero(gain >= gain.max() - tie)[0])
        touched = by_player[chosen]
        change = current[touched] * (ratio[chosen] - 1)
        current[touched] += change
        per_player += sums(columns[touched], change)
        candidates[chosen] = False
        room -= members[:, chosen]
        flips.append(chosen)
    return flips


def padded_terms(spectrum: Spectrum) -> Int[np.ndarray, "terms order"]:
    """The terms without the constant, padded with the column `n_players`."""
    n_terms = len(spectrum.terms) - 1
    columns = np.full((n_terms, max(1, spectrum.order)), spectrum.n_players, dtype=np.int64)
    first = 0
    for block in spectrum.blocks[1:]:
        last = first + len(block.columns)
        columns[first:last, : block.order] = block.columns
        first = last
    return columns


def _terms_by_player(
    columns: Int[np.ndarray, "terms order"], n_players: int
) -> list[Int[np.ndarray, " _"]]:
    flat = columns.ravel()
    sorter = np.argsort(flat, kind="stable")
    cuts = np.searchsorted(flat[sorter], np.arange(n_players + 1))
    rows = sorter // columns.shape[1]
    return [rows[a:b] for a, b in pairwise(cuts)]
