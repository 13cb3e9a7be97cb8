"""sha256 of weights and tokenizers, which a run records."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch

from headspex.hooks.offload import offloaded_state


def weights_fingerprint(state: Mapping[str, torch.Tensor], dtype: torch.dtype | None = None) -> str:
    """sha256 over names, dtypes, shapes and bytes of a state dict, in order of names.

    `dtype` converts each weight first, one at a time.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().to(dtype).contiguous()
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        raw: Any = tensor.view(-1).view(torch.uint8).numpy()  # a view: no copy of gigabytes
        digest.update(raw)
    return digest.hexdigest()


def own_name(key: str) -> str:
    """The name that a weight inside a bridge has in transformers."""
    return key.replace("_original_component.", "")


def plain_state(model: Any) -> dict[str, torch.Tensor]:
    """The state dict of a transformers model under its own names, even inside a bridge.

    A bridge puts wrappers between the modules and registers some modules twice.
    """
    with torch.device("meta"):
        names = set(type(model)(model.config).state_dict())
    found = {
        own_name(key): tensor
        for key, tensor in (model.state_dict() | offloaded_state(model)).items()
    }
    return {name: found[name] for name in names if name in found}


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """sha256 of a fast tokenizer's whole file, or of a slow tokenizer's vocabulary."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = (
        backend.to_str()
        if backend is not None
        else json.dumps([sorted(tokenizer.get_vocab().items()), str(tokenizer.special_tokens_map)])
    )
    return hashlib.sha256(text.encode()).hexdigest()
