"""Ablation of attention heads and MLPs on a TransformerBridge, one mask per batch row."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int

from headspex.errors import UsageError
from headspex.hooks.fill import (
    Fill,
    Parts,
    at_places,
    check_corrupted,
    check_fill,
    check_one_length,
)
from headspex.hooks.switches import check_switches, hook_name, mlp_hook_name
from headspex.tasks.prompts import EncodedQuestion
from headspex.units import ABLATIONS, RESAMPLINGS

Hook = Callable[..., torch.Tensor]  # (activation, hook=HookPoint) -> activation


@contextmanager
def ablated(
    bridge: Any,
    keep_masks: Any = None,
    *,
    keep_mlps: Any = None,
    ablation: str = "zero",
    fill: Any = None,
    rescale: bool = False,
) -> Iterator[Any]:
    """Ablate heads or MLPs of the bridge inside the block.

        with ablated(bridge, keep) as masked:
            logits = masked(tokens)

    The hooks are removed at the end, also after an exception; hooks that were there before stay.
    Arguments and errors are those of `ablation_hooks`.
    """
    hooks = ablation_hooks(
        bridge, keep_masks, keep_mlps=keep_mlps, ablation=ablation, fill=fill, rescale=rescale
    )
    with bridge.hooks(fwd_hooks=hooks):
        yield bridge


def ablation_hooks(
    bridge: Any,
    keep_masks: Any = None,
    *,
    keep_mlps: Any = None,
    ablation: str = "zero",
    fill: Any = None,
    rescale: bool = False,
) -> list[tuple[str, Hook]]:
    """Hooks for `bridge.run_with_hooks(tokens, fwd_hooks=...)`, on the layers that masks touch.

    Args:
        bridge: a TransformerBridge with `hook_z`.
        keep_masks: bool [n_layers, n_heads], or [batch, n_layers, n_heads] with one mask per row
            of the batch; True = the head stays on; None for all heads. numpy or torch.
        keep_mlps: bool [n_layers], or [batch, n_layers]: the same for MLPs.
        ablation: "zero"; or "mean", "mean-position" or "resample": the part's output becomes
            `fill`. "resample-other" is the same as "resample" here.
        fill: a `Fill` for heads and MLPs, see `mean_outputs` and `part_outputs`; or for heads alone
            float [n_layers, n_heads, d_head] for "mean", see `mean_activations`; for "resample"
            float [n_layers, batch, pos, n_heads, d_head], see `head_outputs`.
        rescale: multiply a layer's remaining heads by n_heads / remaining, as in the ProxySPEX
            paper; a layer without remaining heads stays zero.

    Raises:
        UsageError: wrong shape or type, or options that contradict each other.
    """
    masks = check_switches(bridge, keep_masks, keep_mlps)
    return hooks_of(masks, check_ablation(bridge, masks, ablation, fill, rescale))


def hooks_of(
    masks: Bool[torch.Tensor, "masks layers switches"], ablation: "Ablation"
) -> list[tuple[str, Hook]]:
    """As `ablation_hooks`, from checked arguments."""
    heads, mlps = masks[..., :-1], masks[..., -1]
    return [
        (hook_name(layer), _hook(heads[:, layer], ablation, layer))
        for layer in range(masks.shape[1])
        if not bool(heads[:, layer].all())
    ] + [
        (mlp_hook_name(layer), _mlp_hook(mlps[:, layer], ablation, layer))
        for layer in range(masks.shape[1])
        if not bool(mlps[:, layer].all())
    ]


@dataclass(frozen=True, eq=False)
class Ablation:
    """How heads and MLPs are ablated; made by `check_ablation`.

    Attributes:
        fill: takes the place of their outputs, as tensors; None: zeros.
        rescale: multiply a layer's remaining heads by n_heads / remaining.
        resampled: the parts whose fill is still to be computed from the corrupted prompts of each
            batch; None: the fill is there, or zeros are.
    """

    fill: Fill | None = None
    rescale: bool = False
    resampled: Parts | None = None

    def of_rows(self, rows: Any) -> "Ablation":
        """The ablation with the fills of these prompts; the same where prompts share one."""
        if self.fill is None or not self.fill.of_prompts:
            return self
        return Ablation(self.fill.of_rows(rows))

    def replaced(
        self,
        z: Float[torch.Tensor, "batch pos head d_head"],
        masks: Bool[torch.Tensor, "masks head"],
        layer: int,
        places: Int[torch.Tensor, "rows pos"] | None = None,
    ) -> Float[torch.Tensor, "batch pos head d_head"]:
        """Head outputs with ablated heads replaced; one mask, or one per batch row.

        Args:
            z: the outputs.
            masks: True where a head stays on.
            layer: of the heads.
            places: the positions of `z`, one row for all or one each; None: all, in order.
        """
        masks = masks.to(z.device)
        if self.fill is not None:
            fill = at_places(self.fill.heads[layer], z, places)
            return torch.where(masks[:, None, :, None], z, fill)
        scale = masks.to(z.dtype)
        if self.rescale:
            scale = scale * masks.shape[-1] / scale.sum(-1, keepdim=True).clamp(min=1)
        return z * scale[:, None, :, None]

    def replaced_mlp(
        self,
        out: Float[torch.Tensor, "batch pos d_model"],
        masks: Bool[torch.Tensor, " masks"],
        layer: int,
        places: Int[torch.Tensor, "rows pos"] | None = None,
    ) -> Float[torch.Tensor, "batch pos d_model"]:
        """As `replaced`, for the output of an MLP."""
        if self.fill is None:
            return out * masks.to(out)[:, None, None]
        fill = at_places(self.fill.mlps[layer], out, places)
        return torch.where(masks.to(out.device)[:, None, None], out, fill)


def check_ablation(
    bridge: Any,
    masks: Bool[torch.Tensor, "masks layers switches"],
    ablation: str,
    fill: Any,
    rescale: bool,
    encoded: Sequence[EncodedQuestion] = (),
) -> Ablation:
    """Check the options against each other, the model, and masks from `check_switches`.

    Args:
        bridge: a TransformerBridge.
        masks: of the call.
        ablation, fill, rescale: as in `ablation_hooks`.
        encoded: what is asked; resample ablation without a fill reads its corrupted prompts.

    Raises:
        UsageError: they do not fit.
    """
    off = Parts.off(masks)
    if ablation not in ABLATIONS:
        raise UsageError(f"no ablation {ablation!r}; known: {', '.join(ABLATIONS)}")
    if rescale and ablation != "zero":
        raise UsageError(
            f"rescale goes with zero ablation only, but ablation is {ablation!r}; leave one out"
        )
    if rescale and off.mlps:
        raise UsageError(
            "nothing is rescaled for MLPs, but rescale is True and some MLPs are off; leave "
            "rescale out, or switch heads only"
        )
    if ablation == "zero":
        if fill is not None:
            raise UsageError("fill goes with mean ablation only; pass ablation='mean'")
        return Ablation(rescale=rescale)
    if ablation in RESAMPLINGS and fill is None and encoded:
        check_corrupted(encoded)
        return Ablation(resampled=off)
    found = check_fill(bridge, fill, ablation, off)
    if ablation == "mean-position" and encoded:
        n_ctx = int(bridge.original_model.config.max_position_embeddings)
        check_one_length(encoded, n_ctx, found.length)
    return Ablation(fill=found)


def _hook(masks: torch.Tensor, ablation: Ablation, layer: int) -> Hook:
    def ablate(z: torch.Tensor, hook: Any) -> torch.Tensor:
        if z.ndim != 4 or z.shape[2] != masks.shape[1]:
            raise UsageError(
                f"{hook.name} must carry [batch, pos, {masks.shape[1]}, d_head], but it has "
                f"{list(z.shape)}; headspex does not know this architecture"
            )
        _check_rows(len(masks), len(z))
        return ablation.replaced(z, masks, layer)

    return ablate


def _mlp_hook(masks: Bool[torch.Tensor, " masks"], ablation: Ablation, layer: int) -> Hook:
    def ablate(out: torch.Tensor, hook: Any) -> torch.Tensor:
        _check_rows(len(masks), len(out))
        return ablation.replaced_mlp(out, masks, layer)

    return ablate


def _check_rows(masks: int, rows: int) -> None:
    if masks not in (1, rows):
        raise UsageError(
            f"keep_masks hold {masks} masks, but the batch has {rows} rows; "
            "give one mask, or one per row"
        )
