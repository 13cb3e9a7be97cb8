"""Mask files: what is written comes back, and what is broken is refused in a sentence."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headspex.errors import UsageError
from headspex.mask_file import MaskFile, pruned_heads, read_mask
from headspex.scores.fill import read_fill, write_fill

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
        ({"n_layers": -1}, "n_layers"),
        ({"n_layers": 10**9}, "n_layers"),
        ({"pruned_heads": {"3": [0]}}, "layer '3' is outside 0..2"),
        ({"pruned_heads": {"0": [4]}}, "within 0..3"),
        ({"pruned_heads": {"0": [1, 1]}}, "ascend"),
        ({"pruned_heads": {"-1": [1]}}, "outside"),
        ({"pruned_heads": {"0": "13"}}, "ascend"),
        ({"unit": "mlp"}, "only heads"),
        ({"ablation": "noise"}, "ablation"),
        ({"rescale": "yes"}, "rescale"),
        ({"score": "high"}, "score"),
        ({"score": float("nan")}, "NaN is no number"),
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


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000])
def test_a_file_that_is_no_mask_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mask.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"mask\.json"):
        read_mask(path)


def test_a_mask_of_another_model_is_refused_with_both_fingerprints() -> None:
    with pytest.raises(UsageError, match=r"ababababab.*cdcdcdcdcd"):
        MASK.check_fits("cd" * 32, "other")


def test_means_are_read_back_only_if_they_are_the_ones_the_mask_was_made_with(
    tmp_path: Path,
) -> None:
    values = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    entry = write_fill(tmp_path, values)
    mask = MaskFile(**{**vars(MASK), "ablation": "mean", "fill": entry})
    found = read_fill(mask, tmp_path / "003.json")
    assert found is not None
    np.testing.assert_array_equal(found, values)
    write_fill(tmp_path, values + 1)
    with pytest.raises(UsageError, match="not the fill"):
        read_fill(mask, tmp_path / "003.json")
