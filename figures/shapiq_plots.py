"""UpSet, waterfall and force plots of a spectrum, drawn by shapiq where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from headspex.engine.characters import characters
from headspex.engine.effects import effect_sizes
from headspex.engine.spectrum import Spectrum
from headspex.engine.terms import Term
from headspex.errors import UsageError
from headspex.players import Players

PLOTS = ("upset", "waterfall", "force")
TOP = 20  # terms drawn separately; shapiq's waterfall sums the others


def shapiq_values(spectrum: Spectrum, name: str) -> dict[Term, float]:
    """The values of a plot; that of () is its start.

    An UpSet plot draws the effects of the strongest terms, as in `interactions.csv`. A waterfall
    and a force plot go from the mean over sampled masks to the whole model, so they draw what each
    term adds there: coefficient * prod chi_i(1). These add up to what the spectrum predicts.

    Raises:
        UsageError: an unknown plot, or a spectrum that is constant.
    """
    if name not in PLOTS:
        raise UsageError(f"shapiq's plots are {', '.join(PLOTS)}, but got {name!r}")
    if len(spectrum.terms) == 1:
        raise UsageError(f"the figure {name} shows interactions, but the spectrum is constant")
    if name == "upset":
        spectrum = spectrum.truncate(max_terms=TOP)
        return dict(zip(spectrum.terms, effect_sizes(spectrum).tolist(), strict=True))
    whole = np.ones((1, spectrum.n_players), dtype=np.bool_)
    added = spectrum.coefficients * characters(whole, spectrum.terms, spectrum.keep)[0]
    return dict(zip(spectrum.terms, added.tolist(), strict=True))


def shapiq_plot(spectrum: Spectrum, players: Players, name: str) -> Figure:
    """A spectrum as shapiq draws it; see `shapiq_values`.

    Args:
        spectrum: to draw.
        players: the columns of its masks.
        name: upset, waterfall or force.

    Raises:
        UsageError: as `shapiq_values`, or shapiq is not installed.
    """
    values = shapiq_values(spectrum, name)
    try:
        import matplotlib.pyplot as plt
        from shapiq import InteractionValues
    except ImportError as error:
        raise UsageError(
            f"the figure {name} is drawn by shapiq; install it with pip install 'headspex[shapiq]'"
        ) from error
    start = values[()]
    # A force plot takes the start among the values, other plots separately.
    drawn = {term: value for term, value in values.items() if term or name == "force"}
    named = sorted({column for term in values for column in term})
    place = {column: i for i, column in enumerate(named)}
    found = InteractionValues(
        {tuple(place[column] for column in term): value for term, value in drawn.items()},
        index="BII", min_order=min(map(len, drawn)), max_order=max(map(len, values)),
        n_players=len(named), baseline_value=start,
    )  # fmt: skip
    labels = np.array([players.label(column) for column in named])
    with plt.rc_context({"backend": "agg"}):
        figure = _drawn(found, name, labels)
        plt.close(figure)  # pyplot would keep it, and show it
    return figure


def _drawn(values: Any, name: str, labels: Any) -> Figure:
    from shapiq.plot import force_plot, upset_plot, waterfall_plot

    if name == "upset":
        size = (10, 4 + 0.3 * len(labels))
        figure = upset_plot(values, feature_names=labels, n_interactions=TOP, figsize=size)
    elif name == "waterfall":
        axes = waterfall_plot(values, feature_names=labels, abbreviate=False, max_display=TOP)
        figure = axes.get_figure()
    else:
        figure = force_plot(values, feature_names=labels, abbreviate=False)
    assert isinstance(figure, Figure)
    return figure
