"""The effects of the terms of a polynomial, in units of the value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headspex.engine.polynomial import Polynomial
from headspex.engine.terms import Block, Term


@dataclass(frozen=True)
class Effect:
    """A term of a spectrum.

    Attributes:
        players: its columns.
        effect: expected change from having them on, beyond what their smaller groups explain, in
            units of the value (the keep-weighted Banzhaf interaction).
        share: of the value's variance over masks.
    """

    players: Term
    effect: float
    share: float


def effect_sizes(spectrum: Polynomial) -> Float[np.ndarray, " terms"]:
    """The effect of each term of `spectrum`, in units of the value; [terms].

    (-1)^|T| coefficient / prod_{i in T} sqrt(p_i (1 - p_i)): the expected change from having the
    players of T on, beyond what their smaller groups explain, over masks sampled with `keep` (the
    p-weighted Banzhaf interaction). Positive pairs are synergy, negative ones redundancy.
    """
    return np.concatenate([block_effects(block, spectrum.keep) for block in spectrum.blocks])


def block_effects(block: Block, keep: Float[np.ndarray, " players"]) -> Float[np.ndarray, " terms"]:
    """The effects of the terms of one order."""
    scale = -np.sqrt(keep * (1 - keep))  # a character falls by 1 / scale when its player comes on
    effect: Float[np.ndarray, " terms"] = block.coefficients / scale[block.columns].prod(axis=1)
    return effect


def strongest(spectrum: Polynomial, count: int, *, least_order: int = 1) -> list[Effect]:
    """The terms of at least `least_order` players with the largest share of the variance.

    Ties go to the term of fewer players, then to the lower columns.
    """
    shares, sizes = spectrum.shares, effect_sizes(spectrum)
    order = np.argsort(-shares, kind="stable")
    found: list[Effect] = []
    for row in order.tolist():
        term = spectrum.terms[row]
        if len(term) < max(1, least_order) or shares[row] == 0:
            continue
        if len(found) == count:
            break
        found.append(Effect(term, float(sizes[row]), float(shares[row])))
    return found


def table(effects: Sequence[Effect], labels: Sequence[str]) -> str:
    """One line per effect: players, effect, share of the variance."""
    names = [" + ".join(labels[i] for i in effect.players) for effect in effects]
    width = min(60, max(map(len, names), default=0))
    return "\n".join(
        f"  {name:<{width}}  {e.effect:+8.3f}  {e.share:6.1%}"
        for name, e in zip(names, effects, strict=True)
    )
