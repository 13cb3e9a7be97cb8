"""MIB's faithfulness of circuits of growing size, and its areas CPR and CMD.

Mueller et al. 2025 (arXiv 2504.13151), as their code computes it. With m(k) the mean score over
prompts while k players are kept and the others ablated,

    f(k) = (m(k) - m(none)) / (m(all) - m(none)).

CPR, the *circuit performance ratio*, is the area under f; CMD, the *circuit-model distance*, the
area between f and 1. Both are by the trapezoid rule over the share of players kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headspex.support.intervals import Interval, mean_interval

# Of players kept. The areas begin at the smallest, so each is .999 wide.
SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class CircuitFaithfulness:
    """How much of a score circuits keep, with 95 % intervals over prompts.

    Attributes:
        kept: players kept at each of `SHARES`.
        f: of each share: 0 is the score without players, 1 that of the whole model.
        cpr: area under f, the more the better; beyond 1 circuits score more than the model.
        cmd: area between f and 1, the less the better.
    """

    kept: tuple[int, ...]
    f: tuple[Interval, ...]
    cpr: Interval
    cmd: Interval


def kept_sizes(n_players: int) -> tuple[int, ...]:
    """Players kept at each of `SHARES`, rounded down; small shares of few players are all 0."""
    return tuple(int(share * n_players) for share in SHARES)


def areas(f: Float[np.ndarray, " shares"]) -> tuple[float, float]:
    """CPR and CMD of f at `SHARES`."""
    return float(_WIDTHS @ f), float(_WIDTHS @ np.abs(1 - f))


def circuit_faithfulness(
    scores: Mapping[int, Float[np.ndarray, " prompts"]], n_players: int
) -> CircuitFaithfulness | None:
    """Faithfulness at `SHARES`; None where the whole model scores as without players.

    That is where the 95 % interval of m(all) - m(none), which f divides by, includes 0.

    Args:
        scores: number of players kept -> score of each prompt; for all `kept_sizes` and for 0.
        n_players: all of them.
    """
    kept = kept_sizes(n_players)
    none, whole = scores[0], scores[n_players]
    low, high = mean_interval(whole - none)
    if low <= 0 <= high:
        return None
    range_ = float((whole - none).mean())
    gained = np.array([scores[k] - none for k in kept])
    f = gained.mean(axis=1) / range_
    # f is a ratio of means. Its error is, to first order, the mean over prompts of how far each is
    # off the ratio; that of an area is the same sum of these as the area is of f.
    off = (gained - f[:, None] * (whole - none)) / range_
    cpr, cmd = areas(f)
    under, between = _WIDTHS @ off, (_WIDTHS * np.sign(f - 1)) @ off
    distance = _around(cmd, between)
    return CircuitFaithfulness(
        kept=kept,
        f=tuple(_around(float(value), row) for value, row in zip(f, off, strict=True)),
        cpr=_around(cpr, under),
        cmd=Interval(cmd, max(0.0, distance.low), distance.high),
    )


def _around(value: float, off: Float[np.ndarray, " prompts"]) -> Interval:
    """An estimate with the interval of its error; `off` has the mean 0 up to rounding."""
    low, high = mean_interval(off - off.mean())
    return Interval(value, value + low, value + high)


def _widths() -> Float[np.ndarray, " shares"]:
    """What the trapezoid rule multiplies the value at each share by."""
    steps = np.diff(SHARES) / 2
    widths: Float[np.ndarray, " shares"] = np.append(steps, 0) + np.append(0, steps)
    return widths


_WIDTHS = _widths()
