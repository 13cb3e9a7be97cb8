"""A value function as a sparse sum of interactions between players."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from headspex.engine import indices, shapiq_bridge, spectrum_json
from headspex.engine.characters import Keep, basis_name
from headspex.engine.effects import Effect, effect_sizes, strongest
from headspex.engine.energy import LayerEnergy, layer_energy
from headspex.engine.fit_report import FitReport
from headspex.engine.observations import as_vector
from headspex.engine.polynomial import Polynomial
from headspex.engine.terms import Term
from headspex.errors import UsageError
from headspex.players import Players
from headspex.support.files import read_text, write_text
from headspex.support.html_table import TOP, html_table
from headspex.support.scale import exponent_of, scaled_by


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum(Polynomial):
    """A polynomial fitted to masks and values, with its effects, indices and files.

    Attributes:
        report: set by `fit_spectrum`.

    Raises:
        UsageError: as `Polynomial`, or a report on other terms.
    """

    report: FitReport | None = None

    def __post_init__(self) -> None:
        """Refuse what is not a spectrum."""
        super().__post_init__()
        if self.report is not None and len(self.report.sources) != len(self.terms):
            raise UsageError(
                f"one source per term: {len(self.terms)} terms, "
                f"but {len(self.report.sources)} sources"
            )

    def effects(self) -> dict[Term, float]:
        """The effect of every term but the constant, in units of the value, strongest first.

        The expected change from having the players of a term on, beyond what their smaller groups
        explain, over masks sampled with `keep` (the p-weighted Banzhaf interaction). Positive
        pairs are synergy, negative ones redundancy.
        """
        sizes = effect_sizes(self).tolist()
        ranked = np.argsort(-np.abs(self.coefficients[1:]), kind="stable") + 1
        return {self.terms[row]: sizes[row] for row in ranked.tolist()}

    def top(self, count: int = 10, *, least_order: int = 1) -> list[Effect]:
        """The terms with the largest share of the variance, strongest first.

        Args:
            count: number of terms, at most.
            least_order: the fewest players of a term; 2 leaves out single players.
        """
        return strongest(self, count, least_order=least_order)

    def score(self, masks: npt.ArrayLike, values: npt.ArrayLike) -> float:
        """R² of the predicted values: 1 minus the squared error over that of the values' mean.

        Args:
            masks: bool [masks, players].
            values: of the function itself, [masks].

        Raises:
            UsageError: masks of another width, another number of values, or values that are all
                equal, for which R² is undefined.
        """
        predicted = self.predict(masks)
        given = as_vector(values, "values", len(predicted))
        exponent = exponent_of(given, predicted)
        given, predicted = scaled_by(given, -exponent), scaled_by(predicted, -exponent)
        around = given - given.mean()
        if not around.any():
            raise UsageError("R² needs values that differ, but all are equal; score other masks")
        return 1 - float(np.square(given - predicted).sum() / np.square(around).sum())

    def with_keep(self, keep: Keep) -> Self:
        """As `Polynomial.with_keep`; the report stays, and names the source of new terms."""
        changed = super().with_keep(keep)
        if self.report is None or changed is self:
            return changed
        known = dict(zip(self.terms, self.report.sources, strict=True))
        sources = tuple(known.get(term, "change of basis") for term in changed.terms)
        return replace(changed, report=replace(self.report, sources=sources))

    def interactions(
        self, index: str = "fourier", *, order: int = 2, keep: Keep | None = None
    ) -> dict[Term, float]:
        """An interaction index of every group of 1..order players.

        Args:
            index: fourier, moebius, banzhaf, shapley, sii, stii, fsii, fbii or influence.
            order: largest group; shapley and influence always cover single players alone.
            keep: the measure of fourier, banzhaf, fbii and influence, by default the spectrum's
                own; the others do not depend on it.

        Raises:
            UsageError: unknown index, or an order below 1.
        """
        return indices.interactions(self, index, order=order, keep=keep)

    def energy(self, players: Players) -> LayerEnergy:
        """Shares of heads, within layers and across layers; see `headspex.layer_energy`."""
        return layer_energy(self, players)

    def to_json(self) -> str:
        """One line of "headspex.spectrum/1"; floats survive the round trip exactly."""
        return spectrum_json.dump(self, self.report)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            UsageError: the text is not a spectrum.
        """
        document = spectrum_json.load(text)
        try:
            return cls(*document)
        except UsageError as error:
            raise UsageError(f"not a spectrum file: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write `to_json` to a file; UsageError if it cannot be written."""
        write_text(Path(path), self.to_json() + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; UsageError if the file is missing or not a spectrum."""
        return cls.from_json(read_text(Path(path)))

    def to_shapiq(self, index: str = "sii", *, order: int = 2) -> Any:
        """The interactions as a `shapiq.InteractionValues`.

        Args:
            index: fourier (of shapiq 1.8), moebius, banzhaf, shapley, sii, stii, fsii or fbii, at
                keep 1/2.
            order: largest group.

        Raises:
            UsageError: shapiq is not installed, or does not know the index.
        """
        return shapiq_bridge.as_interaction_values(self, index, order=order)

    def _repr_html_(self) -> str:
        """The strongest terms, for a notebook."""
        rows = [
            (" ".join(map(str, term.players)), f"{term.effect:+.4g}", f"{term.share:.1%}")
            for term in self.top(TOP)
        ]
        left_out = len(self.terms) - 1 - len(rows)
        header = ("players", "effect", "energy")
        return html_table(repr(self), header, rows, left_out=left_out, noun="terms")

    def __repr__(self) -> str:
        """One line: size, basis, energy by order, and how well it was fitted."""
        text = (
            f"Spectrum({self.n_players} players, {len(self.terms):,} terms to order {self.order}, "
            f"{basis_name(self.keep)}"
        )
        if self.energies.any():
            orders = np.fromiter(map(len, self.terms), dtype=np.int64).clip(max=3)
            shares = np.bincount(orders, self.shares, minlength=4)[1:]
            text += "; energy {:.0%} singles, {:.0%} pairs, {:.0%} higher".format(*shares)
        if self.report is not None:
            text += f"; cross-validated R² {self.report.cv_r2:.3f} by {self.report.method}"
        return text + ")"
