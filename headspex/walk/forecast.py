"""What removing each player will gain, as far as a spectrum and slopes can tell."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.engine.spectrum import Spectrum
from headspex.schedules.local_search import Flips
from headspex.walk.gate_gradients import GateGradients

# How far a spectrum counts, alone and beside slopes, and how far these. On stories260k true gains
# rose by .3 to .7 of what a spectrum predicts, as masks near a schedule are far from those of a
# search. Beside slopes (20 samples of 32 stories) walks were as good with 0 to .3 of a spectrum, be
# it of 64 passes or of 2,000, and regressions of measured gains on both, as weights that sum to 1,
# gave slopes .7 to 1; the spectrum stays for scores whose slopes mislead.
TRUST = 0.5
TRUST_BESIDE = 0.15
TRUST_SLOPES = 0.85


class Forecast:
    """Expected gains, which learn from measured ones how questions differ.

    Args:
        spectrum: of the score.
        tangent: of the score, where it has slopes.
    """

    def __init__(self, spectrum: Spectrum, tangent: GateGradients | None = None) -> None:
        self._flips, self._tangent = Flips(spectrum), tangent

    def gains(
        self, mask: Bool[np.ndarray, " players"], *, stay: float = 1.0
    ) -> Float[np.ndarray, " players"]:
        """Of removing each player, up to a number that is the same for all.

        Args:
            mask: what is on.
            stay: with which probability it stays on later; see `Flips.gains`.
        """
        by_spectrum = self._flips.gains(mask, stay=stay)
        if self._tangent is None:
            return TRUST * by_spectrum
        by_slopes = self._tangent.gains(mask, stay=stay)
        return TRUST_BESIDE * by_spectrum + TRUST_SLOPES * by_slopes

    def move_to(self, mask: Bool[np.ndarray, " players"]) -> None:
        """Come to a mask: slopes are taken if they are due."""
        if self._tangent is not None:
            self._tangent.move_to(mask)

    def missed(
        self,
        mask: Bool[np.ndarray, " players"],
        players: Int[np.ndarray, " players"],
        questions: Int[np.ndarray, " asked"],
        scores: Float[np.ndarray, "players asked"],
    ) -> Float[np.ndarray, "players asked"]:
        """Measured scores without each of some players, less what was expected of them.

        Up to a number of each question's own that is the same for all players.
        """
        above = scores - self.gains(mask)[players, None]
        if self._tangent is not None:
            self._tangent.learn(players, questions, above)
            above -= self._tangent.parts(players, questions)
        return np.asarray(above)
