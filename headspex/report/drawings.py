"""Figures inside a page: SVG in the page's colours, with parts labelled by their heads."""

from __future__ import annotations

import re
from dataclasses import asdict
from html import escape

from matplotlib.figure import Figure

from headspex.figures.style import DARK, LIGHT, Theme, encoded

# What figures write into their parts' ids, and the attributes that the page's script reads.
_NAMED = {"of": "data-heads", "between": "data-layers", "at": "data-at"}


def drawing(figure: Figure, *, name: str, caption: str) -> str:
    """A figure, drawn in the colours of `LIGHT`, as an element of a page.

    Args:
        figure: with gids such as "of L0H3 L1H2" on parts that show heads.
        name: of the figure; prefix of its ids in the page.
        caption: text alternative for screen readers.
    """
    svg = encoded(figure, "svg").decode()
    svg = svg[svg.index("<svg") :]  # the XML prologue has no place inside a page
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    # A hundredth of a point is below any screen's; numbers that people read stand outside of tags.
    svg = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), svg)
    svg = re.sub(r'<svg .*?(viewBox="[^"]*").*?>', r"<svg \1>", svg, count=1, flags=re.DOTALL)
    for word, attribute in _NAMED.items():
        svg = re.sub(rf'id="{word} ([^"]*)"', rf'{attribute}="\1"', svg)
    svg = _own_ids(svg, name).replace("xlink:href", "href")
    for field, colour in asdict(LIGHT).items():
        svg = svg.replace(f": {colour}", f": var(--{field})")
    svg = re.sub(r"\s*\n\s*", " ", svg).replace("> <", "><")
    label = f'<svg role="img" aria-label="{escape(caption, quote=True)}"'
    return svg.replace("<svg", label, 1)


def _own_ids(svg: str, name: str) -> str:
    """Prefix referenced ids with the figure's name, to be unique in the page; drop the others."""
    used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg))
    kept = {url or href for url, href in used}
    svg = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in kept else "", svg)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)


def palette() -> str:
    """The colours as CSS variables: dark if the reader prefers it, never in print."""

    def variables(theme: Theme) -> str:
        return " ".join(f"--{field}: {colour};" for field, colour in asdict(theme).items())

    return (
        f":root {{ {variables(LIGHT)} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}\n"
    )
