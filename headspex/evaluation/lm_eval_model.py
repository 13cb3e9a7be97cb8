"""lm-eval's `--model headspex`: any of its tasks, also generation, on a model under a mask.

lm-eval finds models that have registered themselves; importing this module does. On the command
line `headspex lm-eval` is `lm_eval` with this model:

    headspex lm-eval --model headspex --model_args pretrained=tiny,mask=masks/016.json --tasks mmlu
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.registry import model_registry, register_model
from lm_eval.models.huggingface import HFLM

from headspex.hooks import ablation_hooks, load_model
from headspex.mask_file import read_mask
from headspex.scores.fill import read_fill

NAME = "headspex"
_FILLED_IN = "cuda:0"  # the device that lm-eval's command line passes where none is given


class MaskedLM(HFLM):  # type: ignore[misc] # lm-eval is untyped
    """A model whose heads and MLPs are off as a mask file says.

    The forward pass is the model's own, with TransformerLens hooks and eager attention: scores
    equal those of a checkpoint whose `o_proj` columns are zero.

    Args:
        pretrained: as `headspex.hooks.load_model` takes it: "tiny", an alias, a Hub name, a folder.
        mask: a mask file of that model; none: the whole model.
        adapter: folder of a PEFT adapter that is merged into the model.
        revision, device, dtype: as in `load_model`; where there is no GPU, lm-eval's default
            "cuda:0" means the CPU, which is said.
        options: of lm-eval's own `hf` model, such as batch_size and max_length.

    Raises:
        UsageError: no such model or mask, or one that was made for another model.
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
        found.check_fits(
            model.fingerprint, pretrained, n_layers=model.n_layers, n_heads=model.n_heads
        )
        hooks = ablation_hooks(
            model.bridge, found.keep_grid(), keep_mlps=found.keep_mlps(), ablation=found.ablation,
            fill=read_fill(found, path), rescale=found.rescale,
        )  # fmt: skip
        for name, hook in hooks:
            model.bridge.add_hook(name, hook)


def _present(device: str | None) -> str:
    """The device asked for, or the CPU in place of a GPU that only lm-eval's default asks for."""
    if device == _FILLED_IN and not torch.cuda.is_available():
        print(
            f"headspex: lm-eval asks for {device} where no --device is given, but torch finds no "
            "GPU here; the model is on the cpu",
            file=sys.stderr,
        )
        return "cpu"
    return device or "cpu"


if NAME not in model_registry:
    register_model(NAME)(MaskedLM)
