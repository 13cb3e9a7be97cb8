"""UpSet, waterfall and force plots of a spectrum, drawn by shapiq where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from headspex.errors import UsageError
from headspex.indices import effects
from headspex.players import Players
from headspex.spectrum import Spectrum

PLOTS = ("upset", "waterfall", "force")
TOP = 20  # interactions that are drawn


def shapiq_plot(spectrum: Spectrum, players: Players, name: str, *, top: int = TOP) -> Figure:
    """The strongest effects of a spectrum as shapiq draws them.

    The values are those of `interactions.csv`: the p-weighted Banzhaf interactions.

    Args:
        spectrum: what is drawn.
        players: what its columns are.
        name: upset, waterfall or force.
        top: how many interactions, by energy; what is left out is not drawn.

    Raises:
        UsageError: an unknown plot, a spectrum without interactions, or no shapiq.
    """
    if name not in PLOTS:
        raise UsageError(f"shapiq's plots are {', '.join(PLOTS)}, but got {name!r}")
    short = spectrum.truncate(max_terms=top)
    if len(short.terms) == 1:
        raise UsageError(f"the figure {name} shows interactions, but the spectrum is constant")
    try:
        import matplotlib.pyplot as plt
        from shapiq import InteractionValues
    except ImportError as error:
        raise UsageError(
            f"the figure {name} is drawn by shapiq; install it with pip install 'headspex[shapiq]'"
        ) from error
    named = sorted({column for term in short.terms for column in term})
    values = {
        tuple(named.index(column) for column in term): float(effect)
        for term, effect in zip(short.terms, effects(short), strict=True)
    }
    constant = values.pop(())
    found = InteractionValues(
        values, index="BII", min_order=1, max_order=max(2, short.order), n_players=len(named),
        baseline_value=constant,
    )  # fmt: skip
    labels = np.array([players.label(column) for column in named])
    with plt.rc_context({"backend": "agg"}):
        figure = _drawn(found, name, labels)
        plt.close(figure)  # pyplot would keep it, and show it
    return figure


def _drawn(values: Any, name: str, labels: Any) -> Figure:
    from shapiq.plot import force_plot, upset_plot, waterfall_plot

    if name == "upset":
        figure = upset_plot(
            values, feature_names=labels, n_interactions=len(values.interaction_lookup),
            figsize=(10, 4 + 0.3 * len(labels)),
        )  # fmt: skip
    elif name == "waterfall":
        figure = waterfall_plot(values, feature_names=labels).get_figure()
    else:
        figure = force_plot(values, feature_names=labels)
    assert isinstance(figure, Figure)
    return figure
