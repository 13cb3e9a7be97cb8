"""A planted induction circuit is found as exactly its heads, under zero and resample ablation.

Two layers of four heads, weights set by hand. L0H0 looks at the token before and writes it down;
L0H1 is its copy, a backup. L1H0 looks for where the present token was written down so, and says
the token that stands there: what followed the last time. The other five heads write a little noise.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

import headspex
from headspex.tasks.pairs import Pair, pairs

N_TOKENS = 21  # the first one begins every prompt
REPEATED = 8
D_HEAD, WIDTH = 64, 64
PAIRS = D_HEAD // 2
TURNS = 10 ** (-torch.arange(PAIRS) / 4)  # of each pair of a head's dimensions, radians a position
STILL = [*range(12, PAIRS), *range(12 + PAIRS, D_HEAD)]  # dimensions that positions barely turn
TOKEN, BEFORE, OUTPUT = (slice(i * N_TOKENS, (i + 1) * N_TOKENS) for i in range(3))
ALWAYS = 3 * N_TOKENS  # one in every residual stream
PREVIOUS, BACKUP, INDUCTION = (0, 0), (0, 1), (1, 0)
IDLE = {(0, 2), (0, 3), (1, 1), (1, 2), (1, 3)}


def planted() -> Any:
    """The model."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=N_TOKENS, hidden_size=WIDTH, head_dim=D_HEAD, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, intermediate_size=4,
        max_position_embeddings=32, tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 1e8},
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    for name, weights in model.named_parameters():
        if "norm" not in name:
            weights.zero_()
    model.model.embed_tokens.weight[:, TOKEN] = torch.eye(N_TOKENS)
    model.model.embed_tokens.weight[:, ALWAYS] = 1
    model.lm_head.weight[:, OUTPUT] = 3 * torch.eye(N_TOKENS)
    for head in (PREVIOUS, BACKUP):
        query, key = torch.zeros(2, D_HEAD, WIDTH)
        query[:6, ALWAYS] = 10  # the quickest turns tell neighbours apart
        key[:6, ALWAYS] = TURNS[:6].cos()  # turned ahead by one position
        key[PAIRS : PAIRS + 6, ALWAYS] = TURNS[:6].sin()
        _plant(model, head, query, key, copies=(TOKEN, BEFORE), gain=0.2)
    query, key = torch.zeros(2, D_HEAD, WIDTH)
    query[STILL[:N_TOKENS], TOKEN] = 10 * torch.eye(N_TOKENS)
    key[STILL[:N_TOKENS], BEFORE] = torch.eye(N_TOKENS)
    _plant(model, INDUCTION, query, key, copies=(TOKEN, OUTPUT), gain=10)
    for idle in sorted(IDLE):
        for weights in _in_and_out(model, *idle):
            weights.normal_(std=0.01)
    return model


def _in_and_out(model: Any, layer: int, head: int) -> tuple[torch.Tensor, ...]:
    """Views of a head's queries, keys, values, and of its columns of the output."""
    attention, rows = model.model.layers[layer].self_attn, slice(head * D_HEAD, (head + 1) * D_HEAD)
    read = (attention.q_proj, attention.k_proj, attention.v_proj)
    return (*(part.weight[rows] for part in read), attention.o_proj.weight[:, rows])


def _plant(
    model: Any,
    head: tuple[int, int],
    query: torch.Tensor,
    key: torch.Tensor,
    *,
    copies: tuple[slice, slice],
    gain: float,
) -> None:
    """Set a head that copies one part of the residual stream to another."""
    queries, keys, values, output = _in_and_out(model, *head)
    queries[:], keys[:] = query, key
    values[:N_TOKENS, copies[0]] = torch.eye(N_TOKENS)
    output[copies[1], :N_TOKENS] = gain * torch.eye(N_TOKENS)


def tokenizer() -> Any:
    """Reads the tokens' numbers; all prompts are given as ids."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.WordLevel({str(token): token for token in range(N_TOKENS)}))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=raw)


def repeated_tokens(n_pairs: int) -> list[Pair]:
    """Random tokens, again up to one of them. Corrupted: that one was another the first time.

    Wrong tokens stand there as often as the right one: a head that looks everywhere says neither.
    """
    rng = np.random.default_rng(0)
    found = []
    for _ in range(n_pairs):
        *tokens, other = rng.permutation(np.arange(1, N_TOKENS))[: REPEATED + 1].tolist()
        key = int(rng.integers(2, REPEATED - 2))
        without = [*tokens[:key], other, *tokens[key + 1 :]]
        again = tokens[: key + 1]
        clean, corrupted = ([0, *first, *again] for first in (tokens, without))
        found.append(Pair.of(clean, [tokens[key + 1]], tokens[key + 2 :], corrupted=corrupted))
    return found


def _accuracy(model: Any, prompts: list[Pair], *off: tuple[int, int]) -> float:
    """How often the model says the right token, with zeros in place of some heads' outputs."""
    cut = copy.deepcopy(model)
    for head in off:
        _in_and_out(cut, *head)[-1].zero_()
    right = [
        int(cut(torch.tensor([pair.clean])).logits[0, -1].argmax()) in pair.answers
        for pair in prompts
    ]
    return float(np.mean(right))


def test_the_planted_model_continues_what_repeats_and_needs_both_kinds_of_heads() -> None:
    model, prompts = planted(), repeated_tokens(60)
    assert _accuracy(model, prompts) == 1
    assert _accuracy(model, prompts, *IDLE) == 1
    assert _accuracy(model, prompts, *IDLE, PREVIOUS) == 1
    assert _accuracy(model, prompts, *IDLE, BACKUP) == 1
    assert _accuracy(model, prompts, PREVIOUS, BACKUP) < 0.4
    assert _accuracy(model, prompts, INDUCTION) < 0.4


@pytest.mark.slow
@pytest.mark.parametrize("ablation", ["zero", "resample"])
def test_matching_the_model_finds_exactly_the_heads_of_induction(
    ablation: Literal["zero", "resample"], tmp_path: Path
) -> None:
    study = headspex.Study(
        planted(), pairs("repeated", repeated_tokens(120)), tokenizer=tokenizer(),
        objective="match", ablation=ablation, keep=0.5, budget=3_000, verify_budget=6_000,
    )  # fmt: skip
    findings = study.run(tmp_path / "run")
    assert findings.task_metric == "kl"
    order = [study.players.label(column) for column in findings.schedule.order]
    assert set(order[:5]) == {f"L{layer}H{head}" for layer, head in IDLE}
    # One of the two copies is no longer needed; the last two are the circuit.
    assert order[5] in ("L0H0", "L0H1")
    assert set(order[6:]) == {"L0H0", "L0H1", "L1H0"} - {order[5]}
    distance = {p.n_pruned: -p.score for p in findings.curve if p.method == "proxyspex"
                and p.metric == "kl"}  # fmt: skip
    assert distance[5] == pytest.approx(0, abs=1e-5)
    assert distance[6] == pytest.approx(0, abs=1e-5)
    assert distance[7] > 1
    # The score is (L0H0 or L0H1) and L1H0: its effects at keep 1/2 by hand, in units of the whole.
    rows = {row.heads: row.effect for row in findings.interactions}
    whole = rows[("L1H0",)] / 0.75
    expected = {
        ("L0H0",): 0.25, ("L0H1",): 0.25, ("L1H0",): 0.75, ("L0H0", "L1H0"): 0.5,
        ("L0H1", "L1H0"): 0.5, ("L0H0", "L0H1"): -0.5, ("L0H0", "L0H1", "L1H0"): -1.0,
    }  # fmt: skip
    for heads, share in expected.items():
        assert rows[heads] / whole == pytest.approx(share, abs=0.05), heads
    others = [abs(effect) for heads, effect in rows.items() if heads not in expected]
    assert max(others, default=0) < 0.02 * whole
    assert findings.faithfulness is not None
    assert findings.faithfulness.r2 > 0.99
