"""What is drawn: the data in the picture, not its pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headspex.faithfulness_table import FaithfulnessPoint
from headspex.figures import (
    faithfulness_by_budget,
    head_importance,
    layer_interaction_energy,
    pruning_curve,
)
from headspex.figures.style import save


@pytest.mark.parametrize("shape", [(1, 1), (6, 8), (32, 32)])
def test_every_head_is_a_tile_of_its_importance(shape: tuple[int, int]) -> None:
    importance = np.random.default_rng(0).normal(size=shape)
    axes = head_importance(importance, layers=range(shape[0])).axes[0]
    (tiles,) = axes.images
    drawn = tiles.get_array()
    assert drawn is not None
    np.testing.assert_array_equal(np.asarray(drawn), importance)
    low, high = tiles.get_clim()
    assert low == -high  # zero is white
    assert len(axes.get_xticks()) <= 16


def test_no_importance_at_all_is_drawn_without_a_warning() -> None:
    head_importance(np.zeros((2, 2)), layers=[3, 4])


@pytest.mark.parametrize("split", [(1.0, 0.0, 0.0), (0.6, 0.3, 0.1), (0.0, 0.0, 0.0)])
def test_the_energy_figure_draws_half_the_matrix_and_the_split(
    split: tuple[float, float, float],
) -> None:
    matrix = np.array([[0.1, 0.2], [0.2, 0.0]]) * (split[1] + split[2])
    figure = layer_interaction_energy(
        matrix, layers=[2, 5], linear=split[0], within=split[1], across=split[2], basis="p = 0.8"
    )
    picture, bar = figure.axes[:2]
    drawn: Any = np.nan_to_num(
        np.ma.filled(np.ma.asarray(picture.images[0].get_array()), np.nan), nan=-1
    )
    np.testing.assert_allclose(drawn[np.tril_indices(2)], 100 * matrix[np.tril_indices(2)])
    parts: list[Any] = list(bar.patches)
    heights = [part.get_height() for part in parts]
    np.testing.assert_allclose(heights, [100 * share for share in split])
    labels = sorted(text.get_position()[1] for text in bar.texts)
    assert min(np.diff(labels)) >= 10  # none lies on another


def test_a_curve_shows_each_method_with_its_interval() -> None:
    curves = {
        "proxyspex": [(0.1, 0.9, 0.8, 0.95), (0.5, 0.6, 0.5, 0.7)],
        "mine": [(0.1, 0.5, 0.4, 0.6)],
    }
    axes = pruning_curve(curves, metric="accuracy", unpruned=0.95, chance=0.25).axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]  # type: ignore[union-attr]
    assert names == ["ProxySPEX", "mine"]
    heights = [line.get_ydata() for line in axes.get_lines()]
    assert any(np.array_equal(y, [0.9, 0.6]) for y in heights)


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_the_same_data_gives_the_same_file(tmp_path: Path, kind: str) -> None:
    for name in ("a", "b"):
        save(head_importance(np.eye(3), layers=[0, 1, 2]), tmp_path / f"{name}.{kind}")
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


POINTS = [
    FaithfulnessPoint("proxyspex", 100, 50, -0.5, -1.0, 0.1, 100),
    FaithfulnessPoint("proxyspex", 200, 100, 0.6, 0.5, 0.7, 100),
    FaithfulnessPoint("mine", 200, 100, 0.4, 0.3, 0.5, 100),
]


def test_faithfulness_shows_each_method_at_each_budget() -> None:
    axes = faithfulness_by_budget(POINTS).axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]  # type: ignore[union-attr]
    assert names == ["ProxySPEX", "mine"]
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
