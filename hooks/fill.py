"""What takes the place of the outputs of ablated heads and MLPs, and checks of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headspex.errors import UsageError, argument
from headspex.hooks.switches import as_tensor
from headspex.tasks.prompts import EncodedQuestion, longest_input
from headspex.units import MEANS

# Dimensions between the layer and the part itself.
DIMENSIONS: dict[str, tuple[str, ...]] = {
    "mean": (),
    "mean-position": ("pos",),
    "resample": ("batch", "pos"),
    "resample-other": ("batch", "pos"),
}


@dataclass(frozen=True)
class Parts:
    """Kinds of parts of a layer: its heads, and its MLP."""

    heads: bool = True
    mlps: bool = True

    @classmethod
    def off(cls, masks: Bool[Tensor, "masks layers switches"]) -> "Parts":
        """The kinds of which some mask switches one off."""
        return cls(not bool(masks[..., :-1].all()), not bool(masks[..., -1].all()))


@dataclass(frozen=True, eq=False)
class Fill:
    """What takes the place of ablated parts' outputs.

    Attributes:
        heads: float [n_layers, n_heads, d_head] for the ablation "mean", [n_layers, pos, n_heads,
            d_head] for "mean-position", [n_layers, batch, pos, n_heads, d_head] for "resample";
            numpy or torch; None where no head is ablated.
        mlps: the same for MLPs, with [..., d_model] in place of [..., n_heads, d_head].
    """

    heads: Any = None
    mlps: Any = None

    @classmethod
    def of(cls, given: Any) -> "Fill":
        """What a caller gives, as tensors: a fill, an array for heads alone, or None."""
        fill = given if isinstance(given, cls) else cls(heads=given)
        return cls(as_tensor(fill.heads), as_tensor(fill.mlps))

    @property
    def of_prompts(self) -> bool:
        """Whether each prompt has its own, as tensors of resample ablation have."""
        return any(
            one is not None and one.ndim == rank for one, rank in ((self.heads, 5), (self.mlps, 4))
        )

    @property
    def length(self) -> int:
        """The number of positions, of means per position."""
        means: Tensor = self.mlps if self.heads is None else self.heads
        return means.shape[1]

    def of_rows(self, rows: Any) -> "Fill":
        """Those of some prompts, of a fill with one for each."""

        def chosen(one: Tensor | None) -> Tensor | None:
            return None if one is None else one[:, torch.as_tensor(rows, device=one.device)]

        return Fill(chosen(self.heads), chosen(self.mlps))


def at_places(
    fill: Float[Tensor, "*fill"],
    outputs: Float[Tensor, "batch pos *part"],
    places: Int[Tensor, "rows pos"] | None = None,
) -> Float[Tensor, "*broadcastable"]:
    """A layer's fill at the places of its outputs, in a shape that broadcasts to theirs.

    Args:
        fill: [*part], [pos, *part] or [batch, pos, *part].
        outputs: of the layer's heads or its MLP.
        places: positions of the outputs, one row for all or one each; None: all, in order.

    Raises:
        UsageError: there are more positions than the fill has means for.
    """
    fill = fill.to(outputs)
    if fill.ndim == outputs.ndim - 2:
        return fill
    if fill.ndim == outputs.ndim - 1:
        if places is not None:
            return fill[places.to(fill.device)]
        if outputs.shape[1] > len(fill):
            raise UsageError(
                f"means per position are for prompts of one length, {len(fill)} tokens, but this "
                f"batch has {outputs.shape[1]}; use mean ablation for prompts of other lengths"
            )
        return fill[: outputs.shape[1]]
    if places is None:
        return fill
    at = places.to(fill.device)[(..., *[None] * (fill.ndim - 2))]
    return fill.gather(1, at.expand(-1, -1, *fill.shape[2:]))


def check_fill(bridge: Any, fill: Any, ablation: str, off: Parts) -> Fill:
    """The fill as tensors, which must be there for every kind of part that is off.

    Args:
        bridge: a TransformerBridge.
        fill: as a caller gives it.
        ablation: a key of `DIMENSIONS`.
        off: what is ablated.

    Raises:
        UsageError: it is missing, or has another shape.
    """
    found, cfg = Fill.of(fill), bridge.cfg
    nothing = found.heads is None and found.mlps is None
    if found.heads is not None or off.heads or (nothing and not off.mlps):
        part = [int(cfg.n_heads), int(cfg.d_head)]
        _check_shape(found.heads, "heads", part, int(cfg.n_layers), ablation)
    if found.mlps is not None or off.mlps:
        _check_shape(found.mlps, "MLPs", [int(cfg.d_model)], int(cfg.n_layers), ablation)
    return found


def _check_shape(
    found: Tensor | None, what: str, part: list[int], n_layers: int, ablation: str
) -> None:
    between = DIMENSIONS[ablation]
    shape = [] if found is None else list(found.shape)
    known = [*shape[:1], *shape[1 + len(between) :]]
    fits = len(shape) == 1 + len(between) + len(part) and known == [n_layers, *part]
    if found is None or not found.is_floating_point() or not fits:
        wanted = ", ".join(map(str, [n_layers, *between, *part]))
        maker = "mean_outputs(bridge, tokens, lengths)"
        if ablation == "mean-position":
            maker = "mean_outputs(bridge, tokens, lengths, per_position=True)"
        elif ablation not in MEANS:
            maker = "part_outputs(bridge, tokens)"
        raise UsageError(
            f"{ablation} ablation needs a float fill for {what} of shape [{wanted}], but got "
            f"{None if found is None else shape}; make one with {maker}"
        )


def check_corrupted(encoded: Sequence[EncodedQuestion]) -> None:
    """Refuse questions without corrupted prompts, as resample ablation needs them.

    Raises:
        UsageError: one has none.
    """
    lacking = next((n for n, one in enumerate(encoded) if one.corrupted is None), None)
    if lacking is not None:
        raise UsageError(
            f"resample ablation needs a corrupted prompt for each prompt, but prompt {lacking} has "
            "none; give each one, or use resample-other, zero or mean ablation"
        )


def check_one_length(
    encoded: Sequence[EncodedQuestion], n_ctx: int, length: int | None = None
) -> None:
    """Refuse prompts of several lengths, as means per position are for one.

    Args:
        encoded: the questions.
        n_ctx: tokens to which longer inputs are cut.
        length: tokens of the longest input of each; None: any, but the same for all.

    Raises:
        UsageError: the lengths differ, or are another.
    """
    lengths = {min(longest_input(one), n_ctx) for one in encoded}
    if length is not None:
        lengths.add(length)
    if len(lengths) > 1:
        raise UsageError(
            "means per position are for prompts of one length in tokens, but these have "
            f"{min(lengths)} to {max(lengths)}; use {argument('ablation')} mean, or prompts of one "
            "length"
        )
