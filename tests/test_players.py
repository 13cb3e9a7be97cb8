from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headspex.errors import UsageError
from headspex.players import Players, check_masks, format_layers, parse_label, parse_layers


def test_columns_run_head_by_head_through_the_chosen_layers() -> None:
    players = Players.heads(32, 4, [13, 0])
    assert len(players) == 8
    assert list(players) == [(0, 0), (0, 1), (0, 2), (0, 3), (13, 0), (13, 1), (13, 2), (13, 3)]
    assert players[5] == (13, 1)
    assert players.index(13, 1) == 5
    assert players.label(5) == "L13H1"
    assert players.labels((0, 5)) == "L0H0 L13H1"
    assert players.parse_label("L13H1") == 5
    assert players.layer_of.tolist() == [0] * 4 + [13] * 4


def test_all_layers_are_switched_when_none_is_named() -> None:
    assert Players.heads(3, 2) == Players(n_layers=3, n_heads=2, layers=(0, 1, 2))


def test_grid_puts_masks_at_their_layers_and_leaves_other_heads_on() -> None:
    players = Players.heads(3, 2, [1])
    grid = players.grid(np.array([[[True, False]], [[False, False]]]))
    assert grid.shape == (2, 1, 3, 2)
    assert grid[0, 0].tolist() == [[True, True], [True, False], [True, True]]
    assert grid[1, 0].tolist() == [[True, True], [False, False], [True, True]]


def test_grid_of_a_mask_of_wrong_width_names_both_sizes() -> None:
    with pytest.raises(UsageError, match=r"3 players.*has 2"):
        Players.heads(3, 2, [1]).grid(np.ones((1, 3), dtype=bool))


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [((), "not be empty|not empty"), ((2, 1), "ascending"), ((1, 1), "distinct"), ((3,), "0-2")],
)
def test_layers_that_the_model_does_not_have_are_refused(layers: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Players(n_layers=3, n_heads=2, layers=layers)


def test_a_head_that_is_no_player_is_refused_and_a_column_beyond_the_end_ends_iteration() -> None:
    players = Players.heads(3, 2, [1])
    with pytest.raises(UsageError, match="L0H0 is not a player"):
        players.index(0, 0)
    with pytest.raises(UsageError, match="L1H2"):
        players.index(1, 2)
    with pytest.raises(IndexError):
        players[2]
    with pytest.raises(IndexError):
        players[-1]


@pytest.mark.parametrize(
    ("text", "layers"),
    [("0-2,13", (0, 1, 2, 13)), ("5", (5,)), (" 3 , 1-2 ", (1, 2, 3)), ("0-15", tuple(range(16)))],
)
def test_layers_are_parsed_with_inclusive_ranges(text: str, layers: Any) -> None:
    assert parse_layers(text, 16) == layers


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "written like 0-2,13"),
        ("1,,2", "written like"),
        ("1-", "written like"),
        ("-1", "written like"),
        ("a", "written like"),
        ("1.5", "written like"),
        ("3-1", "reversed; write 1-3"),
        ("16", r"16 does not exist: the model has 16 layers \(0-15\)"),
        ("14-99999", "99999 does not exist"),
        ("1-3,2", "layer 2 is named twice"),
    ],
)
def test_layers_that_cannot_be_meant_are_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_layers(text, 16)


@given(st.sets(st.integers(0, 39), min_size=1))
def test_formatted_layers_parse_to_themselves(layers: Any) -> None:
    assert parse_layers(format_layers(sorted(layers)), 40) == tuple(sorted(layers))


@pytest.mark.parametrize("label", ["13.3", "L13", "H3L13", "L-1H3", "l13h3", "L1H2 L1H3"])
def test_a_text_that_is_no_label_is_refused(label: str) -> None:
    with pytest.raises(UsageError, match="written like L13H3"):
        parse_label(label)


@pytest.mark.parametrize(
    ("masks", "sentence"),
    [
        (np.full((2, 3), 0.5), r"True and False \(or 1 and 0.*float64"),
        (np.array([["a"] * 3]), "True and False"),
        (np.ones((2, 4), dtype=bool), "4 players, but 3"),
        (np.ones(3, dtype=bool), r"shape \[masks, players\], but got \[3\]"),
    ],
)
def test_masks_of_wrong_type_or_shape_are_refused(masks: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        check_masks(masks, 3)
