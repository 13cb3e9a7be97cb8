"""Checkpoints as folders: read by the name of a model, written so that any program reads them."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from headspex.export.checkpoint import Checkpoint
from headspex.hooks.bridging import check_config
from headspex.hooks.fingerprint import weights_fingerprint
from headspex.hooks.loading import DTYPES
from headspex.hooks.pretrained import (
    read_config,
    read_tokenizer,
    read_weights,
    tokenizer_source,
)
from headspex.hooks.sources import Source

# What lies beside the weights and goes with them; licences want to be passed on.
TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja",
)  # fmt: skip
COMPANIONS = (
    "generation_config.json", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "USE_POLICY.md",
)  # fmt: skip
SHARD = "5GB"  # as transformers cuts large checkpoints


def read_checkpoint(source: Source) -> Checkpoint:
    """The model as it is stored, in its own precision.

    Raises:
        UsageError: it cannot be read, or has weights that headspex does not know.
    """
    config = read_config(source)
    architecture = check_config(config, source.name)
    dtype = getattr(config, "dtype", None) or torch.float32
    model = read_weights(source, config, dtype)
    state = dict(model.state_dict())
    if config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    return Checkpoint(config, architecture, state)


def fingerprint_as(checkpoint: Checkpoint, dtype: str) -> str:
    """The fingerprint of the model as a run that loads it in `dtype` sees it."""
    state = dict(checkpoint.state)
    if checkpoint.config.tie_word_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    return weights_fingerprint(state, DTYPES[dtype])


def write_checkpoint(
    checkpoint: Checkpoint, to: Path, source: Source | None, *, shard: str = SHARD
) -> None:
    """Write configuration, weights, and what lies beside the weights of `source`.

    Args:
        checkpoint: of a stock architecture.
        to: an existing folder.
        source: where tokenizer, generation settings and licence come from.
        shard: the largest file of weights, as in "5GB".
    """
    from huggingface_hub import save_torch_state_dict

    config = checkpoint.config
    config.architectures = [checkpoint.architecture]
    config.dtype = next(iter(checkpoint.state.values())).dtype
    config.save_pretrained(to)
    save_torch_state_dict(dict(checkpoint.state), to, max_shard_size=shard)
    for file in to.glob("*.safetensors"):
        shutil.copymode(to / "config.json", file)  # they are written for their owner's eyes only
    if source is not None:
        _write_companions(source, to)


def _write_companions(source: Source, to: Path) -> None:
    beside = tokenizer_source(source)
    named = [(source, name) for name in COMPANIONS]
    if beside.gguf is None:
        named += [(beside, name) for name in TOKENIZER]
    else:  # it is within the file
        read_tokenizer(beside).save_pretrained(to)
    for place, name in named:
        found = _companion(place, name)
        if found is not None:
            shutil.copyfile(found, to / name)


def _companion(source: Source, name: str) -> str | None:
    from transformers.utils import cached_file

    found: str | None = cached_file(
        source.location, name, revision=source.revision,
        _raise_exceptions_for_missing_entries=False, _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_connection_errors=False,
    )  # fmt: skip
    return found
