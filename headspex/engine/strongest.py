"""The strongest terms of a spectrum, as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headspex.engine.spectrum import Spectrum, Term


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


def strongest(spectrum: Spectrum, count: int, *, least_order: int = 1) -> list[Effect]:
    """The terms of at least `least_order` players with the largest share of the variance.

    Ties go to the term of fewer players, then to the lower columns.
    """
    spread = np.sqrt(spectrum.keep * (1 - spectrum.keep))
    shares = spectrum.shares
    order = np.argsort(-shares, kind="stable")
    found: list[Effect] = []
    for row in order.tolist():
        term = spectrum.terms[row]
        if len(term) < max(1, least_order) or shares[row] == 0:
            continue
        if len(found) == count:
            break
        # A character falls by 1 / spread when its player comes on.
        effect = float(spectrum.coefficients[row] / np.prod(-spread[list(term)]))
        found.append(Effect(term, effect, float(shares[row])))
    return found


def table(effects: Sequence[Effect], labels: Sequence[str]) -> str:
    """One line an effect: players, effect, share of the variance."""
    names = [" + ".join(labels[i] for i in effect.players) for effect in effects]
    width = min(60, max(map(len, names), default=0))
    return "\n".join(
        f"  {name:<{width}}  {e.effect:+8.3f}  {e.share:6.1%}"
        for name, e in zip(names, effects, strict=True)
    )
