"""lm-eval's `--model headspex`: any of its tasks, including generation, on a model under a mask.

Importing this module registers the model with lm-eval. On the command line `headspex lm-eval` is
`lm_eval` with this model:

    headspex lm-eval --model headspex --model_args pretrained=tiny,mask=masks/016.json --tasks mmlu
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.registry import model_registry, register_model
from lm_eval.models.huggingface import HFLM

from headspex.errors import UsageError
from headspex.hooks import LoadedModel, ablation_hooks, load_model
from headspex.hooks.masked import hooked_copy, is_in_one_place
from headspex.mask_file import read_mask
from headspex.scores.fill import read_fill

NAME = "headspex"
_DEFAULT_DEVICE = "cuda:0"  # of lm-eval's command line
# What lm-eval's own `hf` model ignores once a model is loaded, and what has its place here.
_INSTEAD = {
    "peft": "adapter=DIR",
    "gguf_file": "pretrained=FILE.gguf",
    "load_in_8bit": "load_in=8bit",
    "load_in_4bit": "load_in=4bit",
    **dict.fromkeys(
        ("parallelize", "max_memory_per_gpu", "max_cpu_memory"), "max_memory='0=20GiB,1=20GiB'"
    ),
}
_IGNORED = ("delta", "autogptq", "gptqmodel", "subfolder", "offload_folder", "tp_plan")


class MaskedLM(HFLM):  # type: ignore[misc] # lm-eval is untyped
    """A model with the heads and MLPs of a mask file ablated.

    The forward pass is transformers' own, with hooks on the output projections: scores equal those
    of a checkpoint with zeroed weights to the last bit. A model in several places runs on its
    TransformerLens bridge with eager attention.

    Args:
        pretrained: as `headspex.hooks.load_model` takes it: "tiny", an alias, a Hub name, a folder.
        mask: a mask file of that model; None: the whole model.
        adapter: folder of a PEFT adapter to merge into the model.
        revision, device, dtype: as in `load_model`; without a GPU lm-eval's default "cuda:0" means
            the CPU, with a notice.
        max_memory, load_in: as in `load_model`. On lm-eval's command line sizes of several GPUs
            stand in quotes: max_memory='0=20GiB,1=20GiB'.
        options: of lm-eval's own `hf` model, such as batch_size and max_length, but none that say
            how a model is loaded.

    Raises:
        UsageError: no such model, mask or option, a mask of another model, or one of means per
            position.
    """

    def __init__(
        self,
        pretrained: str,
        mask: str | None = None,
        adapter: str | None = None,
        revision: str | None = None,
        device: str | None = "cpu",
        dtype: str = "float32",
        max_memory: str | None = None,
        load_in: str | None = None,
        **options: Any,
    ) -> None:
        _refuse_ignored(options)
        if max_memory is not None and device == _DEFAULT_DEVICE:
            device = "cuda"  # all GPUs
        model = load_model(
            pretrained, revision=revision, device=_present(device), dtype=dtype, adapter=adapter,
            max_memory=max_memory, load_in=load_in,
        )  # fmt: skip
        hooks = [] if mask is None else _hooks(Path(mask), model, pretrained)
        own = model.bridge.original_model
        if is_in_one_place(model.bridge):
            own = hooked_copy(model.bridge, hooks)
        else:
            for name, hook in hooks:
                model.bridge.add_hook(name, hook)
        super().__init__(own, tokenizer=model.tokenizer, **options)


def _hooks(path: Path, model: LoadedModel, pretrained: str) -> list[tuple[str, Any]]:
    """The hooks that ablate what the mask of a file switches off.

    Raises:
        UsageError: a mask of another model, or one of means per position.
    """
    found = read_mask(path)
    if found.ablation == "mean-position":
        raise UsageError(
            "means per position are for prompts of one length, which lm-eval does not keep to, "
            f"but {path} has ablation mean-position; use headspex eval, or a mask of mean ablation"
        )
    found.check_fits(model.fingerprint, pretrained, n_layers=model.n_layers, n_heads=model.n_heads)
    return ablation_hooks(
        model.bridge,
        found.keep_grid(),
        keep_mlps=found.keep_mlps(),
        ablation=found.ablation,
        fill=read_fill(found, path),
        rescale=found.rescale,
    )


def _refuse_ignored(options: Mapping[str, Any]) -> None:
    """Refuse what lm-eval's own `hf` model would take and, as the model is loaded, ignore."""
    known = inspect.signature(HFLM.__init__).parameters
    for name, value in options.items():
        if (name in known and name not in (*_INSTEAD, *_IGNORED)) or value in (None, False):
            continue
        way = f"give {_INSTEAD[name]} instead" if name in _INSTEAD else "leave it out"
        raise UsageError(
            f"headspex loads the model, not lm-eval, and does not know {name}={value}; {way}"
        )


def _present(device: str | None) -> str:
    """The device, but the CPU instead of lm-eval's default if there is no GPU."""
    if device == _DEFAULT_DEVICE and not torch.cuda.is_available():
        print(
            f"headspex: lm-eval's default --device is {device}, but torch finds no GPU; the model "
            "is on the cpu",
            file=sys.stderr,
        )
        return "cpu"
    return device or "cpu"


if NAME not in model_registry:
    register_model(NAME)(MaskedLM)
