"""The check before an export is kept: it sees a wrong weight, setting or tokenizer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_exports import export, mask_of, ragged
from made_models import byte_tokenizer, save_random_llama

from headspex.errors import UsageError
from headspex.export.checkpoint import Removal
from headspex.export.proof import (
    check_exported,
    check_tokens,
    hooked_logits,
    read_back,
    texts,
)
from headspex.hooks import load_model
from headspex.hooks.sources import find_source


def test_the_check_before_an_export_sees_a_wrong_weight(model_folder: Path, tmp_path: Path) -> None:
    keep = ragged(2, 4)
    export(mask_of(str(model_folder), keep), tmp_path / "out", "zeroed")
    wrong = Removal(~keep, np.ones(2, dtype=bool))
    expected = hooked_logits(load_model(str(model_folder)), wrong)
    with pytest.raises(UsageError, match="must equal the hooked one"):
        check_exported(read_back(tmp_path / "out", torch.float32), expected, wrong, torch.float32)


def changed(folder: Path, **config: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        # The rotation of a context that nobody reaches with a short text.
        ({"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 1.0001}}, ""),
        ({"rms_norm_eps": 1.001e-6}, ""),
    ],
)
def test_the_check_sees_a_configuration_that_is_a_little_off(
    config: dict[str, Any], reason: str, model_folder: Path, tmp_path: Path
) -> None:
    removal = Removal(ragged(2, 4), np.ones(2, dtype=bool))
    export(mask_of(str(model_folder), removal.heads), tmp_path / "out", "zeroed")
    changed(tmp_path / "out", **config)
    expected = hooked_logits(load_model(str(model_folder)), removal)
    model = read_back(tmp_path / "out", torch.float32)
    with pytest.raises(UsageError, match="must equal the hooked one"):
        check_exported(model, expected, removal, torch.float32)


def test_the_check_sees_a_tokenizer_that_reads_otherwise(tmp_path: Path) -> None:
    folder = save_random_llama(tmp_path / "model", layers=2, tokenizer=byte_tokenizer())
    export(mask_of(str(folder), ragged(2, 4)), tmp_path / "out", "zeroed")
    check_tokens(find_source(str(folder)), tmp_path / "out")
    file = tmp_path / "out" / "tokenizer.json"
    content = json.loads(file.read_text())
    content["normalizer"] = {"type": "Lowercase"}
    file.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="must split text as"):
        check_tokens(find_source(str(folder)), tmp_path / "out")


def test_the_check_of_a_large_model_reads_less() -> None:
    from transformers import LlamaConfig

    config = LlamaConfig(vocab_size=128_256, max_position_embeddings=131_072)
    lengths = {size: [len(tokens) for tokens, _ in texts(config, size)] for size in SIZES}
    assert lengths == {10**8: [1024, 48], 8 * 10**9: [1024, 48], 7 * 10**10: [121, 48],
                       4 * 10**11: [48, 48]}  # fmt: skip
    (_, near), (_, far) = texts(config, 10**8)
    assert near[-1] == 1023
    assert far[-1] == 131_071


SIZES = (10**8, 8 * 10**9, 7 * 10**10, 4 * 10**11)
