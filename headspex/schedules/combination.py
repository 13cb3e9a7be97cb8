"""One schedule for several tasks: by their weighted mean, or by the task that suffers most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headspex.engine.spectrum import Spectrum
from headspex.engine.terms import Term
from headspex.errors import UsageError
from headspex.schedules.constraints import Constraints
from headspex.schedules.local_search import Flips
from headspex.schedules.schedule import Schedule
from headspex.units import counted

WAYS = ("mean", "worst")


def mean_spectrum(spectra: Sequence[Spectrum], weights: Sequence[float] | None = None) -> Spectrum:
    """The weighted mean of value functions, exactly, in the basis of the first.

    Args:
        spectra: of the same players.
        weights: of each, positive; equal by default. They are scaled to add up to 1.

    Raises:
        UsageError: none, other players, or weights that are not one positive number for each.
    """
    _check(spectra)
    shares = np.ones(len(spectra)) if weights is None else np.asarray(weights, dtype=np.float64)
    if shares.shape != (len(spectra),) or not (np.isfinite(shares) & (shares > 0)).all():
        raise UsageError(
            f"weights are one positive number for each of {counted(len(spectra), 'run')}, but got "
            f"{list(weights or [])}"
        )
    table: dict[Term, float] = {}
    for spectrum, share in zip(spectra, shares / shares.sum(), strict=True):
        for term, coefficient in spectrum.with_keep(spectra[0].keep).to_dict().items():
            table[term] = table.get(term, 0.0) + float(share) * coefficient
    return Spectrum.from_dict(table, n_players=spectra[0].n_players, keep=spectra[0].keep)


def worst_case_schedule(
    spectra: Sequence[Spectrum], constraints: Constraints | None = None
) -> Schedule:
    """Greedy removal that maximises the minimum over tasks of the change in value.

    A task's change is the value of the mask minus that of the whole model; all tasks must share one
    unit. Ties go to the higher mean, then to the lower column. The schedule's `values` are those
    minima, 0 for the whole model.

    Raises:
        UsageError: no spectra, or of different players.
    """
    _check(spectra)
    n = spectra[0].n_players
    constraints = constraints or Constraints(n)
    flips = [Flips(spectrum) for spectrum in spectra]
    mask, lost = np.ones(n, dtype=np.bool_), np.zeros(len(spectra))
    order, values = list[int](), [0.0]
    while len(possible := np.flatnonzero(mask & constraints.free(mask))):
        left = lost[:, None] + np.stack([task.gains(mask)[possible] for task in flips])
        best = np.lexsort((-left.mean(axis=0), -left.min(axis=0)))[0]
        lost = left[:, best]
        mask[possible[best]] = False
        order.append(int(possible[best]))
        values.append(float(lost.min()))
    return Schedule(tuple(order), n, np.array(values))


def _check(spectra: Sequence[Spectrum]) -> None:
    sizes = sorted({spectrum.n_players for spectrum in spectra})
    if len(sizes) != 1:
        raise UsageError(
            f"tasks are combined for the same players, but the spectra have {sizes} players"
        )
