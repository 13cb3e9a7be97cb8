"""Kinds of players, query heads, KV groups, a layer's attention, its MLP; how they are ablated."""

from __future__ import annotations

from dataclasses import dataclass

from headspex.errors import UsageError, argument

# What takes the place of the output of an ablated part.
MEANS = ("mean", "mean-position")  # its mean over all tokens, or over those at the same position
RESAMPLINGS = ("resample", "resample-other")  # its output on a corrupted, or on another prompt
ABLATIONS = ("zero", *MEANS, *RESAMPLINGS)


@dataclass(frozen=True)
class Unit:
    """A part of a layer that is switched as a whole.

    Attributes:
        letter: in labels such as "L3G0".
        numbered: whether a layer has several, so labels have a number.
        noun: singular, for messages.
        of_attention: whether it consists of query heads.
    """

    letter: str
    numbered: bool
    noun: str
    of_attention: bool = True


# Columns of a mask are in this order within a layer.
UNITS: dict[str, Unit] = {
    "head": Unit("H", True, "head"),
    "kv-group": Unit("G", True, "KV group"),
    "layer": Unit("A", False, "attention layer"),
    "mlp": Unit("M", False, "MLP", of_attention=False),
}


def parse_units(text: str) -> tuple[str, ...]:
    """The units in text such as "head,mlp", in the order of `UNITS`.

    Raises:
        UsageError: an unknown unit, one named twice, or two that consist of the same heads.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in UNITS:
            raise UsageError(
                f"{argument('unit')} must be {', '.join(UNITS)} or two of them such as head,mlp, "
                f"but is {text!r}"
            )
        if names.count(name) > 1:
            raise UsageError(
                f"{argument('unit')} names each unit once, but {text!r} names {name} twice"
            )
    found = tuple(name for name in UNITS if name in names)
    overlapping = [name for name in found if UNITS[name].of_attention]
    if len(overlapping) > 1:
        raise UsageError(
            f"{argument('unit')} must not switch a head in two ways, but {overlapping[0]} and "
            f"{overlapping[1]} consist of the same heads; name one of them"
        )
    return found


def singular(unit: str) -> str:
    """The noun for a player: "head or MLP" for "head,mlp"."""
    return " or ".join(UNITS[name].noun for name in parse_units(unit))


def plural(unit: str, joint: str = " and ") -> str:
    """The noun for players: "heads and MLPs" for "head,mlp"."""
    return joint.join(f"{UNITS[name].noun}s" for name in parse_units(unit))


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 head", "2,000 heads"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
