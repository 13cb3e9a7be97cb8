"""lm-eval's `--model headspex`: any of its tasks, including generation, on a model under a mask.

Importing this module registers the model with lm-eval. On the command line `headspex lm-eval` is
`lm_eval` with this model:

    headspex lm-eval --model headspex --model_args pretrained=tiny,mask=masks/016.json --tasks mmlu
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.registry import model_registry, register_model
from lm_eval.models.huggingface import HFLM

from headspex.errors import UsageError
from headspex.hooks import ablation_hooks, load_model
from headspex.mask_file import read_mask
from headspex.scores.fill import read_fill

NAME = "headspex"
_DEFAULT_DEVICE = "cuda:0"  # of lm-eval's command line


class MaskedLM(HFLM):  # type: ignore[misc] # lm-eval is untyped
    """A model with the heads and MLPs of a mask file ablated.

    The forward pass is the model's own, with TransformerLens hooks and eager attention: scores
    equal those of a checkpoint whose `o_proj` columns are zero.

    Args:
        pretrained: as `headspex.hooks.load_model` takes it: "tiny", an alias, a Hub name, a folder.
        mask: a mask file of that model; None: the whole model.
        adapter: folder of a PEFT adapter to merge into the model.
        revision, device, dtype: as in `load_model`; without a GPU lm-eval's default "cuda:0" means
            the CPU, with a notice.
        options: of lm-eval's own `hf` model, such as batch_size and max_length.

    Raises:
        UsageError: no such model or mask, a mask of another model, or one of means per position.
    """

    def __init__(
        self,
        pretrained: str,
        mask: str | None = None,
        adapter: str | None = None,
        revision: str | None = None,
        device: str | None = "cpu",
        dtype: str = "float32",
        **options: Any,
    ) -> None:
        model = load_model(
            pretrained, revision=revision, device=_present(device), dtype=dtype, adapter=adapter
        )
        super().__init__(model.bridge.original_model, tokenizer=model.tokenizer, **options)
        if mask is None:
            return
        path = Path(mask)
        found = read_mask(path)
        if found.ablation == "mean-position":
            raise UsageError(
                "means per position are for prompts of one length, which lm-eval does not keep to, "
                f"but {mask} has ablation mean-position; use headspex eval, or a mask of mean "
                "ablation"
            )
        found.check_fits(
            model.fingerprint, pretrained, n_layers=model.n_layers, n_heads=model.n_heads
        )
        hooks = ablation_hooks(
            model.bridge,
            found.keep_grid(),
            keep_mlps=found.keep_mlps(),
            ablation=found.ablation,
            fill=read_fill(found, path),
            rescale=found.rescale,
        )
        for name, hook in hooks:
            model.bridge.add_hook(name, hook)


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
