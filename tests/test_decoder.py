"""A model in parts gives what the whole model gives."""

import copy
from typing import Any

import pytest
import torch
from made_families import random_model

from headspex.hooks.bridging import bridge_from_model
from headspex.hooks.decoder import Decoder
from headspex.hooks.plain import has_hooks

FAMILIES = ["Llama", "GPT-2", "GPT-NeoX (Pythia)", "Gemma 2", "Qwen 3 MoE"]


@pytest.fixture(scope="module", params=FAMILIES)
def parts(request: pytest.FixtureRequest) -> tuple[Any, Decoder]:
    """A plain model, and a copy in parts."""
    plain = random_model(request.param)
    bridge = bridge_from_model(copy.deepcopy(plain), type(plain).__name__, request.param)
    return plain, Decoder(bridge)


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    return torch.arange(3, 43).reshape(2, 20)


@torch.no_grad()
def test_all_layers_one_after_the_other_are_the_model(
    parts: tuple[Any, Decoder], tokens: torch.Tensor
) -> None:
    plain, decoder = parts
    x = decoder.embedded(tokens)
    for index in range(decoder.last + 1):
        x, _ = decoder.layer(x, index)
    torch.testing.assert_close(decoder.logits(x), plain(tokens).logits, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_tokens_behind_a_prefix_attend_to_its_keys_and_values(
    parts: tuple[Any, Decoder], tokens: torch.Tensor
) -> None:
    _, decoder = parts
    whole, head = decoder.embedded(tokens), decoder.embedded(tokens[:, :8])
    tail = decoder.embedded(tokens[:, 8:], start=8)
    for index in range(decoder.last + 1):
        whole, _ = decoder.layer(whole, index)
        head, past = decoder.layer(head, index)
        tail, _ = decoder.layer(tail, index, past=past)
    torch.testing.assert_close(torch.cat([head, tail], 1), whole, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_layer_at_some_positions_is_the_layer_there(
    parts: tuple[Any, Decoder], tokens: torch.Tensor
) -> None:
    _, decoder = parts
    for rows in (tokens, tokens[:1]):  # of several states, or of one, with gaps between positions
        x = decoder.embedded(rows)
        whole, _ = decoder.layer(x, 1)
        at = torch.tensor([[2, 3, 11], [0, 7, 19]])[: len(rows)]
        index = at[..., None].expand(-1, -1, x.shape[-1])
        found = decoder.layer_at(x.gather(1, index), 1, at, decoder.keys_values(x, 1))
        torch.testing.assert_close(found, whole.gather(1, index), atol=1e-4, rtol=1e-4)


def test_the_bridge_is_left_as_it_was(llama_bridge: Any) -> None:
    implementation = llama_bridge.original_model.config._attn_implementation
    Decoder(llama_bridge).embedded(torch.zeros(1, 2, dtype=torch.long))
    assert not has_hooks(llama_bridge)
    assert llama_bridge.original_model.config._attn_implementation == implementation
