"""GIM's backward pass: against transformers' own model with changed modules, rule by rule."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from made_families import FAMILIES, HEADS, LAYERS, random_model
from made_questions import LETTERS
from torch import Tensor

from headspex.errors import NoGradientError
from headspex.hooks.bridging import bridge_from_model
from headspex.hooks.gated import GatedModel
from headspex.hooks.gim import gim_hooks
from headspex.hooks.gradients import GateGradients
from headspex.tasks import EncodedQuestion

QUESTION = EncodedQuestion(tuple(np.random.default_rng(3).integers(3, 300, 14).tolist()), LETTERS)
RULES = {
    "norms": ("hook_scale",),
    "softmax": ("hook_attn_scores", "hook_pattern"),
    "products": ("q.hook_out", "k.hook_out", "v.hook_out", "gate.hook_out", "in.hook_out"),
}


REFUSED = {"OLMo"}  # its norms have no weights


class Softmax(torch.autograd.Function):
    """A softmax with the gradient that it would have at a temperature of two."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Any:
        ctx.save_for_backward((scores / 2).softmax(-1))
        return scores.softmax(-1)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (soft,) = ctx.saved_tensors
        (grad,) = grads
        return soft * (grad - (grad * soft).sum(-1, keepdim=True))


class FrozenNorm(torch.nn.Module):
    """A root-mean-square norm that takes its own size as given."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        size = (x.square().mean(-1, keepdim=True) + self.norm.variance_epsilon).sqrt()
        scaled: Tensor = self.norm.weight * x / size.detach()
        return scaled


def soft_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float, **_: Any
) -> tuple[Tensor, Tensor]:
    key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], dim=1) for x in (key, value))
    softmax: Any = Softmax.apply
    pattern: Tensor = softmax(query @ key.transpose(2, 3) * scaling + mask)
    return (pattern @ value).transpose(1, 2).contiguous(), pattern


def shrink(module: Any, share: float) -> None:
    module.register_full_backward_hook(lambda _, inputs, outputs: (inputs[0] * share,))


def expected(model: Any, rule: str, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """d log p(first letter) / d gate of every head, by modules of transformers."""
    model = copy.deepcopy(model)
    gates = torch.ones(LAYERS, HEADS, requires_grad=True)
    if rule == "softmax":
        from transformers.models.llama import modeling_llama

        monkeypatch.setattr(modeling_llama, "eager_attention_forward", soft_attention)
    for layer, block in enumerate(model.model.layers):
        attention, mlp = block.self_attn, block.mlp
        if rule == "norms":
            block.input_layernorm = FrozenNorm(block.input_layernorm)
            block.post_attention_layernorm = FrozenNorm(block.post_attention_layernorm)
        if rule == "products":
            for module in (attention.q_proj, attention.k_proj):
                shrink(module, 0.25)
            for module in (attention.v_proj, mlp.gate_proj, mlp.up_proj):
                shrink(module, 0.5)

        def scaled(_: Any, args: Any, layer: int = layer) -> Any:
            return (args[0] * gates[layer].repeat_interleave(args[0].shape[-1] // HEADS),)

        attention.o_proj.register_forward_pre_hook(scaled)
    if rule == "norms":
        model.model.norm = FrozenNorm(model.model.norm)
    logits = model(torch.tensor([QUESTION.context])).logits[0, -1]
    logits.log_softmax(-1)[LETTERS[0][0]].backward()
    assert gates.grad is not None
    return gates.grad.numpy()


def by_hooks(bridge: Any, hooks: list[Any]) -> Any:
    gates = np.ones((1, LAYERS, HEADS + 1))
    first = np.eye(len(LETTERS))[:1]
    return GateGradients(GatedModel(bridge, None, hooks)).of(
        [QUESTION], gates, lambda values, rows: first
    )


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_gives_the_gradient_of_changed_modules(
    rule: str, plain_llama: Any, llama_bridge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = [one for one in gim_hooks(llama_bridge) if one[0].endswith(RULES[rule])]
    found = by_hooks(llama_bridge, hooks).by_gate[0, :, :HEADS]
    wanted = expected(plain_llama, rule, monkeypatch)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
    plain = by_hooks(llama_bridge, []).by_gate[0, :, :HEADS]
    assert np.abs(found - plain).max() > 0.01 * np.abs(plain).max()


def test_the_rules_are_all_there_is(llama_bridge: Any) -> None:
    every = sum(RULES.values(), ())
    assert all(name.endswith(every) for name, _ in gim_hooks(llama_bridge))


def test_scores_stay_as_they_are(llama_bridge: Any) -> None:
    changed = by_hooks(llama_bridge, gim_hooks(llama_bridge)).values
    np.testing.assert_allclose(changed, by_hooks(llama_bridge, []).values, atol=1e-5)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "Llama"])
def test_every_family_has_finite_gradients_and_its_own_scores_or_is_refused(family: str) -> None:
    model = random_model(family)
    bridge = bridge_from_model(copy.deepcopy(model), type(model).__name__, family)
    try:
        hooks = gim_hooks(bridge)
    except NoGradientError:
        assert family in REFUSED
        return
    assert family not in REFUSED
    found, plain = by_hooks(bridge, hooks), by_hooks(bridge, [])
    np.testing.assert_allclose(found.values, plain.values, atol=1e-4)
    assert np.isfinite(found.by_gate).all()
    assert np.abs(found.by_gate - plain.by_gate).max() > 1e-6
