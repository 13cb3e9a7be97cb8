"""A prompt explained: its spectrum, what each piece does, which work together, which may go."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import log2
from pathlib import Path
from typing import Any

import numpy as np

from headspex.features.highlight import html
from headspex.features.text import Prompt
from headspex.features.value import TextValue
from headspex.files import write_json, write_text
from headspex.removal import DIRECTIONS, shapley_of, smallest_removal
from headspex.removal_curve import (
    EXACT_PLAYERS,
    RemovalPoint,
    mean_values,
    removal_curves,
    removal_orders,
    write_removal,
)
from headspex.search import Search, search
from headspex.spectrum import Spectrum
from headspex.strongest import Effect, strongest, table

SHOWN = 10  # interactions


@dataclass(frozen=True)
class Turn:
    """The smallest set of players whose removal turns the sign of the value.

    Attributes:
        columns: ascending.
        predicted: the spectrum's value without them.
        value: the model's own.
        proven: whether the spectrum turns with no smaller set.
    """

    columns: tuple[int, ...]
    predicted: float
    value: float
    proven: bool


@dataclass(frozen=True, eq=False)
class TextFindings:
    """What `explain_text` found.

    Attributes:
        prompt: with its players.
        search: the masks, their values and the spectrum.
        shapley: [players], in units of the value; they add up to the spectrum's value of the whole
            prompt less that of no player.
        removal: the model's own values as players go.
        direction: in which removal moves the value.
        turn: None where no set turns the value, it has the wrong sign for the direction, or there
            are more than `EXACT_PLAYERS` players.
    """

    prompt: Prompt
    search: Search
    shapley: np.ndarray
    removal: tuple[RemovalPoint, ...]
    direction: str
    turn: Turn | None

    @property
    def interactions(self) -> list[Effect]:
        """The strongest, of two and more players."""
        return strongest(self.search.spectrum, SHOWN, least_order=2)

    @property
    def whole(self) -> float:
        """The model's value of the whole prompt."""
        return next(point.value for point in self.removal if point.n_removed == 0)

    def to_dict(self) -> dict[str, Any]:
        """As `features.json` has it; values as the scorer's unit."""
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
        """A few lines: how good, the strongest interactions, the removal curves."""
        spectrum = self.search.spectrum
        how = f"{len(self.search.masks):,} masks of {len(self.prompt):,} players"
        if self.search.exact:
            how += ", all there are: exact"
        elif spectrum.report is not None:
            report = spectrum.report
            how += f"; cross-validated R² {report.cv_r2:.3f} [{report.low:.3f}, {report.high:.3f}]"
        effects = self.interactions
        shown = table(effects, self.prompt.labels) if effects else "  none"
        curves = ", ".join(f"{m} {v:.3f}" for m, v in mean_values(self.removal).items())
        return (
            f"Value of the whole prompt: {self.whole:+.3f}\n{how}\n\n"
            f"Strongest interactions (effect, share of variance)\n{shown}\n\n"
            f"Mean value while players go ({self.direction} is the aim): {curves}{self._turn()}"
        )

    def _turn(self) -> str:
        if self.turn is None:
            return ""
        names = " + ".join(self.prompt.labels[i] for i in self.turn.columns)
        return (
            f"\nSmallest set that turns the value: {names} ({self.turn.value:+.3f} without, "
            f"predicted {self.turn.predicted:+.3f})"
        )

    def write(self, folder: Path) -> None:
        """features.json, spectrum.json, removal.csv, removal.svg and highlight.html."""
        from headspex.figures.removal import removal_figure
        from headspex.figures.style import save

        write_json(folder / "features.json", self.to_dict())
        write_text(folder / "spectrum.json", self.search.spectrum.to_json() + "\n")
        write_removal(folder / "removal.csv", self.removal)
        save(removal_figure(self.removal), folder / "removal.svg")
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
        value: prompt, model and way of removal.
        budget: masks scored; by default 2 n log2 n, at least 256. The removal curves take some
            sixty more.
        keep: the probability that a mask keeps a piece.
        direction: "down" or "up", where removal shall move the value.
        seed: fixes every random choice.

    Raises:
        UsageError: as `headspex.explain` and `TextValue`, or an unknown direction.
    """
    n = value.n_players
    budget = default_budget(n) if budget is None else budget
    found = search(value, n, budget=budget, keep=keep, seed=seed)
    orders = removal_orders(found, direction=direction, seed=seed)
    points = removal_curves(value, orders)
    return TextFindings(
        value.prompt, found, shapley_of(found.spectrum), tuple(points), direction,
        _turn(value, found.spectrum, direction),
    )  # fmt: skip


def _turn(value: TextValue, spectrum: Spectrum, direction: str) -> Turn | None:
    mask = np.ones((1, value.n_players), dtype=np.bool_)
    whole = float(spectrum.predict(mask)[0])
    if value.n_players > EXACT_PLAYERS or whole * DIRECTIONS[direction] >= 0:
        return None
    found = smallest_removal(spectrum, abs(whole), direction=direction)
    if found is None:
        return None
    mask[0, list(found.columns)] = False
    return Turn(found.columns, whole + found.change, float(value(mask)[0]), found.proven)


def default_budget(n_players: int) -> int:
    """2 n log2 n masks, at least 256."""
    return max(256, round(2 * n_players * log2(max(2, n_players))))
