"""Load a model by name, folder or object, as a bridge that is ready for scoring."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from headspex.errors import UsageError, argument
from headspex.hooks import adapters, gguf_file
from headspex.hooks.bridging import bridge_from_model, check_config, is_bridge
from headspex.hooks.fingerprint import plain_state, tokenizer_fingerprint, weights_fingerprint
from headspex.hooks.hook_check import check_hooks
from headspex.hooks.load_in import check_load_in
from headspex.hooks.offload import device_of, devices_of
from headspex.hooks.packaged import or_packaged
from headspex.hooks.placement import (
    DTYPES,
    check_dtype,
    choose_device,
    choose_dtype,
    say_chosen,
)
from headspex.hooks.plain import has_hooks
from headspex.hooks.pretrained import (
    commit_of,
    read_config,
    read_quantised,
    read_tokenizer,
    read_weights,
)
from headspex.hooks.sources import find_source
from headspex.hooks.spread import device_number, placed
from headspex.settings import AUTO


@dataclass(frozen=True, eq=False, repr=False)
class LoadedModel:
    """A bridge in eval mode without gradients, its tokenizer, and the fingerprints of both."""

    bridge: Any  # transformer_lens TransformerBridge
    tokenizer: Any  # transformers tokenizer
    name: str  # as the user gave it: "tiny", a Hub name, a folder
    architecture: str  # "LlamaForCausalLM"
    n_layers: int
    n_heads: int  # query heads per layer
    n_kv_heads: int
    d_head: int
    n_ctx: int  # longest input in tokens
    dtype: str
    device: str
    revision: str | None  # commit of the Hub repository, None for folders and objects
    fingerprint: str  # sha256 of the weights, after merging an adapter, before quantising
    tokenizer_fingerprint: str
    adapter: str | None = None  # folder of the merged PEFT adapter
    quantised: str | None = None  # format of the file it was read from: "GGUF Q4_1"
    load_in: str | None = None  # "8bit" or "4bit": quantised when loaded

    def __repr__(self) -> str:
        """One line: which model, of what size, where."""
        places = ", ".join(self.devices)
        return (
            f"LoadedModel({self.name}: {self.architecture}, {self.n_layers} layers of "
            f"{self.n_heads} heads ({self.n_kv_heads} KV), {self.dtype} on {places})"
        )

    @property
    def devices(self) -> tuple[str, ...]:
        """All devices that hold its parts; `device` is the first."""
        return devices_of(self.bridge.original_model)

    def described(self) -> dict[str, str | None]:
        """What identifies the weights, for JSON."""
        return {
            "name": self.name,
            "architecture": self.architecture,
            "dtype": self.dtype,
            "weights": self.fingerprint,
            "revision": self.revision,
            "adapter": self.adapter,
            "quantised": self.quantised,
            "load_in": self.load_in,
        }


def load_model(
    model: Any,
    *,
    tokenizer: Any = None,
    revision: str | None = None,
    device: str = AUTO,
    dtype: str = AUTO,
    adapter: str | os.PathLike[str] | None = None,
    max_memory: str | None = None,
    load_in: str | None = None,
) -> LoadedModel:
    """Load a decoder-only model for ablation, with eager attention.

    Args:
        model: "tiny" (ships with headspex), an alias (see `ALIASES`), a Hub name (org/name), a
            local folder, a GGUF file or a folder that holds one, a PEFT adapter's folder (its base
            with the adapter merged), a transformers model (which the bridge then edits in place),
            a peft.PeftModel (merged in place first), a TransformerBridge, or what this function
            returned before. No code from a repository is run.
        tokenizer: for objects; a bridge may bring its own, and a loaded model has one.
        revision: branch, tag or commit of a Hub repository.
        device: "cpu", "cuda", "cuda:1", "mps"; "auto" takes the first of cuda, mps and cpu that
            the machine has. Objects stay where they are; another device is refused.
        dtype: "float32", "bfloat16" or "float16"; "auto" is the checkpoint's own on an
            accelerator, and float32 on a CPU with enough memory. Objects stay as they are; another
            dtype is refused.
        adapter: folder of a PEFT adapter to merge into the weights; an adapter that merely lies
            beside them is ignored.
        max_memory: bytes that weights may take on each GPU and, while they wait for their use, on
            the CPU: "0=20GiB,1=20GiB,cpu=30GiB"; the model is spread over these. By default it is
            spread over all GPUs if one is too small.
        load_in: "8bit" or "4bit" quantises the weights of linear layers on loading, by
            bitsandbytes. The fingerprint stays that of the plain weights, which are read first.

    Raises:
        UsageError: the name is unknown, or the model is absent, gated, broken, or not a decoder
            that headspex knows; or it does not fit the GPUs, or cannot be quantised; or an object
            is to be another one than it is.
    """
    asked: dict[str, Any] = {"revision": revision, "device": device, "dtype": dtype}
    if isinstance(model, LoadedModel):
        asked |= {"tokenizer": tokenizer, "adapter": adapter}
        _refuse_changes(model, {**asked, "max_memory": max_memory, "load_in": load_in})
        return model
    if not isinstance(model, str | os.PathLike):
        found = _from_object(model, tokenizer, adapter)
        _refuse_changes(found, {**asked, "max_memory": max_memory, "load_in": load_in})
        return found
    chosen_device = choose_device(device)
    if dtype != AUTO:
        check_dtype(dtype)
    source = or_packaged(find_source(os.fspath(model), revision, adapter))
    config = read_config(source)
    architecture = check_config(config, source.name)
    tokenizer = tokenizer if tokenizer is not None else read_tokenizer(source)
    chosen_dtype = choose_dtype(dtype, chosen_device, config)
    say_chosen(device, dtype, chosen_device, chosen_dtype)
    check_load_in(load_in, source, chosen_device)
    torch_dtype, fingerprint = DTYPES[chosen_dtype], None
    where = placed(
        config, torch_dtype, chosen_device, max_memory, name=source.name, load_in=load_in
    )
    if load_in is None:
        weights = read_weights(source, config, torch_dtype, where)
        if where is None:
            weights = weights.to(chosen_device)
    else:
        # A mask that was found in quantised weights is exported in the plain ones.
        fingerprint = weights_fingerprint(read_weights(source, config, torch_dtype).state_dict())
        everything = where or {"": device_number(chosen_device)}
        weights = read_quantised(source, config, torch_dtype, load_in, everything)
    bridge = bridge_from_model(weights, architecture, source.name)
    quantised = None
    if source.gguf is not None:
        quantised = gguf_file.quantisation(Path(source.location) / source.gguf)
    return _loaded(
        bridge,
        tokenizer,
        source.name,
        revision=commit_of(source),
        adapter=source.adapter,
        quantised=quantised,
        load_in=load_in,
        fingerprint=fingerprint,
    )


def _from_object(model: Any, tokenizer: Any, adapter: str | os.PathLike[str] | None) -> LoadedModel:
    folder = None if adapter is None else Path(adapter).expanduser()
    if adapters.is_adapted(model):
        model = adapters.merged_object(model)
    if folder is not None:
        adapters.check_adapter(folder)
        if is_bridge(model):
            raise UsageError(
                f"an adapter is merged before a bridge is built, but got a bridge and {adapter}; "
                "pass the transformers model"
            )
        if isinstance(model, torch.nn.Module):
            model = adapters.merged(model, folder)
    if is_bridge(model):
        tokenizer = tokenizer if tokenizer is not None else getattr(model, "tokenizer", None)
        config, bridge = model.original_model.config, model
        architecture = check_config(config, "the bridge")
        if not has_hooks(model):  # its owner's would see the check's inputs
            check_hooks(model, "the bridge")
    elif hasattr(model, "config") and isinstance(model, torch.nn.Module):
        adapters.refuse_injected(model)
        architecture = check_config(model.config, "the model")
        bridge = bridge_from_model(model, architecture, architecture)
    else:
        raise UsageError(
            "a model is a name, a folder, a transformers model or a TransformerBridge, but got "
            f"{type(model).__name__}; pass one of those"
        )
    if tokenizer is None:
        raise UsageError(
            "a model given as an object needs a tokenizer, but got none; "
            "pass load_model(model, tokenizer=...)"
        )
    return _loaded(bridge, tokenizer, architecture, adapter=folder)


def _refuse_changes(found: LoadedModel, asked: Mapping[str, Any]) -> None:
    """Refuse what an object's loading has decided already, where something else was asked for."""
    own = {"device": found.device, "dtype": found.dtype}
    for name, value in asked.items():
        known = own.get(name, "")
        if value not in (None, AUTO) and not known.startswith(str(value)):  # cuda is cuda:0, too
            shown = value if isinstance(value, str | os.PathLike) else type(value).__name__
            raise UsageError(
                f"a model given as an object stays as it is, but {argument(name)} is {shown}; "
                "leave it out, or load the model so"
            )


def _loaded(
    bridge: Any,
    tokenizer: Any,
    name: str,
    *,
    revision: str | None = None,
    adapter: Path | None = None,
    quantised: str | None = None,
    load_in: str | None = None,
    fingerprint: str | None = None,
) -> LoadedModel:
    plain = bridge.original_model
    config = plain.config
    bridge.eval()
    return LoadedModel(
        bridge=bridge,
        tokenizer=tokenizer,
        name=name,
        architecture=type(plain).__name__,
        n_layers=int(bridge.cfg.n_layers),
        n_heads=int(bridge.cfg.n_heads),
        n_kv_heads=int(getattr(config, "num_key_value_heads", None) or bridge.cfg.n_heads),
        d_head=int(bridge.cfg.d_head),
        n_ctx=int(config.max_position_embeddings),
        dtype=str(plain.dtype).removeprefix("torch."),
        device=str(device_of(plain)),
        revision=revision,
        fingerprint=fingerprint or weights_fingerprint(plain_state(plain)),
        tokenizer_fingerprint=tokenizer_fingerprint(tokenizer),
        adapter=None if adapter is None else str(adapter),
        quantised=quantised,
        load_in=load_in,
    )
