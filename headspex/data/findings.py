"""A prediction explained by its training samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from headspex.data.pairs import Pair, pairs
from headspex.data.value import TrainingValue
from headspex.engine.indices import shapley_of
from headspex.engine.sampling import draw_masks
from headspex.engine.search import Search, search
from headspex.players import Masks
from headspex.schedules.removal_curve import (
    RemovalPoint,
    mean_values,
    removal_curves,
    removal_orders,
    write_removal,
)
from headspex.support.files import write_csv, write_json, write_text
from headspex.support.seeds import stream
from headspex.support.validation import whole

SHOWN = 6  # pairs of each kind
FRESH = 1000  # subsets on which predictions are judged


@dataclass(frozen=True, eq=False)
class TrainingFindings:
    """What `explain_training` found.

    Attributes:
        search: subsets, margins and their spectrum.
        features, labels: of the players.
        r2: on fresh subsets, of the spectrum and of the LASSO on the same subsets; empty if there
            are no fresh subsets, or all their margins are equal.
        n_fresh: number of held-out subsets on which predictions are judged.
        removal: the margin as samples are removed.
    """

    search: Search
    features: Float[np.ndarray, "players ..."]
    labels: Int[np.ndarray, " players"]
    r2: dict[str, float]
    n_fresh: int
    removal: tuple[RemovalPoint, ...]

    @cached_property
    def pairs(self) -> list[Pair]:
        """See `headspex.data.pairs.pairs`."""
        return pairs(self.search.spectrum, self.features)

    def strongest(self, *, redundant: bool) -> list[Pair]:
        """The redundant or the synergistic pairs with the largest interactions."""
        return [pair for pair in self.pairs if pair.redundant == redundant][:SHOWN]

    def to_dict(self) -> dict[str, Any]:
        """The content of `data.json`."""

        def shown(*, redundant: bool) -> list[dict[str, Any]]:
            return [
                {
                    "players": list(pair.players),
                    "interaction": pair.interaction,
                    "distance_rank": pair.distance_rank,
                }
                for pair in self.strongest(redundant=redundant)
            ]

        return {
            "players": len(self.features),
            "labels": self.labels.tolist(),
            "subsets": len(self.search.masks),
            "exact": self.search.exact,
            "fresh": self.n_fresh,
            "r2": self.r2,
            "shapley": shapley_of(self.search.spectrum).tolist(),
            "removal": mean_values(self.removal),
            "redundant": shown(redundant=True),
            "synergistic": shown(redundant=False),
        }

    def __str__(self) -> str:
        """R², the strongest pairs, the removal curves."""
        quality = f"{len(self.search.masks):,} subsets of {len(self.features)} training samples"
        if self.search.exact:
            quality += ", all possible ones: exact"
        elif self.r2:
            scores = ", ".join(f"{name} {r2:.3f}" for name, r2 in self.r2.items())
            quality += f"; R² on {self.n_fresh:,} fresh ones: {scores}"
        else:
            quality += f"; all {self.n_fresh:,} fresh ones have the same margin"
        lines = [quality]
        for redundant, name in ((True, "Redundant"), (False, "Synergistic")):
            lines += ["", f"{name} pairs (interaction; share of pairs that lie closer together)"]
            pairs = [
                f"  {i:>3} ({self.labels[i]}) + {j:>3} ({self.labels[j]})"
                f"  {pair.interaction:+.4f}  {pair.distance_rank:6.1%}"
                for pair in self.strongest(redundant=redundant)
                for i, j in [pair.players]
            ]
            lines += pairs or ["  none"]
        curves = ", ".join(f"{m} {v:.3f}" for m, v in mean_values(self.removal).items())
        curves = f"Mean margin as samples are removed (lower is better): {curves}"
        return "\n".join([*lines, "", curves])

    def write(self, folder: Path) -> None:
        """data.json, spectrum.json, pairs.csv, removal.csv, removal.svg; pairs.png of images."""
        from headspex.figures.removal import removal_figure
        from headspex.figures.style import save
        from headspex.figures.training_pairs import pairs_figure

        write_json(folder / "data.json", self.to_dict())
        write_text(folder / "spectrum.json", self.search.spectrum.to_json() + "\n")
        header = ("left", "right", "interaction", "redundant", "distance_rank")
        rows = [(*p.players, repr(p.interaction), p.redundant, p.distance_rank) for p in self.pairs]
        write_csv(folder / "pairs.csv", header, rows)
        write_removal(folder / "removal.csv", self.removal)
        save(
            removal_figure(self.removal, players="samples", value="margin"), folder / "removal.svg"
        )
        if self.features.ndim >= 3:
            shown = {
                name: self.strongest(redundant=name == "redundant")
                for name in ("redundant", "synergistic")
            }
            save(pairs_figure(self.features, self.labels, shown), folder / "pairs.png")


def explain_training(
    value: TrainingValue,
    features: Float[np.ndarray, "players ..."],
    labels: Int[np.ndarray, " players"],
    *,
    budget: int | None = None,
    keep: float = 0.5,
    seed: int = 0,
) -> TrainingFindings:
    """Train on subsets, fit the margin's spectrum, judge it on fresh subsets, rank the pairs.

    Args:
        value: whose margin is explained.
        features, labels: of the players, for distances and pictures.
        budget: subsets trained on; by default 4 n log2 n, at least 256. Judging takes up to
            `FRESH` more, the curves about sixty.
        keep: the probability that a subset keeps a player.
        seed: fixes every random choice.

    Raises:
        UsageError: as `headspex.explain` and `TrainingValue`.
    """
    n = value.n_players
    budget = max(256, round(4 * n * np.log2(n))) if budget is None else budget
    budget = whole("budget", budget, 1)
    # Drawn before the search, as this may fail; enough that `FRESH` remain after the search.
    drawn = draw_masks(FRESH + budget, n, keep=keep, seed=stream(seed, "fresh"))
    found = search(value, n, budget=budget, keep=keep, seed=seed)
    fresh = _unsearched(drawn, found.masks)[:FRESH]
    r2 = _r2(value, found, fresh, seed=seed)
    points = removal_curves(value, removal_orders(found, seed=seed))
    return TrainingFindings(found, features, labels, r2, len(fresh), tuple(points))


def _unsearched(drawn: Masks, searched: Masks) -> Masks:
    """The drawn masks that were not searched."""
    known = set(map(bytes, np.packbits(searched, axis=1)))
    return drawn[[bytes(row) not in known for row in np.packbits(drawn, axis=1)]]


def _r2(value: TrainingValue, found: Search, fresh: Masks, *, seed: int) -> dict[str, float]:
    """R² of the spectrum and the LASSO; empty if there is no variance to explain."""
    truth = value(fresh)
    if not len(truth) or np.ptp(truth) == 0:
        return {}
    fits = (("ProxySPEX", found.spectrum), ("LASSO", found.lasso(seed=seed)))
    return {
        name: float(1 - np.mean((truth - spectrum.predict(fresh)) ** 2) / np.var(truth))
        for name, spectrum in fits
    }
