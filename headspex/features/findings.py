"""A prompt explained: its spectrum, each piece's effect, interactions, and removal curves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import log2
from pathlib import Path
from typing import Any

import numpy as np

from headspex.engine.effects import Effect, strongest, table
from headspex.engine.indices import shapley_of
from headspex.engine.search import Search, search
from headspex.engine.spectrum import Spectrum
from headspex.features.highlight import html
from headspex.features.text import Prompt
from headspex.features.value import TextValue
from headspex.schedules.removal import DIRECTIONS, removal_sets
from headspex.schedules.removal_curve import (
    EXACT_PLAYERS,
    RemovalPoint,
    mean_values,
    removal_curves,
    removal_orders,
    write_removal,
)
from headspex.support.files import write_json, write_text

SHOWN = 10  # interactions
MOST_TURNING = 20  # players, at most, of a set that flips the sign of the value


@dataclass(frozen=True)
class Turn:
    """The smallest set whose removal flips the sign of the model's value.

    It is the first among the spectrum's best sets of 1, 2, ... players.

    Attributes:
        columns: ascending.
        predicted: the spectrum's value without them.
        value: the model's value without them.
    """

    columns: tuple[int, ...]
    predicted: float
    value: float


@dataclass(frozen=True, eq=False)
class TextFindings:
    """What `explain_text` found.

    Attributes:
        prompt: with its players.
        search: the masks, their values and the spectrum.
        shapley: [players], in units of the value; they add up to the spectrum's value of the whole
            prompt minus that without players.
        removal: the model's own values as players are removed.
        direction: in which removal moves the value.
        turn: None if no such set is found, the value already has the sign that `direction` leads
            to, or there are more than `EXACT_PLAYERS` players.
    """

    prompt: Prompt
    search: Search
    shapley: np.ndarray
    removal: tuple[RemovalPoint, ...]
    direction: str
    turn: Turn | None

    @property
    def interactions(self) -> list[Effect]:
        """The strongest terms of two or more players."""
        return strongest(self.search.spectrum, SHOWN, least_order=2)

    @property
    def whole(self) -> float:
        """The model's value of the whole prompt."""
        return next(point.value for point in self.removal if point.n_removed == 0)

    def to_dict(self) -> dict[str, Any]:
        """The content of `features.json`; values in the scorer's unit."""
        spectrum = self.search.spectrum
        report = spectrum.report
        return {
            "players": list(self.prompt.labels),
            "before": self.prompt.before,
            "after": self.prompt.after,
            "value": self.whole,
            "masks": len(self.search.masks),
            "exact": self.search.exact,
            "cv_r2": None if report is None else report.cv_r2,
            "shapley": self.shapley.tolist(),
            "interactions": [
                {"players": list(e.players), "effect": e.effect, "share": e.share}
                for e in self.interactions
            ],
            "removal": {"direction": self.direction, "mean": mean_values(self.removal)},
            "turn": None if self.turn is None else asdict(self.turn),
        }

    def __str__(self) -> str:
        """A few lines: fit quality, strongest interactions, removal curves."""
        report = self.search.spectrum.report
        quality = f"{len(self.search.masks):,} masks of {len(self.prompt):,} players"
        if self.search.exact:
            quality += ", all possible ones: exact"
        elif report is not None:
            interval = f"[{report.low:.3f}, {report.high:.3f}]"
            quality += f"; cross-validated R² {report.cv_r2:.3f} {interval}"
        effects = self.interactions
        shown = table(effects, self.prompt.labels) if effects else "  none"
        curves = ", ".join(f"{m} {v:.3f}" for m, v in mean_values(self.removal).items())
        aim = {"down": "lower", "up": "higher"}[self.direction]
        return (
            f"Value of the whole prompt: {self.whole:+.3f}\n{quality}\n\n"
            f"Strongest interactions (effect, share of variance)\n{shown}\n\n"
            f"Mean value as players are removed ({aim} is better): {curves}{self._turn()}"
        )

    def _turn(self) -> str:
        if self.turn is None:
            return ""
        names = " + ".join(self.prompt.labels[i] for i in self.turn.columns)
        return (
            f"\nSmallest set that flips the sign: {names} ({self.turn.value:+.3f} without, "
            f"predicted {self.turn.predicted:+.3f})"
        )

    def write(self, folder: Path) -> None:
        """features.json, spectrum.json, removal.csv, removal.svg and highlight.html."""
        from headspex.figures.removal import removal_figure
        from headspex.figures.style import save

        write_json(folder / "features.json", self.to_dict())
        write_text(folder / "spectrum.json", self.search.spectrum.to_json() + "\n")
        write_removal(folder / "removal.csv", self.removal)
        save(removal_figure(self.removal, value="value, nats"), folder / "removal.svg")
        page = html(self.prompt, self.shapley.tolist(), self.interactions)
        write_text(folder / "highlight.html", page)


def explain_text(
    value: TextValue,
    *,
    budget: int | None = None,
    keep: float = 0.5,
    direction: str = "down",
    seed: int = 0,
) -> TextFindings:
    """Score the prompt under masks, fit their spectrum, and remove players by it.

    Args:
        value: prompt, model and kind of removal.
        budget: masks scored; by default 2 n log2 n, at least 256. The removal curves take about
            sixty more.
        keep: the probability that a mask keeps a piece.
        direction: "down" or "up", the way removal should move the value.
        seed: fixes every random choice.

    Raises:
        UsageError: as `headspex.explain` and `TextValue`, or an unknown direction.
    """
    n = value.n_players
    budget = default_budget(n) if budget is None else budget
    found = search(value, n, budget=budget, keep=keep, seed=seed)
    orders = removal_orders(found, direction=direction, seed=seed)
    points = removal_curves(value, orders)
    turn = _turn(value, found.spectrum, points[0].value, direction)
    shapley = shapley_of(found.spectrum)
    return TextFindings(value.prompt, found, shapley, tuple(points), direction, turn)


def _turn(value: TextValue, spectrum: Spectrum, whole: float, direction: str) -> Turn | None:
    towards = DIRECTIONS[direction]
    if value.n_players > EXACT_PLAYERS or whole * towards >= 0:
        return None
    sizes = range(1, min(value.n_players, MOST_TURNING) + 1)
    masks = removal_sets(spectrum, sizes, direction=direction).masks(sizes)
    values = value(masks)
    turned = np.flatnonzero(values * towards > 0)
    if not len(turned):
        return None
    mask, actual = masks[turned[0]], float(values[turned[0]])
    predicted = float(spectrum.predict(mask[None])[0])
    return Turn(tuple(np.flatnonzero(~mask).tolist()), predicted, actual)


def default_budget(n_players: int) -> int:
    """2 n log2 n masks, at least 256."""
    return max(256, round(2 * n_players * log2(max(2, n_players))))
