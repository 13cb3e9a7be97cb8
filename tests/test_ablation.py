import copy
from typing import Any

import numpy as np
import pytest
import torch

from headspex.errors import UsageError
from headspex.hooks import Fill, ablated, ablation_hooks, mean_activations
from headspex.hooks.bridging import bridge_from_model

LAYERS, HEADS, D_HEAD = 3, 4, 8


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randint(3, 300, (5, 17), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def masks() -> np.ndarray:
    return np.random.default_rng(2).random((5, LAYERS, HEADS)) < 0.5


def plain_logits(model: Any, tokens: torch.Tensor, keep: np.ndarray, factor: Any = None) -> Any:
    """Logits of a copy with the columns of `o_proj` that belong to dropped heads zeroed."""
    model = copy.deepcopy(model)
    for layer, row in zip(model.model.layers, keep, strict=True):
        weight = layer.self_attn.o_proj.weight
        columns = torch.tensor(np.repeat(row, weight.shape[1] // len(row)))
        scale = 1.0 if factor is None else len(row) / max(1, row.sum())
        weight.data.mul_(columns * scale)
    with torch.no_grad():
        return model(tokens).logits


def test_ablation_equals_zeroed_columns_of_o_proj(
    plain_llama: Any, llama_bridge: Any, tokens: torch.Tensor, masks: np.ndarray
) -> None:
    for keep in masks:
        with torch.no_grad(), ablated(llama_bridge, keep) as masked:
            torch.testing.assert_close(
                masked(tokens), plain_logits(plain_llama, tokens, keep), atol=1e-5, rtol=1e-5
            )


def test_ablation_of_real_weights_equals_zeroed_columns_of_o_proj(stories260k: Any) -> None:
    from transformers import LlamaForCausalLM

    plain = LlamaForCausalLM.from_pretrained(stories260k, attn_implementation="eager")
    bridge = bridge_from_model(copy.deepcopy(plain), "LlamaForCausalLM", "stories")
    keep = np.random.default_rng(3).random((5, 8)) < 0.6
    tokens = torch.randint(3, 500, (2, 40), generator=torch.Generator().manual_seed(4))
    with torch.no_grad(), ablated(bridge, torch.from_numpy(keep)):
        logits = bridge(tokens)
    torch.testing.assert_close(logits, plain_logits(plain, tokens, keep), atol=1e-5, rtol=1e-5)


def zeroed_mlps(model: Any, keep_mlps: np.ndarray) -> Any:
    """A copy whose MLPs that are off project to nothing."""
    model = copy.deepcopy(model)
    for layer, on in zip(model.model.layers, keep_mlps, strict=True):
        layer.mlp.down_proj.weight.data.mul_(float(on))
    return model


def test_mlp_ablation_equals_zeroed_down_proj_row_by_row(
    plain_llama: Any, llama_bridge: Any, tokens: torch.Tensor, masks: np.ndarray
) -> None:
    mlps = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]], dtype=bool)
    with torch.no_grad(), ablated(llama_bridge, masks, keep_mlps=mlps) as masked:
        together = masked(tokens)
        for row, (keep, on) in enumerate(zip(masks, mlps, strict=True)):
            expected = plain_logits(zeroed_mlps(plain_llama, on), tokens[row : row + 1], keep)
            torch.testing.assert_close(together[row], expected[0], atol=1e-5, rtol=1e-5)


def test_mlps_alone_are_switched_without_a_mask_of_heads(
    plain_llama: Any, llama_bridge: Any, tokens: torch.Tensor
) -> None:
    mlps = np.array([True, False, True])
    hooks = ablation_hooks(llama_bridge, keep_mlps=mlps)
    assert [name for name, _ in hooks] == ["blocks.1.mlp.hook_out"]
    with torch.no_grad():
        found = llama_bridge.run_with_hooks(tokens, fwd_hooks=hooks)
        expected = zeroed_mlps(plain_llama, mlps)(tokens).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_rescaled_heads_count_for_the_missing_and_an_empty_layer_stays_zero(
    plain_llama: Any, llama_bridge: Any, tokens: torch.Tensor
) -> None:
    keep = np.array([[True, False, False, True], [False] * 4, [True, True, True, False]])
    with torch.no_grad(), ablated(llama_bridge, keep, rescale=True):
        logits = llama_bridge(tokens)
    expected = plain_logits(plain_llama, tokens, keep, factor="rescale")
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_one_mask_per_row_equals_the_rows_one_by_one(
    plain_llama: Any, llama_bridge: Any, tokens: torch.Tensor, masks: np.ndarray
) -> None:
    hooks = ablation_hooks(llama_bridge, masks)
    with torch.no_grad():
        together = llama_bridge.run_with_hooks(tokens, fwd_hooks=hooks)
    for row, keep in enumerate(masks):
        alone = plain_logits(plain_llama, tokens[row : row + 1], keep)[0]
        torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-5)


def test_mean_ablation_adds_the_mean_output_of_the_dropped_heads(
    plain_llama: Any, llama_bridge: Any, tokens: torch.Tensor, masks: np.ndarray
) -> None:
    fill = torch.randn(LAYERS, HEADS, D_HEAD, generator=torch.Generator().manual_seed(6))
    plain, keep = copy.deepcopy(plain_llama), masks[0]
    for layer, row, mean in zip(plain.model.layers, keep, fill, strict=True):
        off = torch.tensor(~row)
        weight = layer.self_attn.o_proj.weight.data
        constant = weight @ (mean * off[:, None]).flatten()
        weight.mul_(torch.tensor(np.repeat(row, D_HEAD)))
        layer.self_attn.o_proj.register_forward_hook(lambda m, a, out, c=constant: out + c)
    with torch.no_grad(), ablated(llama_bridge, keep, ablation="mean", fill=fill):
        torch.testing.assert_close(llama_bridge(tokens), plain(tokens).logits, atol=1e-5, rtol=1e-5)


def test_means_are_taken_over_real_tokens_only(
    plain_llama: Any, llama_bridge: Any, tokens: torch.Tensor
) -> None:
    lengths = [17, 3, 9, 1, 12]
    plain, seen = copy.deepcopy(plain_llama), {i: [] for i in range(LAYERS)}  # type: ignore[var-annotated]
    for index, layer in enumerate(plain.model.layers):
        layer.self_attn.o_proj.register_forward_pre_hook(
            lambda m, args, i=index: seen[i].append(args[0][0])
        )
    with torch.no_grad():
        for row, length in enumerate(lengths):
            plain(tokens[row : row + 1, :length])
    expected = torch.stack([torch.cat(seen[i]).mean(0) for i in range(LAYERS)])
    means = mean_activations(llama_bridge, tokens, torch.tensor(lengths), batch_size=2)
    torch.testing.assert_close(means, expected.view(LAYERS, HEADS, D_HEAD), atol=1e-5, rtol=1e-5)


def test_logits_after_the_block_equal_logits_before_it_bit_for_bit(
    llama_bridge: Any, tokens: torch.Tensor, masks: np.ndarray
) -> None:
    with torch.no_grad():
        before = llama_bridge(tokens)
        with ablated(llama_bridge, masks):
            during = llama_bridge(tokens)
        after = llama_bridge(tokens)
    assert not torch.equal(before, during)
    assert torch.equal(before, after)


def _fail_after(logits: torch.Tensor) -> None:
    raise ZeroDivisionError


def test_hooks_are_gone_after_an_exception_and_the_users_hook_still_fires(
    llama_bridge: Any, tokens: torch.Tensor, masks: np.ndarray
) -> None:
    calls = []
    name = "blocks.1.attn.hook_z"
    llama_bridge.add_hook(name, lambda z, hook: calls.append(hook.name))
    try:
        before = llama_bridge(tokens)
        with pytest.raises(ZeroDivisionError), ablated(llama_bridge, masks):
            _fail_after(llama_bridge(tokens))
        after = llama_bridge(tokens)
        assert len(calls) == 3
        assert torch.equal(before, after)
        assert len(llama_bridge.hook_dict[name].fwd_hooks) == 1
    finally:
        llama_bridge.reset_hooks()


def test_layers_left_whole_get_no_hook(llama_bridge: Any) -> None:
    keep = np.ones((LAYERS, HEADS), dtype=bool)
    assert ablation_hooks(llama_bridge, keep) == []
    keep[1, 2] = False
    assert [name for name, _ in ablation_hooks(llama_bridge, keep)] == ["blocks.1.attn.hook_z"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep_masks": np.ones((3, 5), dtype=bool)}, r"\[3, 4\].*\[3, 5\]"),
        ({"keep_masks": np.ones(12, dtype=bool)}, r"\[batch, 3, 4\].*\[12\]"),
        ({"keep_masks": np.ones((3, 4))}, "bool.*float64"),
        ({"keep_masks": "all"}, "bool.*no array"),
        ({"ablation": "patch"}, "known: zero, mean, mean-position, resample"),
        ({"ablation": "mean"}, r"\[3, 4, 8\].*None"),
        ({"ablation": "mean", "fill": torch.zeros(3, 4)}, r"\[3, 4, 8\].*\[3, 4\]"),
        ({"fill": torch.zeros(3, 4, 8)}, "mean ablation only"),
        ({"ablation": "mean", "rescale": True}, "zero ablation only"),
        ({"keep_mlps": np.ones(4, dtype=bool)}, r"\[3\] \(layers\).*bool of shape \[4\]"),
        ({"keep_mlps": np.ones(3)}, "float64 of shape"),
        ({"keep_mlps": "all"}, "no array"),
        ({"keep_mlps": np.zeros(3, dtype=bool), "rescale": True}, "rescale is True"),
        ({"keep_mlps": np.zeros(3, dtype=bool), "ablation": "mean"}, r"MLPs of shape \[3, 32\]"),
        ({"ablation": "mean-position", "fill": torch.zeros(3, 4, 8)}, r"\[3, pos, 4, 8\]"),
        (
            {"ablation": "mean", "fill": Fill(mlps=torch.zeros(3, 31))},
            r"\[3, 32\], but got \[3, 31",
        ),
        (
            {"keep_masks": np.ones((2, 3, 4), bool), "keep_mlps": np.ones((5, 3), bool)},
            "have 2 and 5",
        ),
    ],
)
def test_wrong_arguments_are_refused_with_both_sides_named(
    llama_bridge: Any, arguments: dict[str, Any], message: str
) -> None:
    arguments = {"keep_masks": np.ones((3, 4), dtype=bool), **arguments}
    with pytest.raises(UsageError, match=message):
        ablation_hooks(llama_bridge, **arguments)


def test_masks_for_another_batch_size_are_refused_with_both_sizes(
    llama_bridge: Any, tokens: torch.Tensor, masks: np.ndarray
) -> None:
    with pytest.raises(UsageError, match=r"2 masks.*5 rows"), ablated(llama_bridge, masks[:2]):
        llama_bridge(tokens)
