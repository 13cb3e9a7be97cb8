"""Kernel ridge regression on one part of pairs of opposite masks, for interactions of two players.

The prior is that of `headspex.engine.methods.odd_kernel`. The even part (f(S) + f(not S)) / 2 has
the covariance scale * (k(S, T) + k(S, not T)) / 2, the odd part (f(S) - f(not S)) / 2 that with a
minus. With k(., T) = prod_l (1 + relevance_l t_l s_l) and each player on with the probability
(1 + u) / 2, the mean effect of a pair of players beyond what each adds alone is

    4 relevance_i t_i relevance_j t_j prod_{l != i, j} (1 + relevance_l t_l u),

a polynomial in u. An interaction index is its mean over a distribution of u, which a quadrature
rule sums exactly (`headspex.engine.pair_indices`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headspex.engine.methods.odd_kernel import PairRelevances, Signs, inverted, pair_products

Part = Float[np.ndarray, " pairs"]


@dataclass(frozen=True, eq=False)
class PartFit:
    """Posterior mean of one part, from all pairs and from all but one.

    Attributes:
        relevances: of the prior.
        dual: [pairs] the part minus its centre, times the inverse covariance.
        left: [pairs] a pair's part minus its prediction from all other pairs.
        inverse: [pairs, pairs] of the covariance; `dual` loses a column of it per unit of `left`
            without that pair.
    """

    relevances: PairRelevances
    dual: Part
    left: Part
    inverse: Float[np.ndarray, "pairs pairs"]

    @property
    def noise(self) -> float:
        """The residual of a pair per unit of its dual."""
        return self.relevances.noise / 2


def part_fit(signs: Signs, part: Part, relevances: PairRelevances, parity: int) -> PartFit:
    """The fit of a part that varies around 0.

    Args:
        signs: +1 for a player that is on in the pair's first mask, -1 for one that is off.
        part: (f(S) + parity * f(not S)) / 2.
        relevances: as learned from pairs, without fading.
        parity: 1 for the even part, -1 for the odd one.
    """
    same, opposite = pair_products(signs, relevances.players)
    covariance = relevances.scale / 2 * (same + parity * opposite)
    covariance.flat[:: len(signs) + 1] += relevances.noise / 2
    inverse = inverted(covariance)
    dual = inverse @ part
    return PartFit(relevances, dual, dual / np.diag(inverse), inverse)


def pair_effects(
    signs: Signs, relevances: PairRelevances, dual: Part,
    nodes: Float[np.ndarray, " nodes"], weights: Float[np.ndarray, " nodes"],
) -> Float[np.ndarray, "players players"]:  # fmt: skip
    """The index of a fit, for each pair of players; 0 on the diagonal.

    Args:
        signs, dual: of the pairs of masks.
        relevances: of the fit.
        nodes: values of u.
        weights: of these, in the index of the fit's part.
    """
    slopes = relevances.players * signs
    found = np.zeros((signs.shape[1],) * 2)
    for u, weight in zip(nodes, weights, strict=True):
        factors = 1 + slopes * u
        others = slopes / factors
        found += others.T @ (others * (weight * dual * factors.prod(axis=1))[:, None])
    found *= 4 * relevances.scale
    np.fill_diagonal(found, 0.0)
    return found
