"""Pruning curves: held-out score against the share of heads removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headspex.figures.methods import colour_of, looks_of
from headspex.figures.style import LIGHT, WIDTH, Theme, below, style
from headspex.tasks.scoring import title_of

Point = tuple[float, float, float, float]  # sparsity, score, low, high
Curves = Mapping[str, Sequence[Point]]  # method -> points, ascending sparsity

_SIDE_BY_SIDE = 0.6  # % between methods, so that their intervals do not overlap


def pruning_curve(
    curves: Curves,
    *,
    metric: str,
    unpruned: float,
    chance: float | None = None,
    players: str = "heads",
    told: tuple[float, float, str] | None = None,
    theme: Theme = LIGHT,
) -> Figure:
    """One line a method, with its 95 % intervals, between the whole model and chance.

    Args:
        curves: method -> (sparsity, score, low, high), ascending sparsity; may be empty.
        metric: name of the score.
        unpruned: score of the whole model on the same questions.
        chance: score of guessing, if the metric has one.
        players: what is removed.
        told: sparsity and score of a point, and a note on it.
        theme: the colours.
    """
    return pruning_curves(
        {f"What is left when {players} go": curves}, metric=metric, unpruned=unpruned,
        chance=chance, players=players, told=told, theme=theme,
    )  # fmt: skip


def pruning_curves(
    panels: Mapping[str, Curves],
    *,
    metric: str,
    unpruned: float,
    chance: float | None = None,
    players: str = "heads",
    told: tuple[float, float, str] | None = None,
    theme: Theme = LIGHT,
) -> Figure:
    """A panel for each part of the model, side by side, on one scale; see `pruning_curve`.

    Args:
        panels: title -> curves, such as {"layers 0-2": ..., "layers 13-15": ...}.
        metric, unpruned, chance, players, told, theme: as for `pruning_curve`.
    """
    shown = [Panel(title, curves, metric, unpruned, chance) for title, curves in panels.items()]
    return _drawn(shown, players=players, told=told, theme=theme)


@dataclass(frozen=True)
class Panel:
    """A part of a figure: one score under all methods; arguments as of `pruning_curve`."""

    title: str
    curves: Curves
    metric: str
    unpruned: float
    chance: float | None = None


def metric_curves(
    panels: Sequence[Panel],
    *,
    players: str = "heads",
    told: tuple[float, float, str] | None = None,
    theme: Theme = LIGHT,
) -> Figure:
    """Several scores of the same schedules, side by side, each on its own scale.

    Args:
        panels: one for each score; `told` is of the first.
        players, told, theme: as for `pruning_curve`.
    """
    return _drawn(panels, players=players, told=told, theme=theme, own_scales=True)


def _drawn(
    panels: Sequence[Panel],
    *,
    players: str,
    told: tuple[float, float, str] | None,
    theme: Theme,
    own_scales: bool = False,
) -> Figure:
    methods = list(dict.fromkeys(method for panel in panels for method in panel.curves))
    looks = dict(looks_of(methods, players))
    with style(theme):
        width = 0.85 * WIDTH if own_scales else 2.3
        size = max(WIDTH, width * len(panels)), 2.9 if len(panels) > 1 and not own_scales else 3.5
        figure = Figure(figsize=size)
        rows = figure.subplots(1, len(panels), sharey=not own_scales, squeeze=False)
        for axes, panel in zip(rows[0], panels, strict=True):
            words = own_scales or axes is rows[0, 0]
            _limits(axes, panel.unpruned, panel.chance, theme, words=words)
            for number, method in enumerate(methods):
                shift = _SIDE_BY_SIDE * (number - (len(methods) - 1) / 2)
                look, points = looks[method], panel.curves.get(method, ())
                axes.errorbar(
                    [100 * point[0] + shift for point in points],
                    [point[1] for point in points],
                    [
                        [max(0.0, p[1] - p[2]) for p in points],
                        [max(0.0, p[3] - p[1]) for p in points],
                    ],
                    color=colour_of(look, theme), marker=look.marker, markersize=4, capsize=1.5,
                    linewidth=1.5, elinewidth=0.8, label=look.title,
                    zorder=3 - number / len(methods),
                )  # fmt: skip
            axes.set(xlim=(0, 100), xlabel=f"{players} removed, %", title=panel.title)
            if words:
                axes.set_ylabel(f"held-out {title_of(panel.metric)}")
        if told is not None:
            _tell(rows[0, 0], told, theme)
        if methods:
            lines, names = rows[0, 0].get_legend_handles_labels()
            below(figure, lines, names, columns=3)
    return figure


def _limits(axes: Axes, unpruned: float, chance: float | None, theme: Theme, words: bool) -> None:
    """Lines of whole model and chance, and invisible ones that mark 0 and 100 % for the page."""
    axes.axhline(unpruned, color=theme.ink, linewidth=0.8)
    if chance is not None:
        axes.axhline(chance, color=theme.grey, linewidth=0.8, linestyle=":")
    for percent in (0, 100):
        axes.axvline(percent, color=theme.grey, alpha=0.0, gid=f"at {percent}")
    if words:
        axes.annotate("whole model", (99, unpruned), va="bottom", ha="right", fontsize=8)
    if words and chance is not None:
        axes.annotate("chance", (1, chance), va="bottom", fontsize=8, color=theme.grey)


def _tell(axes: Axes, told: tuple[float, float, str], theme: Theme) -> None:
    """Write the note above the whole model's line, where no curve runs."""
    sparsity, score, sentence = told
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.12 * (high - low))
    axes.annotate(
        sentence, (100 * sparsity, score), xytext=(0.01, 0.99), textcoords="axes fraction",
        ha="left", va="top", color=theme.blue, weight="bold",
        arrowprops={
            "arrowstyle": "-", "color": theme.blue, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 3,
            "relpos": (0.5, 0),
        },
    )  # fmt: skip
