"""Every family: hooks ablate what zeroed weights do, fast or not, and checkpoints say the same."""

import copy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_families import CONTEXT, FAMILIES, HEADS, LAYERS, random_model
from made_questions import ask

from headspex.errors import UsageError
from headspex.export.checkpoint import Checkpoint, Removal, zeroed
from headspex.export.exporting import export_mask
from headspex.hooks import ARCHITECTURES, ablated, answer_log_probs, hook_check, load_model
from headspex.hooks.bridging import bridge_from_model
from headspex.hooks.fingerprint import plain_state
from headspex.hooks.lm_eval_order import harness_log_probs
from headspex.mask_file import MaskFile, pruned_heads


@pytest.fixture(scope="module", params=FAMILIES)
def models(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """A plain model of a family, and a bridge around a copy of it."""
    plain = random_model(request.param)
    return plain, bridge_from_model(copy.deepcopy(plain), type(plain).__name__, request.param)


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    rng = np.random.default_rng(1)
    return torch.from_numpy(rng.integers(3, 300, (2, 40)))


def some_off(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(rows)
    return rng.random((rows, LAYERS, HEADS)) < 0.6, rng.random((rows, LAYERS)) < 0.7


def test_hooks_and_zeroed_weights_give_the_same_logits(
    models: tuple[Any, Any], tokens: torch.Tensor
) -> None:
    plain, bridge = models
    (heads,), (mlps,) = some_off(1)
    name = type(plain).__name__
    made = zeroed(Checkpoint(plain.config, name, plain_state(plain)), Removal(heads, mlps))
    smaller = copy.deepcopy(plain)
    smaller.load_state_dict(made.state, strict=False)
    with torch.no_grad(), ablated(bridge, heads, keep_mlps=mlps):
        hooked = bridge(tokens)
        torch.testing.assert_close(hooked, smaller(tokens).logits, atol=1e-4, rtol=1e-4)
        assert (hooked - plain(tokens).logits).abs().max() > 1e-2


@pytest.mark.parametrize("prefix", [0, 50], ids=["alone", "behind a prefix"])
def test_the_fast_path_gives_the_log_probs_of_the_bridge(
    prefix: int, models: tuple[Any, Any]
) -> None:
    _, bridge = models
    questions = ask(4, prefix) * 2
    heads, mlps = some_off(8)
    fast, slow = (
        answer_log_probs(bridge, questions, heads, keep_mlps=mlps, path=path)
        for path in ("fast", "bridge")
    )
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-4)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "under a mask"])
def test_a_model_scores_in_lm_evals_order_as_transformers_own_to_the_last_bit(
    whole: bool, models: tuple[Any, Any]
) -> None:
    plain, bridge = models
    (heads,), (mlps,) = some_off(1)
    if whole:
        heads[:], mlps[:] = True, True
    name = type(plain).__name__
    made = zeroed(Checkpoint(plain.config, name, plain_state(plain)), Removal(heads, mlps))
    stock = copy.deepcopy(plain)
    stock.load_state_dict(made.state, strict=False)
    # What transformers takes by default: fused attention, where the family can have it.
    stock.set_attn_implementation("eager" if name.startswith(("Gemma2", "GptOss")) else "sdpa")
    questions = ask(3, 0)
    with torch.no_grad():
        tables = [stock(torch.tensor([one.context])).logits[0, -1] for one in questions]
    expected = np.array([torch.log_softmax(one, dim=-1)[10:14].tolist() for one in tables])
    found = harness_log_probs(bridge, questions, heads, keep_mlps=mlps)
    np.testing.assert_array_equal(found, expected)


def test_the_table_of_families_is_that_of_the_tests() -> None:
    assert {type(random_model(family)).__name__ for family in FAMILIES} == ARCHITECTURES


def test_hooks_that_remove_something_else_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = random_model("Llama")

    def after_the_projection(masks: Any, ablation: Any) -> Any:
        def ablate(out: torch.Tensor, hook: Any) -> torch.Tensor:
            kept = masks[0, hook.layer(), :-1].repeat_interleave(out.shape[-1] // HEADS)
            cut: torch.Tensor = out * kept
            return cut

        return [(f"blocks.{layer}.attn.hook_out", ablate) for layer in range(LAYERS)]

    monkeypatch.setattr(hook_check, "hooks_of", after_the_projection)
    with pytest.raises(UsageError, match="cannot be ablated: with some of its heads off"):
        bridge_from_model(plain, "LlamaForCausalLM", "this model")


def test_a_family_without_a_bridge_is_refused_before_weights_are_read(tmp_path: Path) -> None:
    from transformers import HeliumConfig

    config = HeliumConfig(architectures=["HeliumForCausalLM"])
    config.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="no bridge for HeliumForCausalLM"):
        load_model(tmp_path)


def test_a_family_whose_attention_is_its_own_runs_on_the_bridge(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from transformers import GPTJConfig, GPTJForCausalLM

    config = GPTJConfig(
        vocab_size=320, n_embd=32, n_layer=LAYERS, n_head=HEADS, n_positions=CONTEXT, rotary_dim=4,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    model = GPTJForCausalLM(config).eval().requires_grad_(False)
    bridge = bridge_from_model(model, "GPTJForCausalLM", "GPT-J")
    questions, (heads, _) = ask(4, 0), some_off(4)
    found = answer_log_probs(bridge, questions, heads)
    assert "no fast forward pass for this model" in capsys.readouterr().err
    slow = answer_log_probs(bridge, questions, heads, path="bridge")
    np.testing.assert_array_equal(found, slow)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_zeroed_checkpoint_is_written_and_proven(
    family: str, model_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(model_folder, tmp_path / "model")
    random_model(family).save_pretrained(tmp_path / "model")
    model = load_model(tmp_path / "model")
    (heads,), (mlps,) = some_off(1)
    mask = MaskFile(
        model=str(tmp_path / "model"), fingerprint=model.fingerprint, n_layers=LAYERS,
        n_heads=HEADS, pruned_heads=pruned_heads(heads), unit="head,mlp", ablation="zero",
        rescale=False, sparsity=0.4, task="mini", score=None,
        pruned_mlps=tuple(np.flatnonzero(~mlps).tolist()),
    )  # fmt: skip
    assert export_mask(mask, tmp_path / "out", how="zeroed").difference < 1e-4
