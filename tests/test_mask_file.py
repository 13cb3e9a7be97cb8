"""Mask files: what is written comes back, and what is broken is refused in a sentence."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headspex.errors import UsageError
from headspex.hooks import Fill
from headspex.mask_file import MaskFile, pruned_heads, read_mask
from headspex.players import Players
from headspex.runs.results import mask_of
from headspex.scores.fill import fingerprint_of, read_fill, write_fill

MASK = MaskFile(
    model="tiny", fingerprint="ab" * 32, n_layers=3, n_heads=4, pruned_heads={0: (1, 3), 2: (0,)},
    ablation="zero", rescale=False, sparsity=0.25, task="mini", score=0.75,
)  # fmt: skip


def test_a_mask_survives_the_file_and_names_the_heads_that_are_off(tmp_path: Path) -> None:
    MASK.write(tmp_path / "003.json")
    assert read_mask(tmp_path / "003.json") == MASK
    expected = np.ones((3, 4), dtype=bool)
    expected[0, [1, 3]] = expected[2, 0] = False
    np.testing.assert_array_equal(MASK.keep_grid(), expected)
    assert pruned_heads(expected) == MASK.pruned_heads
    assert MASK.n_pruned == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "headspex.mask/9"}, "format"),
        ({"surprise": 1}, "surprise"),
        ({"n_layers": -1}, "n_layers must be a whole number within 1..1,000,000, but is -1"),
        ({"n_layers": 10**12}, "n_layers must be a whole number within 1..1,000,000"),
        ({"n_heads": 10**6}, "3 x 1000000 heads are more than 1,000,000"),
        ({"pruned_heads": {"3": [0]}}, r"layers are 0\.\.2 in plain digits, but one is '3'"),
        ({"pruned_heads": {"0": [4]}}, "within 0..3"),
        ({"pruned_heads": {"0": [1, 1]}}, "ascend"),
        ({"pruned_heads": {"-1": [1]}}, "but one is '-1'"),
        ({"pruned_heads": {"0": "13"}}, "ascend"),
        ({"pruned_heads": {"00": [1, 3], "2": [0]}}, "but one is '00'"),
        ({"pruned_heads": {"\u0662": [1]}}, "in plain digits"),
        ({"sparsity": 0.5}, "sparsity must be the share of the run's players that is off"),
        ({"sparsity": 0}, "sparsity must be"),
        ({"sparsity": -0.25}, "sparsity must be"),
        ({"unit": "mlp"}, "must be empty where unit is mlp"),
        ({"ablation": "noise"}, "ablation"),
        ({"rescale": "yes"}, "rescale"),
        ({"score": "high"}, "score"),
        ({"score": float("nan")}, "NaN is not a number"),
        ({"fill": {"path": "/etc/passwd"}}, "fill"),
        ({"model": 3}, "model"),
    ],
)
def test_a_broken_mask_file_is_refused_with_what_is_wrong(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    path = tmp_path / "mask.json"
    path.write_text(json.dumps({**json.loads(MASK.to_json()), **change}))
    with pytest.raises(UsageError, match=words):
        read_mask(path)


def test_a_layer_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mask.json"
    path.write_text(MASK.to_json().replace('"2": [', '"0": ['))
    with pytest.raises(UsageError, match=r"mask\.json is not JSON: '0' is named twice"):
        read_mask(path)


@pytest.mark.parametrize("unit", ["head", "kv-group", "layer", "mlp", "head,mlp", "kv-group,mlp"])
@pytest.mark.parametrize("layers", [(0, 1, 2), (0, 2)])
def test_the_sparsity_of_every_mask_of_a_run_is_believed_but_that_of_others_is_not(
    unit: str, layers: tuple[int, ...], tmp_path: Path
) -> None:
    players = Players.of_unit(unit, 3, 4, layers, n_kv_heads=2)
    identity = {
        "model": "m",
        "weights": "ab" * 32,
        "ablation": "zero",
        "rescale": False,
        "task": "t",
    }
    rng = np.random.default_rng(0)
    path = tmp_path / "mask.json"
    for size in range(len(players) + 1):
        mask = np.ones(len(players), dtype=bool)
        mask[rng.permutation(len(players))[:size]] = False
        file = mask_of(identity, players, mask, score=None, fill=None)
        rounded = replace(file, sparsity=round(file.sparsity, 2))
        for one in (file, rounded):
            one.write(path)
            assert read_mask(path) == one
        replace(file, sparsity=file.sparsity + 0.011).write(path)
        with pytest.raises(UsageError, match="sparsity must be"):
            read_mask(path)


@pytest.mark.parametrize(
    ("unit", "heads", "mlps", "words"),
    [
        ("head", {0: (1,)}, (), "1 head"),
        ("head", {}, (), "0 heads"),
        ("head,mlp", {0: (1, 2)}, (0,), "2 heads and 1 MLP"),
        ("mlp", {}, (0, 1), "2 MLPs"),
    ],
)
def test_what_is_off_is_said_in_words(
    unit: str, heads: dict[int, tuple[int, ...]], mlps: tuple[int, ...], words: str
) -> None:
    assert replace(MASK, unit=unit, pruned_heads=heads, pruned_mlps=mlps).off == words


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000])
def test_a_file_that_is_no_mask_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mask.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"mask\.json"):
        read_mask(path)


def test_a_mask_of_another_model_is_refused_with_both_fingerprints() -> None:
    with pytest.raises(UsageError, match=r"ababababab.*cdcdcdcdcd"):
        MASK.check_fits("cd" * 32, "other", n_layers=3, n_heads=4)


def test_a_mask_of_another_shape_is_refused_with_both_shapes() -> None:
    words = "3 layers x 4 heads, but tiny has 3 x 8; use a mask of this model"
    with pytest.raises(UsageError, match=words):
        MASK.check_fits("ab" * 32, "tiny", n_layers=3, n_heads=8)


@pytest.mark.parametrize("unit", ["mlp", "head,mlp"])
def test_means_of_mlps_survive_the_file(unit: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mlps = rng.normal(size=(3, 8)).astype(np.float32)
    heads = rng.normal(size=(3, 4, 2)).astype(np.float32) if unit == "head,mlp" else None
    entry = write_fill(tmp_path, Fill(heads, mlps))
    mask = replace(
        MASK, pruned_heads={}, ablation="mean-position", fill=entry, unit=unit, pruned_mlps=(1,),
        sparsity=1 / 3 if unit == "mlp" else 1 / 15,
    )  # fmt: skip
    mask.write(tmp_path / "001.json")
    found = read_fill(read_mask(tmp_path / "001.json"), tmp_path / "001.json")
    assert found is not None
    np.testing.assert_array_equal(found.mlps, mlps)
    assert found.heads is None if heads is None else np.array_equal(found.heads, heads)
    assert fingerprint_of(found) == fingerprint_of(Fill(heads, mlps))
    assert fingerprint_of(found) != fingerprint_of(Fill(heads, mlps + 1))


def test_means_are_read_back_only_if_they_are_the_ones_the_mask_was_made_with(
    tmp_path: Path,
) -> None:
    values = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    entry = write_fill(tmp_path, Fill(values))
    mask = replace(MASK, ablation="mean", fill=entry)
    found = read_fill(mask, tmp_path / "003.json")
    assert found is not None
    np.testing.assert_array_equal(found.heads, values)
    assert found.mlps is None
    both = replace(mask, unit="head,mlp", pruned_mlps=(1,))
    with pytest.raises(UsageError, match="holds no tensor 'mean_mlp'"):
        read_fill(both, tmp_path / "003.json")
    write_fill(tmp_path, Fill(values + 1))
    with pytest.raises(UsageError, match="not the fill"):
        read_fill(mask, tmp_path / "003.json")
