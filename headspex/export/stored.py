"""Read checkpoints by a model's name, and write them as folders that any program reads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from headspex.export.checkpoint import Checkpoint
from headspex.hooks.bridging import check_config
from headspex.hooks.fingerprint import weights_fingerprint
from headspex.hooks.placement import DTYPES
from headspex.hooks.pretrained import (
    fetched,
    read_config,
    read_tokenizer,
    read_weights,
    tokenizer_source,
)
from headspex.hooks.sources import Source

# Files beside the weights that are copied with them; licences must be passed on.
TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja",
)  # fmt: skip
COMPANIONS = (
    "generation_config.json", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "USE_POLICY.md",
)  # fmt: skip
SHARD = "5GB"  # as transformers cuts large checkpoints


def read_checkpoint(source: Source) -> Checkpoint:
    """The model in its stored dtype.

    Raises:
        UsageError: it cannot be read, or headspex does not know its architecture.
    """
    config = read_config(source)
    architecture = check_config(config, source.name)
    dtype = getattr(config, "dtype", None) or torch.float32
    model = read_weights(source, config, dtype)
    state = dict(model.state_dict())
    for name in _tied(config, architecture):
        state.pop(name, None)
    return Checkpoint(config, architecture, state)


def fingerprint_as(checkpoint: Checkpoint, dtype: str) -> str:
    """The fingerprint of the model when loaded in `dtype`."""
    state = dict(checkpoint.state)
    for name, same in _tied(checkpoint.config, checkpoint.architecture).items():
        state[name] = state[same]
    return weights_fingerprint(state, DTYPES[dtype])


def _tied(config: Any, architecture: str) -> dict[str, str]:
    """Weights that are others under a second name: name -> the other's, as in the files."""
    import transformers

    if not config.tie_word_embeddings:
        return {}
    return dict(getattr(transformers, architecture)._tied_weights_keys)


def write_checkpoint(
    checkpoint: Checkpoint, to: Path, source: Source | None, *, shard: str = SHARD
) -> None:
    """Write configuration, weights, and the files beside the weights of `source`.

    Args:
        checkpoint: of a stock architecture.
        to: an existing folder.
        source: of tokenizer, generation settings and licence.
        shard: the largest file of weights, such as "5GB".
    """
    from huggingface_hub import save_torch_state_dict

    config = checkpoint.config
    config.architectures = [checkpoint.architecture]
    config.dtype = next(iter(checkpoint.state.values())).dtype
    config.save_pretrained(to)
    save_torch_state_dict(dict(checkpoint.state), to, max_shard_size=shard)
    for file in to.glob("*.safetensors"):
        shutil.copymode(to / "config.json", file)  # they are written readable by the owner only
    if source is not None:
        _write_companions(source, to)


def _write_companions(source: Source, to: Path) -> None:
    beside = tokenizer_source(source)
    named = [(source, name) for name in COMPANIONS]
    if beside.gguf is None:
        named += [(beside, name) for name in TOKENIZER]
    else:  # the tokenizer is inside the GGUF file
        read_tokenizer(beside).save_pretrained(to)
    for place, name in named:
        found = fetched(place, name)
        if found is not None:
            shutil.copyfile(found, to / name)
