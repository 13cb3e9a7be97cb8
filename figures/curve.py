"""Pruning curves: held-out score against the share of heads removed."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from headspex.figures.style import BLUE, GREEN, GREY, ORANGE, style

_LOOKS = {
    "proxyspex": (BLUE, "o", "ProxySPEX"),
    "lasso": (ORANGE, "s", "LASSO on heads"),
    "random": (GREY, "^", "random, mean"),
}

Point = tuple[float, float, float, float]  # sparsity, score, low, high


def pruning_curve(
    curves: Mapping[str, Sequence[Point]],
    *,
    metric: str,
    unpruned: float,
    chance: float | None = None,
    players: str = "heads",
) -> Figure:
    """One line a method, with its 95 % intervals, between the whole model and chance.

    Args:
        curves: method -> (sparsity, score, low, high), ascending sparsity.
        metric: name of the score.
        unpruned: score of the whole model on the same questions.
        chance: score of guessing, if the metric has one.
        players: what is removed.
    """
    with style():
        figure = Figure(figsize=(6.4, 3.8))
        axes = figure.add_subplot()
        axes.axhline(unpruned, color="black", linewidth=0.8)
        axes.annotate("whole model", (99, unpruned), va="bottom", ha="right", fontsize=8)
        if chance is not None:
            axes.axhline(chance, color=GREY, linewidth=0.8, linestyle=":")
            axes.annotate("chance", (1, chance), va="bottom", fontsize=8, color=GREY)
        spare = iter([GREEN, "#CC79A7", "#56B4E9"])
        for number, (method, points) in enumerate(curves.items()):
            colour, marker, label = _LOOKS.get(method) or (next(spare, GREY), "D", method)
            # Side by side, or the intervals of one method would hide those of another.
            x = [100 * point[0] + 0.7 * (number - (len(curves) - 1) / 2) for point in points]
            y = [point[1] for point in points]
            below = [max(0.0, p[1] - p[2]) for p in points]
            above = [max(0.0, p[3] - p[1]) for p in points]
            axes.errorbar(
                x, y, [below, above], color=colour, marker=marker, markersize=4, capsize=2,
                linewidth=1.4, elinewidth=0.8, label=label.replace("heads", players),
            )  # fmt: skip
        axes.set(xlim=(0, 100), xlabel=f"{players} removed, %", ylabel=f"held-out {metric}")
        axes.set_title(f"What is left when {players} go")
        axes.legend(loc="best")
    return figure
