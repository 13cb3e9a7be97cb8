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
        r2: on fresh subsets, of the spectrum and of the LASSO on the same subsets; nothing where
            none is fresh or all fresh margins are equal.
        n_fresh: subsets that were not searched, on which predictions are judged.
        removal: the margin as samples go.
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
        """The redundant or the synergistic pairs of the largest interactions."""
        return [pair for pair in self.pairs if pair.redundant == redundant][:SHOWN]

    def to_dict(self) -> dict[str, Any]:
        """As `data.json` has it."""
        return {
            "players": len(self.features),
            "labels": self.labels.tolist(),
            "subsets": len(self.search.masks),
            "exact": self.search.exact,
            "fresh": self.n_fresh,
            "r2": self.r2,
            "shapley": shapley_of(self.search.spectrum).tolist(),
            "removal": mean_values(self.removal),
            **{
                kind: [
                    {"players": list(p.players), "interaction": p.interaction,
                     "distance_rank": p.distance_rank}
                    for p in self.strongest(redundant=kind == "redundant")
                ]
                for kind in ("redundant", "synergistic")
            },
        }  # fmt: skip

    def __str__(self) -> str:
        """R², the strongest pairs, the removal curves."""
        how = f"{len(self.search.masks):,} subsets of {len(self.features)} training samples"
        if self.search.exact:
            how += ", all there are: exact"
        elif self.r2:
            told = ", ".join(f"{name} {r2:.3f}" for name, r2 in self.r2.items())
            how += f"; R² on {self.n_fresh:,} fresh ones: {told}"
        else:
            how += f"; {self.n_fresh:,} fresh ones have all the same margin"
        lines = [how]
        for redundant, name in ((True, "Redundant"), (False, "Synergistic")):
            lines += ["", f"{name} pairs (interaction; pairs that lie closer together)"]
            pairs = [
                f"  {i:>3} ({self.labels[i]}) + {j:>3} ({self.labels[j]})"
                f"  {pair.interaction:+.4f}  {pair.distance_rank:6.1%}"
                for pair in self.strongest(redundant=redundant)
                for i, j in [pair.players]
            ]
            lines += pairs or ["  none"]
        curves = ", ".join(f"{m} {v:.3f}" for m, v in mean_values(self.removal).items())
        return "\n".join([*lines, "", f"Mean margin while samples go (low is the aim): {curves}"])

    def write(self, folder: Path) -> None:
        """data.json, spectrum.json, pairs.csv, removal.csv, removal.svg; pairs.png of images."""
        from headspex.figures.removal import removal_figure
        from headspex.figures.style import save
        from headspex.figures.training_pairs import pairs_figure

        write_json(folder / "data.json", self.to_dict())
        write_text(folder / "spectrum.json", self.search.spectrum.to_json() + "\n")
        header = ("left", "right", "interaction", "redundant", "distance_rank")
        write_csv(
            folder / "pairs.csv", header,
            [(*p.players, repr(p.interaction), p.redundant, p.distance_rank) for p in self.pairs],
        )  # fmt: skip
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
        budget: subsets trained on; by default 4 n log2 n, at least 256. Judging takes `FRESH`
            more, or as many as are left, the curves some sixty.
        keep: the probability that a subset keeps a player.
        seed: fixes every random choice.

    Raises:
        UsageError: as `headspex.explain` and `TrainingValue`.
    """
    n = value.n_players
    budget = max(256, round(4 * n * np.log2(n))) if budget is None else budget
    budget = whole("budget", budget, 1)
    # Before the search, as it may be refused; enough to leave out what is searched.
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
    """Of the spectrum and the LASSO; of nothing where there is nothing to predict."""
    truth = value(fresh)
    if not len(truth) or np.ptp(truth) == 0:
        return {}
    fits = (("ProxySPEX", found.spectrum), ("LASSO", found.lasso(seed=seed)))
    return {
        name: float(1 - np.mean((truth - spectrum.predict(fresh)) ** 2) / np.var(truth))
        for name, spectrum in fits
    }
