"""Export a mask's model to a new folder, checked against the model with hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from headspex.errors import UsageError, argument
from headspex.export.card import model_card
from headspex.export.checkpoint import Checkpoint, Removal, shrunk, zeroed
from headspex.export.proof import check_exported, check_tokens, hooked_logits, read_back
from headspex.export.sizes import Sizes, sizes
from headspex.export.speed import Speed, speeds
from headspex.export.stored import fingerprint_as, read_checkpoint, write_checkpoint
from headspex.hooks import Fill, load_model
from headspex.hooks.sources import find_source
from headspex.mask_file import MaskFile
from headspex.scores.fill import write_fill
from headspex.support.files import write_json, write_text
from headspex.support.new_folder import new_folder
from headspex.units import RESAMPLINGS

WAYS: Mapping[str, Callable[[Checkpoint, Removal], Checkpoint]] = {
    "zeroed": zeroed,
    "shrunk": shrunk,
}
# Not *.safetensors, which loaders of models would take for weights.
FILL_NAME = "headspex_mask.fill"


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        architecture, shape: of the new model; the shape is KV groups x heads per group.
        difference: largest difference of a logit from the hooked model, in float64.
        before, after: sizes.
        speed_before, speed_after: None if not measured.
    """

    architecture: str
    shape: str
    difference: float
    before: Sizes
    after: Sizes
    speed_before: Speed | None
    speed_after: Speed | None

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"{self.architecture}, {self.shape} heads a layer; logits differ from the hooked "
            f"model's by at most {self.difference:.1e}",
            *(
                f"{name:<22}{a:>16,} -> {b:>16,}  ({b / a - 1:+.1%})"
                for name, a, b in (
                    ("parameters", self.before.parameters, self.after.parameters),
                    ("bytes", self.before.bytes, self.after.bytes),
                    ("KV cache per token", self.before.kv_bytes, self.after.kv_bytes),
                )
            ),
        ]
        if self.speed_before is not None and self.speed_after is not None:
            lines += [
                f"{name:<22}{a:>16,.0f} -> {b:>16,.0f}  ({b / a - 1:+.1%})"
                for name, a, b in (
                    ("tokens/s, reading", self.speed_before.prefill, self.speed_after.prefill),
                    ("tokens/s, writing", self.speed_before.decode, self.speed_after.decode),
                )
            ]
        return "\n".join(lines)


def export_mask(
    mask: MaskFile,
    to: Path,
    *,
    how: str,
    fill: Fill | None = None,
    revision: str | None = None,
    adapter: str | None = None,
    dtype: str = "float32",
    run: str | None = None,
    scores: Sequence[str] = (),
    timed: bool = True,
) -> Exported:
    """Write the mask's model to a new folder.

    The folder holds weights, configuration, tokenizer, model card and `headspex_mask.json`. It
    appears only after transformers has read it back and its tokens and logits match the model's.

    Args:
        mask: of the model that it names.
        to: the folder, which must not exist.
        how: "zeroed" or "shrunk".
        fill: the means, for mean ablation.
        revision: of a model on the Hub.
        adapter: folder of a PEFT adapter to merge into the model.
        dtype: of the model in the run; the fingerprint of its weights depends on it.
        run: fingerprint of the run, for the card.
        scores: sentences for the card.
        timed: whether to measure tokens per second.

    Raises:
        UsageError: another model, a mask that `how` cannot express, or a folder that cannot be
            written; then no folder is left behind.
    """
    if how not in WAYS:
        raise UsageError(f"no export {how!r}; known: {', '.join(WAYS)}")
    _check_constant(mask)
    source = find_source(mask.model, revision, adapter)
    with new_folder(to) as folder:
        whole = read_checkpoint(source)
        mask.check_fits(
            fingerprint_as(whole, dtype),
            mask.model,
            n_layers=int(whole.config.num_hidden_layers),
            n_heads=int(whole.config.num_attention_heads),
        )
        removal = removal_of(mask, fill)
        made = WAYS[how](whole, removal)
        stored = next(iter(made.state.values())).dtype
        before = sizes(whole.config, whole.architecture, stored)
        after = sizes(made.config, made.architecture, stored)
        write_checkpoint(made, folder, source)
        check_tokens(source, folder)
        del whole
        hooked = load_model(
            mask.model, revision=revision, adapter=adapter, device="cpu", dtype="float32"
        )
        expected = hooked_logits(hooked, removal)
        del hooked
        difference = check_exported(read_back(folder, torch.float32), expected, removal, stored)
        if fill is not None:
            mask = replace(mask, fill=write_fill(folder, fill, FILL_NAME))
        mask.write(folder / "headspex_mask.json")
        card = model_card(
            mask,
            made,
            how=how,
            before=before,
            after=after,
            run=run,
            scores=scores,
            hub_name=source.location if source.on_hub else None,
        )
        write_text(folder / "README.md", card)
        measured = _speeds(source, folder, stored) if timed else (None, None)
        if timed:
            names = ("whole model", "this one")
            pairs = zip(names, measured, strict=True)
            content = {name: asdict(speed) for name, speed in pairs if speed}
            write_json(folder / "headspex_timing.json", {"tokens_per_second": content})
    return Exported(made.architecture, str(made.shape), difference, before, after, *measured)


def removal_of(mask: MaskFile, fill: Fill | None) -> Removal:
    """The arrays of a mask file."""
    means = None if fill is None else fill.heads
    return Removal(mask.keep_grid(), mask.keep_mlps(), means, mask.rescale)


def _check_constant(mask: MaskFile) -> None:
    """Refuse what the bias of the projection from heads cannot stand in for."""
    if mask.ablation in RESAMPLINGS:
        raise UsageError(
            "a checkpoint has no other prompts to take heads' outputs from, but this mask has "
            f"ablation {mask.ablation}; use --format mask, or {argument('ablation')} zero"
        )
    if mask.ablation == "mean-position":
        raise UsageError(
            "a checkpoint adds the same constant at every position, but this mask has ablation "
            f"mean-position; use --format mask, or {argument('ablation')} mean"
        )
    if mask.ablation == "mean" and mask.pruned_mlps:
        raise UsageError(
            "a checkpoint holds the means of heads alone, in a bias, but this mask has "
            f"{len(mask.pruned_mlps)} mean-ablated MLPs; use --format mask, or "
            f"{argument('ablation')} zero"
        )


def _speeds(source: Any, folder: Path, dtype: torch.dtype) -> tuple[Speed, Speed]:
    from headspex.hooks.pretrained import read_config, read_weights

    models = [read_weights(source, read_config(source), dtype), read_back(folder, dtype)]
    for model in models:
        if model._supports_sdpa:  # most programs run it then
            model.set_attn_implementation("sdpa")
    before, after = speeds(models)
    return before, after
