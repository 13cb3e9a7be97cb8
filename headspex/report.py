"""`report.html`: one self-contained page of a run, plain HTML with its figures inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from headspex.curve import CurvePoint
from headspex.files import write_text
from headspex.interactions_table import Interaction
from headspex.units import plural, singular

_STRONGEST = 50  # interactions listed on the page; interactions.csv has all

_CSS = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1a1a1a; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1.5rem 0; } figure svg { max-width: 100%; height: auto; }
.answer { font-size: 1.2rem; } .note { color: #555; }
pre { background: #f4f4f4; padding: .75rem; overflow-x: auto; }
"""


def write_report(
    path: Path,
    *,
    title: str,
    answer: Sequence[str],
    command: str,
    results: dict[str, Any],
    interactions: Sequence[Interaction],
    curve: Sequence[CurvePoint],
    figures: dict[str, Path],
) -> None:
    """Write the page.

    Args:
        answer: the sentences that say what came out, the most important first.
        command: what to type to repeat the run.
        results: as in run.json.
        interactions: strongest first.
        curve: all points of curve.csv.
        figures: caption -> SVG file, put into the page.
    """
    unit = results["unit"]
    parts = [
        f"<h1>{escape(title)}</h1>",
        *(f'<p class="answer">{escape(sentence)}</p>' for sentence in answer),
        *(_figure(caption, file) for caption, file in figures.items()),
        "<h2>Held-out scores</h2>",
        _curve_table(curve, plural(unit)),
        f"<h2>Strongest {plural(unit, ', ')} and interactions</h2>",
        '<p class="note">Effect: the change of the score from having all these '
        f"{plural(unit)} on, beyond what their smaller groups explain. For pairs, positive is "
        f"synergy and negative is redundancy. The {min(_STRONGEST, len(interactions))} "
        f"strongest of {len(interactions)}; all are in interactions.csv.</p>",
        _table(
            (plural(unit), "kind", "effect", "95 % interval", "kept by folds"),
            (
                (
                    " ".join(row.heads),
                    row.kind,
                    f"{row.effect:+.4f}",
                    f"{row.low:+.4f} to {row.high:+.4f}",
                    f"{row.selected:.0%}",
                )
                for row in interactions[:_STRONGEST]
            ),
        ),
        "<h2>How to read this</h2>",
        f'<p class="note">{escape(_caveats(results))}</p>',
        "<h2>Repeat it</h2>",
        f"<pre>{escape(command)}</pre>",
    ]
    body = "\n".join(parts)
    write_text(
        path,
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_CSS}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n",
    )


def _caveats(results: dict[str, Any]) -> str:
    head = singular(results["unit"])
    chance = results["chance"]
    guessing = "" if chance is None else f"Guessing scores {chance:.3f}. "
    reasons = "".join(f"{reason}. " for reason in results["allocation"]["reasons"])
    return (
        f"{reasons}Schedules were chosen on {results['n_search']} search questions and judged on "
        f"{results['n_heldout']} other, held-out ones; intervals are 95 %. "
        f"{guessing}Energies are shares of the variance over masks sampled with "
        f"{results['energy']['basis']}. Ablation changes what a model would have learnt without "
        f"a {head}: a {head} that can go is not a {head} that does nothing. The interval of "
        "random schedules covers the questions, not the draw of the schedules."
    )


def _figure(caption: str, file: Path) -> str:
    svg = file.read_text(encoding="utf-8")
    drawing = svg[svg.index("<svg") :]  # the XML prologue has no place inside a page
    label = f'<svg role="img" aria-label="{escape(caption, quote=True)}"'
    drawing = drawing.replace("<svg", label, 1)
    return f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>"


def _curve_table(curve: Sequence[CurvePoint], heads: str) -> str:
    return _table(
        ("method", f"{heads} removed", "metric", "score", "95 % interval", "questions"),
        (
            (
                point.method, f"{point.n_pruned} ({point.sparsity:.0%})", point.metric,
                f"{point.score:.3f}", f"{point.low:.3f} to {point.high:.3f}", point.n_questions,
            )
            for point in curve
        ),
    )  # fmt: skip


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"
