"""Shapes that a smaller model can have, and what they save."""

from pathlib import Path

import numpy as np
import pytest
import torch
from made_exports import even

from headspex.errors import UsageError
from headspex.export.checkpoint import Removal
from headspex.export.checkpoint import shrunk as cut
from headspex.export.shapes import Shape, kept_heads, nearest_shapes, shape_of
from headspex.export.sizes import sizes
from headspex.export.stored import read_checkpoint
from headspex.hooks.sources import find_source


def test_shapes_are_read_off_masks() -> None:
    grid = np.array([[1, 0, 0, 0, 1, 0], [0, 1, 1, 0, 0, 0], [0] * 6], dtype=bool)
    assert shape_of(grid, 3) == Shape(2, 1)
    assert shape_of(grid, 2) is None
    np.testing.assert_array_equal(kept_heads(grid, 3), [[0, 4], [1, 2], [0, 2]])
    assert shape_of(np.ones((2, 6), dtype=bool), 3) == Shape(3, 2)
    assert nearest_shapes(Shape(4, 2), 6.4) == [Shape(3, 2)]
    assert nearest_shapes(Shape(4, 2), 5) == [Shape(4, 1), Shape(2, 2)]
    assert nearest_shapes(Shape(4, 2), 5, whole_groups=True) == [Shape(2, 2)]
    assert Shape.parse("12x2") == Shape(12, 2)
    with pytest.raises(UsageError, match="written like 3x2"):
        Shape.parse("3x0")


def test_sizes_of_llama_31_8b_are_those_of_its_paper() -> None:
    from transformers import LlamaConfig

    config = LlamaConfig(
        vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
        num_attention_heads=32, num_key_value_heads=8,
    )  # fmt: skip
    whole = sizes(config, "LlamaForCausalLM", torch.bfloat16)
    assert whole.parameters == 8_030_261_248
    assert whole.bytes == 2 * whole.parameters
    assert whole.kv_bytes == 131_072  # 128 KiB: 2 x 32 layers x 8 heads x 128 x 2 bytes
    config.num_attention_heads, config.num_key_value_heads = 16, 4
    half = sizes(config, "LlamaForCausalLM", torch.bfloat16)
    # Half of attention's 1.34 B weights.
    assert whole.parameters - half.parameters == 32 * (2 * 4096 * 2048 + 2 * 4096 * 512)
    assert half.kv_bytes == whole.kv_bytes // 2


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_quarter_and_half_of_the_heads_of_a_random_llama_save_weights_and_cache(
    share: float, tmp_path: Path
) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=512, hidden_size=256, intermediate_size=688, num_hidden_layers=8,
        num_attention_heads=8, num_key_value_heads=4,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    shape = Shape(round(4 * (1 - share)), 2)

    checkpoint = read_checkpoint(find_source(str(tmp_path / "model")))
    made = cut(checkpoint, Removal(even(8, 4, 2, shape), np.ones(8, dtype=bool)))
    before = sizes(checkpoint.config, checkpoint.architecture, torch.float32)
    after = sizes(made.config, made.architecture, torch.float32)
    assert after.parameters == sum(weight.numel() for weight in made.state.values())
    attention = 8 * 256 * 32 * 2 * (8 + 4)
    assert before.parameters - after.parameters == round(share * attention)
    assert after.kv_bytes == round((1 - share) * before.kv_bytes)
