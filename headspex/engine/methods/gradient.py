"""A fit that starts from a gradient, a rough estimate of what each player does.

The gradient of a score by all players' gates costs three passes, and tells as much of single
players as hundreds of values. It is biased, as no gate goes all the way, and says nothing of
interactions. So it enters as a regressor with a fitted coefficient, and the fit explains the rest.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from headspex.engine.methods.cross_validation import Method, fit_or_constant
from headspex.engine.observations import Observations
from headspex.engine.spectrum import Spectrum


def after_gradient(fit: Method, gradient: Float[np.ndarray, " players"]) -> Method:
    """The sum of a gradient's linear spectrum, times its regression coefficient, and of a fit.

    Args:
        fit: explains what the gradient leaves.
        gradient: change of the value when a player is switched on, in any unit.
    """

    def fitted(data: Observations) -> Spectrum:
        rough = (data.masks - data.keep) @ gradient
        centred = rough - np.average(rough, weights=data.weights)
        square = float(np.average(centred**2, weights=data.weights))
        if square == 0:
            return fit(data)
        slope = float(np.average(centred * data.values, weights=data.weights)) / square
        rest = fit_or_constant(fit, replace(data, values=data.values - slope * rough))
        # A mask's entry less its mean is minus its character, times the character's scale.
        effects = -gradient * np.sqrt(data.keep * (1 - data.keep))
        terms = {(player,): effect for player, effect in enumerate(effects.tolist())}
        line = Spectrum.from_dict(terms, n_players=data.n_players, keep=data.keep)
        return Spectrum.weighted_sum([(1.0, rest), (slope, line)])

    return fitted
