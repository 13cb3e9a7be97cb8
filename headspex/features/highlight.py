"""A prompt coloured by each piece's effect, for a terminal and for a browser."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from headspex.engine.effects import Effect
from headspex.features.text import Prompt

# Helps, harms, nothing; the colours of the figures.
ORANGE, BLUE, WHITE = (213, 94, 0), (0, 114, 178), (255, 255, 255)


def colour(score: float, largest: float) -> tuple[int, int, int]:
    """Red, green, blue, 0..255: white at 0, full orange or blue at the largest size."""
    strength = 0.0 if largest <= 0 else min(1.0, abs(score) / largest)
    end = ORANGE if score > 0 else BLUE
    mixed = [round(w + strength * (e - w)) for w, e in zip(WHITE, end, strict=True)]
    return mixed[0], mixed[1], mixed[2]


def ansi(prompt: Prompt, scores: Sequence[float]) -> str:
    """The prompt for terminals with 24-bit colours; text that always stays is plain."""
    largest = max(map(abs, scores), default=0.0)
    parts = []
    for piece, score in zip(prompt.pieces, scores, strict=True):
        background = colour(score, largest)
        ink = 255 if sum(background) < 330 else 0
        text = piece.rstrip()
        blank = piece[len(text) :]
        shade = ";".join(map(str, background))
        parts.append(f"\x1b[48;2;{shade}m\x1b[38;2;{ink};{ink};{ink}m{text}\x1b[0m{blank}")
    return prompt.before + "".join(parts) + prompt.after


def html(prompt: Prompt, scores: Sequence[float], interactions: Sequence[Effect]) -> str:
    """A complete page: the text, each piece's value, and the strongest interactions."""
    largest = max(map(abs, scores), default=0.0)
    spans = []
    for piece, score in zip(prompt.pieces, scores, strict=True):
        background = colour(score, largest)
        ink = "#fff" if sum(background) < 330 else "#000"
        shade = ",".join(map(str, background))
        text = piece.rstrip()
        spans.append(
            f'<span style="background:rgb({shade});color:{ink}" title="{score:+.3f}">'
            f"{escape(text)}</span>{escape(piece[len(text) :])}"
        )
    rows = "".join(
        f"<tr><td>{escape(' + '.join(prompt.labels[i] for i in one.players))}</td>"
        f"<td>{one.effect:+.3f}</td><td>{one.share:.1%}</td></tr>\n"
        for one in interactions
    )
    return _PAGE.format(
        before=escape(prompt.before), text="".join(spans), after=escape(prompt.after), rows=rows
    )


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Which words count</title>
<style>
body {{ font: 16px/1.7 system-ui, sans-serif; max-width: 48em; margin: 2em auto; padding: 0 1em; }}
.text {{ white-space: pre-wrap; }}
.text span {{ border-radius: .2em; padding: .05em .1em; }}
.fixed {{ color: #666; }}
th, td {{ padding: .1em 1.2em .1em 0; text-align: left; }}
</style>
<h1>Which words count</h1>
<p>Orange raises the value, blue lowers it (Shapley values; point at a word for its number).</p>
<p class="text"><i class="fixed">{before}</i>{text}<i class="fixed">{after}</i></p>
<h2>Strongest interactions</h2>
<table><tr><th>players</th><th>effect</th><th>share of variance</th></tr>
{rows}</table>
</html>
"""
