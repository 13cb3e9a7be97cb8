"""The predicted gain of removing each player, from a spectrum and from gradients."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.engine.spectrum import Spectrum
from headspex.schedules.local_search import Flips
from headspex.walk.gate_gradients import GateGradients

# Weight of a spectrum alone, of a spectrum beside gradients, and of the gradients. On stories260k
# true gains rose by .3 to .7 of the predicted ones, as masks near a schedule are far from those of
# the search. Beside gradients (20 samples of 32 stories) spectrum weights of 0 to .3 gave equally
# good walks, with spectra of 64 passes or of 2,000. Regressing measured gains on both, with weights
# that sum to 1, gave gradients .7 to 1; the spectrum stays for scores whose gradients mislead.
TRUST = 0.5
TRUST_BESIDE = 0.15
TRUST_SLOPES = 0.85


class Forecast:
    """Expected gains; measured ones teach it how questions differ.

    Args:
        spectrum: of the score.
        tangent: gradients of the score, if it has any.
    """

    def __init__(self, spectrum: Spectrum, tangent: GateGradients | None = None) -> None:
        self._flips, self._tangent = Flips(spectrum), tangent

    def gains(
        self, mask: Bool[np.ndarray, " players"], *, stay: float = 1.0
    ) -> Float[np.ndarray, " players"]:
        """Gain of removing each player, up to a constant shared by all.

        Args:
            mask: True = the player is on.
            stay: probability that a player stays on later; see `Flips.gains`.
        """
        by_spectrum = self._flips.gains(mask, stay=stay)
        if self._tangent is None:
            return TRUST * by_spectrum
        by_slopes = self._tangent.gains(mask, stay=stay)
        return TRUST_BESIDE * by_spectrum + TRUST_SLOPES * by_slopes

    def move_to(self, mask: Bool[np.ndarray, " players"]) -> None:
        """Make this the current mask, and compute gradients if they are due."""
        if self._tangent is not None:
            self._tangent.move_to(mask)

    def missed(
        self,
        mask: Bool[np.ndarray, " players"],
        players: Int[np.ndarray, " players"],
        questions: Int[np.ndarray, " asked"],
        scores: Float[np.ndarray, "players asked"],
    ) -> Float[np.ndarray, "players asked"]:
        """Measured scores without each of `players`, minus the expected ones.

        Up to a constant per question, shared by all players.
        """
        above = scores - self.gains(mask)[players, None]
        if self._tangent is not None:
            self._tangent.learn(players, questions, above)
            above -= self._tangent.parts(players, questions)
        return np.asarray(above)
