"""Ablation of attention heads and MLPs on a TransformerBridge, one mask per batch row."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int

from headspex.errors import UsageError
from headspex.hooks.switches import as_tensor, check_switches, hook_name, mlp_hook_name
from headspex.tasks.prompts import EncodedQuestion

ABLATIONS = ("zero", "mean", "resample")

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
        keep_mlps: bool [n_layers], or [batch, n_layers]: the same for MLPs, which are zeroed.
        ablation: "zero"; or "mean" or "resample": the head's output becomes `fill`.
        fill: float [n_layers, n_heads, d_head] for "mean", see `mean_activations`; for "resample"
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
        (mlp_hook_name(layer), _mlp_hook(mlps[:, layer]))
        for layer in range(masks.shape[1])
        if not bool(mlps[:, layer].all())
    ]


@dataclass(frozen=True, eq=False)
class Ablation:
    """How heads are ablated; made by `check_ablation`.

    `fill` is float [n_layers, n_heads, d_head] for mean ablation, [n_layers, batch, pos, n_heads,
    d_head] for resample ablation, None for zero ablation; or None with `resample`, if it is still
    to be computed from the corrupted prompts of a batch.
    """

    fill: torch.Tensor | None = None
    rescale: bool = False
    resample: bool = False

    def of_rows(self, rows: Any) -> "Ablation":
        """The ablation with the fills of these prompts; the same for zero and mean ablation."""
        if self.fill is None or self.fill.ndim < 5:
            return self
        return Ablation(self.fill[:, torch.as_tensor(rows, device=self.fill.device)], self.rescale)

    def replaced(
        self,
        z: Float[torch.Tensor, "batch pos head d_head"],
        masks: Bool[torch.Tensor, "masks head"],
        layer: int,
        places: Int[torch.Tensor, "batch pos"] | None = None,
    ) -> Float[torch.Tensor, "batch pos head d_head"]:
        """Head outputs with ablated heads replaced; one mask, or one per batch row.

        Args:
            z: the outputs.
            masks: True where a head stays on.
            layer: of the heads.
            places: the positions of `z`; None: all, in order.
        """
        masks = masks.to(z.device)
        if self.fill is not None:
            fill = self.fill[layer].to(z)
            if fill.ndim == 4 and places is not None:
                at = places.to(z.device)[..., None, None].expand(-1, -1, *fill.shape[2:])
                fill = fill.gather(1, at)
            return torch.where(masks[:, None, :, None], z, fill)
        scale = masks.to(z.dtype)
        if self.rescale:
            scale = scale * masks.shape[-1] / scale.sum(-1, keepdim=True).clamp(min=1)
        return z * scale[:, None, :, None]


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
    shape = (int(bridge.cfg.n_layers), int(bridge.cfg.n_heads), int(bridge.cfg.d_head))
    if ablation not in ABLATIONS:
        raise UsageError(f"no ablation {ablation!r}; known: {', '.join(ABLATIONS)}")
    if rescale and ablation != "zero":
        raise UsageError(
            f"rescale goes with zero ablation only, but ablation is {ablation!r}; leave one out"
        )
    if (rescale or ablation != "zero") and not bool(masks[..., -1].all()):
        raise UsageError(
            "MLPs are set to zero and nothing is rescaled for them, but ablation is "
            f"{ablation!r} and rescale is {rescale}; leave both out, or switch heads only"
        )
    if ablation == "zero":
        if fill is not None:
            raise UsageError("fill goes with mean ablation only; pass ablation='mean'")
        return Ablation(rescale=rescale)
    if ablation == "resample" and fill is None and encoded:
        check_corrupted(encoded)
        return Ablation(resample=True)
    if ablation == "resample":
        return Ablation(fill=_check_resampled(fill, shape))
    means = as_tensor(fill)
    if means is None or not means.is_floating_point() or tuple(means.shape) != shape:
        found = list(means.shape) if means is not None else None
        raise UsageError(
            f"mean ablation needs a float fill of shape {list(shape)} (layers, heads, d_head), "
            f"but got {found}; make one with mean_activations(bridge, tokens, lengths)"
        )
    return Ablation(fill=means)


def check_corrupted(encoded: Sequence[EncodedQuestion]) -> None:
    """Refuse questions without corrupted prompts, as resample ablation needs them.

    Raises:
        UsageError: one has none.
    """
    lacking = next((n for n, one in enumerate(encoded) if one.corrupted is None), None)
    if lacking is not None:
        raise UsageError(
            f"resample ablation needs a corrupted prompt for each prompt, but prompt {lacking} has "
            "none; give each one, or use zero or mean ablation"
        )


def _check_resampled(fill: Any, shape: tuple[int, int, int]) -> torch.Tensor:
    outputs = as_tensor(fill)
    n_layers, n_heads, d_head = shape
    if outputs is None or outputs.ndim != 5 or (len(outputs), *outputs.shape[3:]) != shape:
        found = list(outputs.shape) if outputs is not None else None
        raise UsageError(
            "resample ablation needs the heads' outputs on corrupted prompts of equal length, "
            f"[{n_layers}, batch, pos, {n_heads}, {d_head}], but got {found}; make them with "
            "head_outputs(bridge, tokens)"
        )
    return outputs


@torch.no_grad()
def head_outputs(
    bridge: Any, tokens: torch.Tensor
) -> Float[torch.Tensor, "n_layers batch pos n_heads d_head"]:
    """Every head's output on some prompts: the fill of resample ablation.

    Args:
        bridge: a TransformerBridge.
        tokens: int [batch, pos], the corrupted prompts, as long as the clean ones.
    """
    found: dict[int, torch.Tensor] = {}

    def recorder(layer: int) -> Hook:
        def record(z: torch.Tensor, hook: Any) -> torch.Tensor:
            found[layer] = z.detach()
            return z

        return record

    layers = range(int(bridge.cfg.n_layers))
    hooks = [(hook_name(layer), recorder(layer)) for layer in layers]
    hooks.append(("unembed.hook_in", _first_position))  # the logits are not used
    with bridge.hooks(fwd_hooks=hooks):
        bridge(tokens.to(bridge.original_model.device))
    return torch.stack([found[layer].to(found[0].device) for layer in layers])


@torch.no_grad()
def mean_activations(
    bridge: Any,
    tokens: torch.Tensor,
    lengths: torch.Tensor,
    *,
    batch_size: int = 64,
) -> Float[torch.Tensor, "n_layers n_heads d_head"]:
    """Mean output of every head over all tokens except padding: the fill of mean ablation.

    Args:
        bridge: a TransformerBridge.
        tokens: int [sequences, pos], padded on the right.
        lengths: int [sequences], tokens of each without padding.
        batch_size: sequences per forward pass.

    Returns:
        float32, summed in float64.
    """
    n_layers, n_heads = int(bridge.cfg.n_layers), int(bridge.cfg.n_heads)
    sums = torch.zeros(n_layers, n_heads, int(bridge.cfg.d_head), dtype=torch.float64)
    tokens, lengths = torch.as_tensor(tokens), torch.as_tensor(lengths)
    if tokens.ndim != 2 or lengths.shape != tokens.shape[:1]:
        raise UsageError(
            f"tokens must be [sequences, pos] and lengths [sequences], but they have shapes "
            f"{list(tokens.shape)} and {list(lengths.shape)}"
        )
    if len(tokens) == 0 or int(lengths.min()) < 1 or int(lengths.max()) > tokens.shape[1]:
        raise UsageError(
            f"every sequence needs 1 to {tokens.shape[1]} real tokens, but lengths are "
            f"{lengths.tolist()[:8]}; leave empty sequences out"
        )
    device = bridge.original_model.device
    for start in range(0, len(tokens), batch_size):
        span = int(lengths[start : start + batch_size].max())
        part = tokens[start : start + batch_size, :span].to(device)
        real = torch.arange(span)[None] < lengths[start : start + batch_size, None].cpu()
        hooks = [(hook_name(layer), _adder(sums[layer], real)) for layer in range(n_layers)]
        hooks.append(("unembed.hook_in", _first_position))  # the logits are not used
        with bridge.hooks(fwd_hooks=hooks):
            bridge(part)
    return (sums / int(lengths.sum())).float()


def _first_position(x: torch.Tensor, hook: Any) -> torch.Tensor:
    return x[:, :1]


def _adder(total: torch.Tensor, real: torch.Tensor) -> Hook:
    def add(z: torch.Tensor, hook: Any) -> torch.Tensor:
        total.add_(z[real.to(z.device)].double().sum(0).cpu())
        return z

    return add


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


def _mlp_hook(masks: Bool[torch.Tensor, " masks"]) -> Hook:
    def ablate(out: torch.Tensor, hook: Any) -> torch.Tensor:
        _check_rows(len(masks), len(out))
        return out * masks.to(out)[:, None, None]

    return ablate


def _check_rows(masks: int, rows: int) -> None:
    if masks not in (1, rows):
        raise UsageError(
            f"keep_masks hold {masks} masks, but the batch has {rows} rows; "
            "give one mask, or one per row"
        )
