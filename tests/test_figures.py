"""What is drawn: the data in the picture, not its pixels."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import made_run
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from headspex.errors import UsageError
from headspex.figures import (
    DARK,
    LIGHT,
    faithfulness_by_budget,
    head_importance,
    interaction_graph,
    interaction_orders,
    layer_interaction_energy,
    pruning_curve,
    pruning_curves,
)
from headspex.figures.of_run import COMPARED, FIGURES, draw, figures_of
from headspex.figures.orders import ranked
from headspex.figures.run_view import RunView
from headspex.figures.style import save
from headspex.players import Players
from headspex.runs.curve import FaithfulnessPoint
from headspex.runs.interactions_table import Interaction
from headspex.runs.run_folder import finished_run

SHAPES = [(1, 1), (1, 8), (6, 1), (6, 8), (32, 32)]


def _by_gid(figure: Figure, word: str) -> dict[str, Any]:
    """What stands for heads (or layers), by their names."""
    found = figure.findobj(lambda artist: str(artist.get_gid() or "").startswith(f"{word} "))
    return {str(artist.get_gid()).removeprefix(f"{word} "): artist for artist in found}


def _row(heads: str, effect: float, coefficient: float | None = None) -> Interaction:
    labels = tuple(heads.split())
    layers = tuple(dict.fromkeys(int(label[1 : label.index("H")]) for label in labels))
    kind = "linear" if len(labels) == 1 else "within" if len(layers) == 1 else "across"
    size = effect if coefficient is None else coefficient
    return Interaction(labels, layers, kind, effect, size, effect - 0.1, effect + 0.1, 1.0)


# Heads


@pytest.mark.parametrize("shape", SHAPES)
def test_every_head_is_a_tile_as_opaque_as_it_is_important(shape: tuple[int, int]) -> None:
    importance = np.random.default_rng(0).normal(size=shape)
    labels = [f"L{row}H{column}" for row in range(shape[0]) for column in range(shape[1])]
    figure = head_importance(importance, layers=range(shape[0]), labels=labels)
    tiles = _by_gid(figure, "of")
    assert list(tiles) == labels
    for label, effect in zip(labels, importance.ravel(), strict=True):
        assert tiles[label].get_alpha() == pytest.approx(abs(effect) / np.abs(importance).max())
        assert to_hex(tiles[label].get_facecolor()) == (LIGHT.orange if effect > 0 else LIGHT.blue)
    axes = figure.axes[0]
    assert max(len(axes.get_xticks()), len(axes.get_yticks())) <= 16


def test_heads_that_were_not_switched_have_no_tile() -> None:
    importance = np.array([[0.1, np.nan]])
    assert list(_by_gid(head_importance(importance, layers=[0], labels=["a", "b"]), "of")) == ["a"]


def test_no_importance_at_all_is_drawn_without_a_warning() -> None:
    head_importance(np.zeros((2, 2)), layers=[3, 4])


# Energy


@pytest.mark.parametrize("split", [(1.0, 0.0, 0.0), (0.6, 0.3, 0.1), (0.0, 0.0, 0.0)])
def test_the_energy_figure_draws_half_the_matrix_and_a_bar_for_each_split(
    split: tuple[float, float, float],
) -> None:
    matrix = np.array([[0.1, 0.2], [0.2, 0.0]]) * (split[1] + split[2])
    splits = {"all": split, "2": (0.5, 0.5, 0.0)}
    figure = layer_interaction_energy(matrix, layers=[2, 5], splits=splits, basis="p = 0.8")
    tiles = _by_gid(figure, "between")
    assert set(tiles) == {"2 2", "2 5", "5 5"}
    most = matrix.max() or 1.0
    for name, share in (("2 2", matrix[0, 0]), ("2 5", matrix[1, 0]), ("5 5", matrix[1, 1])):
        assert tiles[name].get_alpha() == pytest.approx(np.sqrt(share / most))  # root scale
    bars: list[Any] = list(figure.axes[1].patches)
    heights = np.array([bar.get_height() for bar in bars]).reshape(3, 2).T
    np.testing.assert_allclose(heights, 100 * np.array(list(splits.values())))


def test_one_layer_without_interactions_has_an_energy_figure() -> None:
    splits = {"all": (1.0, 0.0, 0.0)}
    layer_interaction_energy(np.zeros((1, 1)), layers=[0], splits=splits, basis="p = 0.5")


# Curve


CURVES = {
    "proxyspex": [(0.1, 0.9, 0.8, 0.95), (0.5, 0.6, 0.5, 0.7)],
    "mine": [(0.1, 0.5, 0.4, 0.6)],
}


def _legend(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_a_curve_shows_each_method_with_its_interval() -> None:
    figure = pruning_curve(CURVES, metric="accuracy", unpruned=0.95, chance=0.25)
    assert _legend(figure) == ["ProxySPEX", "mine"]
    axes = figure.axes[0]
    heights = [line.get_ydata() for line in axes.get_lines()]
    assert any(np.array_equal(y, [0.9, 0.6]) for y in heights)
    (bars,) = [c for c in axes.containers if c.get_label() == "ProxySPEX"]
    ends = [segment[:, 1] for segment in bars.lines[2][0].get_segments()]  # type: ignore[attr-defined]
    np.testing.assert_allclose(ends, [(0.8, 0.95), (0.5, 0.7)])


@pytest.mark.parametrize("methods", [[], ["random"], ["mine"], ["lasso", "mine"]])
def test_a_curve_does_without_methods_that_are_missing(methods: list[str]) -> None:
    curves = {method: [(0.5, 0.5, 0.4, 0.6)] for method in methods}
    figure = pruning_curve(curves, metric="loss", unpruned=0.95)
    assert len(_legend(figure) if methods else []) == len(methods)


def test_parts_of_a_model_stand_side_by_side_on_one_scale() -> None:
    panels = {"layers 0-2": CURVES, "layers 13-15": {"lasso": [(0.5, 0.1, 0.0, 0.2)]}}
    figure = pruning_curves(panels, metric="accuracy", unpruned=0.95)
    left, right = figure.axes
    assert [axes.get_title(loc="left") for axes in (left, right)] == list(panels)
    assert left.get_ylim() == right.get_ylim()
    assert _legend(figure) == ["ProxySPEX", "mine", "LASSO on heads"]


def test_no_two_methods_of_a_run_look_the_same() -> None:
    from headspex.figures.methods import LOOKS

    looks = [(look.colour, look.marker) for look in LOOKS.values()]
    assert len(set(looks)) == len(looks)


# Graph


def test_lines_tie_the_heads_of_an_interaction_and_are_as_thick_as_it_is_strong() -> None:
    rows = [
        _row("L0H0", 0.5),
        _row("L0H0 L0H1", -0.4),
        _row("L0H1 L2H3", 0.2),
        _row("L1H0 L1H1 L1H3", 0.1),
    ]
    players = Players.heads(3, 4)
    figure = interaction_graph(rows, players)
    patches: list[Any] = list(figure.axes[0].patches)
    lines = {patch.get_gid().removeprefix("of "): patch for patch in patches}
    assert set(lines) == {"L0H0 L0H1", "L0H1 L2H3", "L1H0 L1H1 L1H3"}
    widths = [lines[" ".join(row.heads)].get_linewidth() for row in rows[1:]]
    assert widths == sorted(widths, reverse=True)
    colours = [to_hex(lines[" ".join(row.heads)].get_edgecolor()) for row in rows[1:]]
    assert colours == [LIGHT.blue, LIGHT.orange, LIGHT.orange]
    dots = _by_gid(figure, "of")
    for row in rows[1:]:
        path = lines[" ".join(row.heads)].get_path()
        for head in row.heads:
            (place,) = dots[head].get_offsets()
            assert np.abs(path.vertices - place).sum(axis=1).min() < 1e-9


def test_within_a_layer_synergy_bends_up_and_redundancy_down() -> None:
    rows = [_row("L0H0 L0H2", 0.3), _row("L0H1 L0H3", -0.3)]
    figure = interaction_graph(rows, Players.heads(1, 4))
    for patch in figure.axes[0].patches:
        ends: Any = patch.get_path().vertices
        up = ends[1, 1] > ends[0, 1]
        assert up == (patch.get_gid() == "of L0H0 L0H2")


def test_the_graph_says_what_it_leaves_out() -> None:
    rows = [_row(f"L{i}H0 L{i}H1", 0.1, coefficient=1.0) for i in range(4)]
    figure = interaction_graph(rows, Players.heads(4, 2), top=3)
    (said,) = [text.get_text() for text in figure.axes[0].texts if "strongest" in text.get_text()]
    assert said == "the 3 strongest of 4 interactions, 75% of their energy"
    assert len(figure.axes[0].patches) == 3


@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_without_interactions_has_a_graph_of_its_heads(shape: tuple[int, int]) -> None:
    players = Players.heads(*shape)
    figure = interaction_graph([_row("L0H0", 0.3)], players)
    (all_heads, *_) = figure.axes[0].collections
    assert len(all_heads.get_offsets()) == len(players)  # type: ignore[arg-type]
    assert "no interactions" in [text.get_text() for text in figure.axes[0].texts]


# Orders


def test_orders_are_bars_of_energy_and_effects_fall_by_rank() -> None:
    rows = ranked([_row("L0H0", 0.3, 3.0), _row("L0H1", 0.1, 1.0), _row("L0H0 L0H1", -0.2, 2.0)])
    assert [row.heads for row in rows] == ["L0H0", "L0H0 L0H1", "L0H1"]
    figure = interaction_orders(rows)
    bars: list[Any] = list(figure.axes[0].patches)
    energies = [100 * 10 / 14, 100 * 4 / 14]  # of 9 + 1 and 4, of 14 in all
    np.testing.assert_allclose([bar.get_width() for bar in bars], energies)
    points = _by_gid(figure, "of")
    places = {name: (*dot.get_xdata(), *dot.get_ydata()) for name, dot in points.items()}
    assert places == {
        "L0H0": (1, 0.3), "L0H0 L0H1": (2, 0.2), "L0H1": (3, 0.1),
    }  # fmt: skip


def test_no_interactions_at_all_are_said_to_be_none() -> None:
    texts = [text.get_text() for text in interaction_orders([]).axes[0].texts]
    assert texts == ["no interactions"]


# Faithfulness


POINTS = [
    FaithfulnessPoint("proxyspex", 100, 50, -0.5, -1.0, 0.1, 100),
    FaithfulnessPoint("proxyspex", 200, 100, 0.6, 0.5, 0.7, 100),
    FaithfulnessPoint("mine", 200, 100, 0.4, 0.3, 0.5, 100),
]


def test_faithfulness_shows_each_method_at_each_budget() -> None:
    figure = faithfulness_by_budget(POINTS)
    axes = figure.axes[0]
    assert _legend(figure) == ["ProxySPEX", "mine"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["100", "200"]
    assert any(np.array_equal(line.get_ydata(), [-0.5, 0.6]) for line in axes.get_lines())


def test_budgets_too_near_each_other_share_the_label_of_most_methods() -> None:
    near = FaithfulnessPoint("spex", 198, 2, 0.4, 0.3, 0.5, 100)
    axes = faithfulness_by_budget([near, *POINTS]).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["100", "200"]


def test_what_lies_below_the_picture_is_told() -> None:
    assert faithfulness_by_budget(POINTS).axes[0].get_ylabel().endswith("(not drawn below -0.1)")
    assert faithfulness_by_budget(POINTS[1:]).axes[0].get_ylabel() == "R² on fresh masks"


def test_a_comparison_without_any_r2_says_so_in_the_picture() -> None:
    (text,) = faithfulness_by_budget([]).axes[0].texts
    assert text.get_text() == "all fresh masks score the same"


# Files


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_the_same_data_gives_the_same_file(tmp_path: Path, kind: str) -> None:
    for name in ("a", "b"):
        save(head_importance(np.eye(3), layers=[0, 1, 2]), tmp_path / f"{name}.{kind}")
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_a_file_keeps_the_paper_it_was_drawn_on(tmp_path: Path, theme: Any) -> None:
    path = save(head_importance(np.eye(3), layers=[0, 1, 2], theme=theme), tmp_path / "a.svg")
    assert f"fill: {theme.paper}" in path.read_text()


MADE = [
    {"layers": 1, "heads": 1},
    {"layers": 1, "heads": 4, "pairs": 3},
    {"layers": 5, "heads": 1, "methods": ("proxyspex",)},
    {"layers": 4, "heads": 4, "pairs": 20, "triples": 5},
    {"layers": 4, "heads": 4, "pairs": 20, "methods": ()},
    pytest.param({"layers": 32, "heads": 32, "pairs": 500}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("size", MADE)
@pytest.mark.parametrize("name", list(FIGURES))
def test_every_figure_of_any_run_has_its_table_beside_it(
    name: str, size: dict[str, Any], tmp_path: Path
) -> None:
    made_run(tmp_path, **size)
    folder, content = finished_run(tmp_path)
    run = RunView(folder, content["identity"], content["results"])
    if name not in figures_of(run):
        assert size["heads"] == 1 or "methods" in size  # nothing of ours was judged
        with pytest.raises(UsageError, match="headspex prune"):
            draw(run, name, tmp_path / "drawn.svg")
        return
    picture, table = draw(run, name, tmp_path / "drawn.svg")
    assert picture.read_text().count("<text") > 0
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    if name == "heads":
        assert len(rows) == size["layers"] * size["heads"]
    if name == "graph":
        several = [row for row in rows if " " in row["heads"]]
        assert len(several) == min(40, size.get("pairs", 0) + size.get("triples", 0))
        ties = {part.split('"')[0] for part in picture.read_text().split('id="of ')[1:]}
        assert {row["heads"] for row in several} <= ties


def test_bars_of_a_range_of_layers_are_the_energies_of_its_own_heads(tmp_path: Path) -> None:
    made_run(tmp_path, layers=4, heads=4, pairs=20)
    folder, content = finished_run(tmp_path)
    run = RunView(folder, content["identity"], content["results"], ranges=((0, 1), (3,)))
    _, table = draw(run, "energy", tmp_path / "drawn.svg")
    with table.open(newline="") as file:
        drawn = {(r["kind"], r["layers"]): float(r["share"]) for r in csv.DictReader(file)}
    squares = {"linear": 0.0, "within": 0.0, "across": 0.0}
    for row in run.interactions:
        if set(row.layers) <= {0, 1}:
            squares[row.kind] += row.coefficient**2
    for kind, square in squares.items():
        assert drawn[kind, "0-1"] == pytest.approx(square / sum(squares.values()))
    assert drawn["across", "3"] == 0


def test_an_unknown_figure_or_ending_is_refused(tmp_path: Path) -> None:
    made_run(tmp_path, layers=1, heads=2)
    folder, content = finished_run(tmp_path)
    run = RunView(folder, content["identity"], content["results"])
    with pytest.raises(UsageError, match="the figures of a run are curve, heads"):
        draw(run, "pie", tmp_path / "pie.svg")
    with pytest.raises(UsageError, match=r"\.svg, \.png or \.pdf"):
        draw(run, "heads", tmp_path / "heads.gif")
    for name in COMPARED:
        with pytest.raises(UsageError, match="headspex compare"):
            draw(run, name, tmp_path / "it.svg")


def test_scores_of_one_schedule_stand_side_by_side_on_their_own_scales() -> None:
    from headspex.figures.curve import Panel, metric_curves

    near = {"proxyspex": [(0.1, -0.1, -0.2, 0.0), (0.9, -6.0, -7.0, -5.0)]}
    scored = {"proxyspex": [(0.1, 5.0, 4.0, 6.0), (0.9, 1.0, 0.0, 2.0)]}
    panels = [Panel("left", near, "kl", 0.0), Panel("right", scored, "logit-diff", 5.3)]
    first, second = metric_curves(panels).axes
    labels = [axes.get_ylabel() for axes in (first, second)]
    assert labels == ["held-out minus KL divergence (nats)", "held-out logit-diff"]
    assert first.get_ylim()[1] < 2 < 5.3 < second.get_ylim()[1]
