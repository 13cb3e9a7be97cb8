"""How each method is drawn; one method looks the same in every figure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, cycle

from headspex.figures.style import Theme


@dataclass(frozen=True)
class Look:
    """A line of a method.

    Attributes:
        colour: the name of a colour of a `Theme`.
        marker: matplotlib's letter.
        title: display name.
    """

    colour: str
    marker: str
    title: str


# The main comparison comes first and is drawn in front.
LOOKS = {
    "proxyspex": Look("blue", "o", "ProxySPEX"),
    "lasso": Look("orange", "s", "LASSO on heads"),
    "random": Look("grey", "^", "random, mean"),
    "trees": Look("green", "^", "boosted trees alone"),
    "lasso-pairs": Look("pink", "D", "LASSO on heads and pairs"),
    "spex": Look("sky", "v", "SPEX"),
    "leave-one-out": Look("green", "P", "leave-one-out"),
    "marginal": Look("sky", "*", "mean on less mean off"),
    "gradient": Look("pink", "P", "gradient importance"),
    "shapley": Look("green", "v", "Shapley values"),
    "magnitude": Look("pink", "X", "magnitude of weights"),
    "exact": Look("grey", "x", "ProxySPEX, best sets"),
    "best-of-n": Look("sky", "X", "best mask of the search"),
}
_SPARE = (("green", "D"), ("pink", "v"), ("sky", "P"), ("ink", "X"), ("grey", "*"))


def looks_of(methods: Iterable[str], players: str) -> Iterator[tuple[str, Look]]:
    """Each method with its look; titles name `players`, unknown methods get spare looks."""
    named = list(methods)
    taken = {(LOOKS[m].colour, LOOKS[m].marker) for m in named if m in LOOKS}
    spare = chain((one for one in _SPARE if one not in taken), cycle(_SPARE))
    for method in named:
        look = LOOKS.get(method)
        if look is None:
            look = Look(*next(spare), method)
        yield method, Look(look.colour, look.marker, look.title.replace("heads", players))


def colour_of(look: Look, theme: Theme) -> str:
    """The colour of a look on this paper."""
    colour: str = getattr(theme, look.colour)
    return colour
