"""Means and resampled outputs of heads and MLPs: both paths against transformers' own hooks."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from made_families import HEADS, LAYERS, random_model
from made_models import byte_tokenizer
from made_questions import LETTERS
from torch import Tensor

from headspex.errors import UsageError
from headspex.hooks import (
    Fill,
    Parts,
    ablated,
    answer_log_probs,
    load_model,
    mean_outputs,
    part_outputs,
)  # fmt: skip
from headspex.hooks.activations import head_statistics
from headspex.hooks.bridging import bridge_from_model
from headspex.hooks.decoder import Decoder
from headspex.hooks.gated import GatedModel
from headspex.hooks.gradients import GateGradients
from headspex.scores.fill import mean_fill
from headspex.tasks import EncodedQuestion

# Mean per position needs one length; a beginning that questions share is computed once per mask.
OWN, SHARED = 9, 12


def asked(lengths: list[int], seed: int = 0) -> list[EncodedQuestion]:
    rng = np.random.default_rng(seed)
    beginning = rng.integers(3, 300, SHARED).tolist()
    rows = [[*beginning, *rng.integers(3, 300, length).tolist()] for length in lengths]
    others = [rng.integers(3, 300, len(row)).tolist() for row in rows]
    return [
        EncodedQuestion(tuple(row), LETTERS, corrupted=tuple(other))
        for row, other in zip(rows, others, strict=True)
    ]


class Plain:
    """A transformers model whose heads and MLPs are seen, and replaced, by its modules' hooks."""

    def __init__(self, model: Any) -> None:
        self.model = model
        inner = getattr(model, "model", None) or model.transformer
        blocks = getattr(inner, "layers", None) or inner.h
        self.parts = [
            (b.self_attn.o_proj if hasattr(b, "self_attn") else b.attn.c_proj, b.mlp)
            for b in blocks
        ]

    def run(self, tokens: tuple[int, ...], heads: Any, mlp: Any) -> Tensor:
        """Logits; `heads(layer, z)` and `mlp(layer, out)` return what goes on."""
        handles = []
        for layer, (projection, module) in enumerate(self.parts):

            def before(_: Any, args: Any, layer: int = layer) -> Any:
                z = args[0].unflatten(-1, (HEADS, -1))[0]
                return (heads(layer, z).flatten(-2)[None],)

            def after(_: Any, args: Any, out: Any, layer: int = layer) -> Any:
                return mlp(layer, out[0])[None]

            handles += [
                projection.register_forward_pre_hook(before), module.register_forward_hook(after)
            ]  # fmt: skip
        with torch.no_grad():
            logits: Tensor = self.model(torch.tensor([tokens])).logits[0]
        for handle in handles:
            handle.remove()
        return logits

    def outputs(self, tokens: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """[layers, pos, heads, d_head] and [layers, pos, d_model]."""
        z: list[Tensor] = []
        out: list[Tensor] = []

        def kept(found: list[Tensor]) -> Any:
            def keep(layer: int, x: Tensor) -> Tensor:
                found.append(x)
                return x

            return keep

        self.run(tokens, kept(z), kept(out))
        return torch.stack(z), torch.stack(out)

    def masked(self, tokens: tuple[int, ...], keep: Any, on: Any, fill: Any) -> np.ndarray:
        """Log-probabilities of the letters; the fill has the shape of `outputs`, or broadcasts."""

        def heads(layer: int, z: Tensor) -> Tensor:
            return torch.where(torch.from_numpy(keep[layer])[:, None], z, fill[0][layer])

        def mlp(layer: int, out: Tensor) -> Tensor:
            return out if on[layer] else fill[1][layer].expand_as(out)

        last = self.run(tokens, heads, mlp)[-1].log_softmax(-1)
        return last[[token for (token,) in LETTERS]].numpy()


@pytest.fixture(scope="module", params=["Llama", "GPT-2", "Gemma 2"])
def pair(request: pytest.FixtureRequest) -> tuple[Plain, Any]:
    """A plain model, and a bridge around a copy."""
    plain = random_model(request.param)
    return Plain(plain), bridge_from_model(
        copy.deepcopy(plain), type(plain).__name__, request.param
    )


def batch(questions: list[EncodedQuestion]) -> tuple[Tensor, Tensor]:
    rows = [torch.tensor(one.context) for one in questions]
    return torch.nn.utils.rnn.pad_sequence(rows, True), torch.tensor([len(row) for row in rows])


@pytest.mark.parametrize("how", ["mean", "mean-position", "resample"])
def test_ablated_heads_and_mlps_give_what_plain_hooks_give_on_both_paths(
    how: str, pair: tuple[Plain, Any]
) -> None:
    plain, bridge = pair
    lengths = [OWN] * 4 if how == "mean-position" else [OWN, OWN + 4, OWN, OWN + 2]
    questions = asked(lengths)
    seen = [plain.outputs(one.context) for one in questions]
    if how == "mean":
        joined = (torch.cat(part, dim=1) for part in zip(*seen, strict=True))
        fills = [tuple(part.mean(1, keepdim=True) for part in joined)] * 4
    elif how == "mean-position":
        fills = [tuple(torch.stack(part).mean(0) for part in zip(*seen, strict=True))] * 4
    else:
        fills = [plain.outputs(one.corrupted or ()) for one in questions]
    rng = np.random.default_rng(2)
    keep = rng.random((12, LAYERS, HEADS)) < 0.6
    on = rng.random((12, LAYERS)) < 0.5
    keep[8:, :2] = on[8:, :2] = True  # only the last layer, which is computed where it is read
    on[-1] = True
    rows = questions * 3
    fill = None
    if how != "resample":
        fill = mean_outputs(bridge, *batch(questions), per_position="pos" in how, batch_size=3)
    fast, slow = (
        answer_log_probs(
            bridge, rows, keep, keep_mlps=on, ablation=how, fill=fill, path=path, batch_tokens=70
        )
        for path in ("fast", "bridge")
    )
    np.testing.assert_allclose(fast, slow, atol=1e-5)
    expected = [
        plain.masked(rows[n].context, keep[n], on[n], fills[n % 4]) for n in range(len(rows))
    ]
    np.testing.assert_allclose(slow, expected, atol=1e-4)
    whole = answer_log_probs(bridge, rows)
    assert np.abs(slow - whole).max(axis=1).min() > 1e-3


def test_outputs_and_means_are_those_of_the_modules(pair: tuple[Plain, Any]) -> None:
    plain, bridge = pair
    questions = asked([5, 3, 8])
    seen = [plain.outputs(one.context) for one in questions]
    tokens, lengths = batch(questions)
    whole = part_outputs(bridge, tokens[2:])
    torch.testing.assert_close(whole.heads[:, 0], seen[2][0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(whole.mlps[:, 0], seen[2][1], atol=1e-5, rtol=1e-5)
    means = mean_outputs(bridge, tokens, lengths, batch_size=2, per_position=True)
    at = SHARED + 4  # where the second prompt has ended
    for found, part in ((means.heads, 0), (means.mlps, 1)):
        expected = (seen[0][part][:, at] + seen[2][part][:, at]) / 2
        torch.testing.assert_close(found[:, at], expected, atol=1e-5, rtol=1e-5)
        assert found.shape[1] == SHARED + 8
    alone = mean_outputs(bridge, tokens, lengths, parts=Parts(heads=False))
    assert alone.heads is None
    expected = torch.cat([out for _, out in seen], dim=1).mean(1)
    torch.testing.assert_close(alone.mlps, expected, atol=1e-5, rtol=1e-5)


def test_means_of_a_run_are_over_all_tokens_that_the_model_reads(
    pair: tuple[Plain, Any],
) -> None:
    # A text is asked as its first token and what follows, an answer of one token as nothing more.
    plain, bridge = pair
    model = load_model(bridge, tokenizer=byte_tokenizer())
    text, prompt = (0, 5, 9, 14, 11, 7), (4, 8, 15)
    questions = [EncodedQuestion(text[:1], (text[1:],)), EncodedQuestion(prompt, LETTERS)]
    seen = [plain.outputs(read) for read in (text[:-1], prompt)]
    fill = mean_fill(model, questions, unit="head,mlp")
    for found, part in ((fill.heads, 0), (fill.mlps, 1)):
        expected = torch.cat([one[part] for one in seen], dim=1).mean(1)
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5, rtol=1e-5)


def test_a_fill_of_mlps_alone_serves_where_no_head_is_off(llama_bridge: Any) -> None:
    tokens, lengths = batch(asked([5, 3]))
    fill = mean_outputs(llama_bridge, tokens, lengths, parts=Parts(heads=False))
    off = np.zeros(3, dtype=bool)
    with torch.no_grad(), ablated(llama_bridge, keep_mlps=off, ablation="mean", fill=fill):
        assert bool(llama_bridge(tokens).isfinite().all())
    with pytest.raises(UsageError, match=r"a float fill for heads of shape \[3, 4, 8\]"):
        ablated(llama_bridge, np.zeros((3, 4), bool), ablation="mean", fill=fill).__enter__()


def test_means_per_position_are_refused_for_prompts_of_other_lengths(llama_bridge: Any) -> None:
    tokens, lengths = batch(asked([5, 5]))
    fill = mean_outputs(llama_bridge, tokens, lengths, per_position=True)
    how: Any = {"ablation": "mean-position", "fill": fill}
    keep = np.zeros((3, 4), dtype=bool)
    with pytest.raises(UsageError, match="one length in tokens, but these have 15 to 17; use"):
        answer_log_probs(llama_bridge, asked([3, 5]), keep, **how)
    longer = torch.cat([tokens, tokens], dim=1)
    with (
        pytest.raises(UsageError, match="one length, 17 tokens, but this batch has 34"),
        torch.no_grad(),
        ablated(llama_bridge, keep, **how),
    ):
        llama_bridge(longer)


def test_gates_with_means_per_position_near_the_outputs_have_the_slope_of_switching_off(
    llama_bridge: Any,
) -> None:
    questions = [replace(one, corrupted=None) for one in asked([4, 4])]
    fill = mean_outputs(llama_bridge, *batch(questions), per_position=True)
    small = Fill(*(1e-3 * torch.randn_like(part) for part in (fill.heads, fill.mlps)))
    outputs = part_outputs(llama_bridge, batch(questions)[0])
    near = Fill(*(out[:, 0] + s for out, s in zip(_both(outputs), _both(small), strict=True)))
    one = questions[:1]
    right = np.eye(4)[:1]
    gradients = GateGradients(GatedModel(llama_bridge, Decoder(llama_bridge)), fill=near)
    slopes = gradients.of(one, np.ones((1, 3, 5)), lambda values, rows: right).by_gate[0]
    whole = answer_log_probs(llama_bridge, one, path="bridge")[0, 0]
    for layer, switch in ((0, 1), (1, 4), (2, 4)):
        keep, on = np.ones((3, 4), dtype=bool), np.ones(3, dtype=bool)
        if switch == 4:
            on[layer] = False
        else:
            keep[layer, switch] = False
        off = answer_log_probs(
            llama_bridge, one, keep, keep_mlps=on, ablation="mean-position", fill=near,
            path="bridge",
        )[0, 0]  # fmt: skip
        assert slopes[layer, switch] == pytest.approx(whole - off, rel=0.05, abs=2e-5)


def _both(fill: Fill) -> tuple[Tensor, Tensor]:
    return fill.heads, fill.mlps


def test_statistics_of_heads_are_those_over_all_tokens(pair: tuple[Plain, Any]) -> None:
    plain, bridge = pair
    questions = asked([OWN, OWN + 4, OWN, OWN + 2])
    z = torch.cat([plain.outputs(one.context)[0] for one in questions], dim=1).double()
    told: list[int] = []
    found = head_statistics(bridge, *batch(questions), batch_size=3, progress=told.append)
    assert told == [3, 1]
    for values, expected in (
        (found.square, z.square().mean(1)),
        (found.variance, z.var(1)),
        (found.norm, z.norm(dim=-1).mean(1)),
    ):
        np.testing.assert_allclose(values, expected.numpy(), rtol=1e-4, atol=1e-9)
