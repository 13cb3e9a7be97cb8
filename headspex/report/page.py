"""The report: the answer first, then pictures, tables, and how to read and repeat them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from html import escape
from pathlib import Path

from headspex.errors import UsageError
from headspex.figures.methods import looks_of
from headspex.figures.of_run import COMPARED, caption_of, figures_of, picture
from headspex.figures.run_view import RunView
from headspex.figures.style import LIGHT
from headspex.players import format_layers
from headspex.report.drawings import drawing, palette
from headspex.report.tables import Cell, Row, table
from headspex.runs.circuits import said_of_circuits
from headspex.runs.curve import MIB
from headspex.runs.interactions_table import Interaction
from headspex.runs.replication import replication
from headspex.support.files import read_text, write_text
from headspex.tasks.scoring import title_of
from headspex.units import plural, singular

STRONGEST = 500  # interactions listed on the page; interactions.csv has all
_HERE = Path(__file__).parent


def write_report(run: RunView, *, to: Path | None = None) -> Path:
    """Write the page of a run from the files of its folder.

    Args:
        run: to report.
        to: the file; the folder's report.html by default.

    Raises:
        UsageError: the ending is not .html, or files of the run are damaged.
    """
    path = to or run.folder.report
    if path.suffix not in (".html", ".htm"):
        raise UsageError(f"the report is an .html file, but got {path.name!r}")
    # Drawn in light colours; the page switches to dark ones if the reader prefers it.
    run = replace(run, theme=LIGHT)
    title = f"{run.identity['model']} on {run.identity['task']}"
    names = [
        *figures_of(run),
        *(COMPARED if (run.folder.comparison / "faithfulness.csv").is_file() else ()),
    ]
    figures = "".join(_figure(run, name) for name in names)
    parts = [
        f"<header><p>headspex</p><h1>{escape(title)}</h1>{_answer(run)}</header>",
        "<main>",
        _section("What was run", _facts(run)),
        _section("Pictures", _hint(run), f'<div class="figures">{figures}</div>'),
        _section(f"{_heads(run)} and interactions", _interactions(run)),
        _section("Schedule", _schedule(run)),
        _section("Held-out scores", _scores(run)),
        *_circuits(run),
        _section("How to read this", _list(_caveats(run))),
        _section("Repeat it", f"<pre><code>{escape(_command(run))}</code></pre>"),
        '</main><p id="told" role="status"></p>',
    ]
    write_text(path, _document(title, "\n".join(parts)))
    return path


def _document(title: str, body: str) -> str:
    css, script = read_text(_HERE / "page.css"), read_text(_HERE / "page.js")
    # The policy allows nothing from outside this file: no network, even after edits.
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>headspex: {escape(title)}</title>\n<style>\n{palette()}{css}</style>\n</head>\n"
        f"<body>\n{body}\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _answer(run: RunView) -> str:
    kind = "answer warning" if run.results["at_chance"] else "answer"
    return "".join(f'<p class="{kind}">{escape(sentence)}</p>' for sentence in run.answer)


def _section(title: str, *parts: str) -> str:
    name = f"about-{title.lower().replace(' ', '-')}"
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{escape(title)}</h2>\n' + "\n".join(
        (*parts, "</section>")
    )


def _list(sentences: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"


def _heads(run: RunView) -> str:
    heads = plural(run.players.unit, ", ")
    return heads[0].upper() + heads[1:]


def _facts(run: RunView) -> str:
    results, identity = run.results, run.identity
    versions = identity.get("versions", {})
    subjects = ", ".join(identity.get("subjects") or ["all subjects"])
    facts = {
        "model": f"{identity['model']} (weights {str(identity.get('weights'))[:12]})",
        "task": f"{identity['task']}, {subjects}, {identity.get('shots', 0)} shots",
        "switched": f"{results['players']:,} {run.heads} of layers "
        f"{format_layers(run.players.layers)}, {identity.get('ablation', 'zero')} ablation",
        "masks": f"keep {results['keep']:g}, {results['questions_per_mask']} questions each",
        "passes": f"{results['passes']:,} for the search, {results['passes_total']:,} in all",
        "seed": str(identity.get("seed")),
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
    }
    return "<dl>" + "".join(f"<dt>{k}</dt><dd>{escape(v)}</dd>" for k, v in facts.items()) + "</dl>"


def _hint(run: RunView) -> str:
    head = singular(run.players.unit)
    return (
        f'<p class="note" id="hint">Point at a {head}, here or in a table, and its interactions '
        "light up in every picture; a click holds them, Escape lets go.</p>"
    )


def _figure(run: RunView, name: str) -> str:
    caption = caption_of(name, run.players)
    drawn = drawing(picture(run, name).figure, name=name, caption=caption)
    return f'<figure id="figure-{name}">{drawn}<figcaption>{escape(caption)}</figcaption></figure>'


def _interactions(run: RunView) -> str:
    rows = run.interactions
    shown = f"The {STRONGEST} strongest of {len(rows):,}; all are in interactions.csv."
    heads = run.heads
    return (
        f'<p class="note">Effect: what having all these {heads} on adds to the '
        f"{escape(run.metric)}, beyond what smaller groups of them explain. A pair with a positive "
        "effect is synergy, one with a negative effect redundancy. "
        f"{replication(rows, len(run.players)).said(heads)}"
        f"{' ' + shown if len(rows) > STRONGEST else ''}</p>"
    ) + table(
        "interactions",
        f"{_heads(run)} and interactions, strongest first",
        (plural(run.players.unit), "kind", "effect", "low", "high", "kept by folds"),
        map(_interaction, rows[:STRONGEST]),
    )


def _interaction(row: Interaction) -> Row:
    numbers = (Cell(f"{x:+.4f}", x) for x in (row.effect, row.low, row.high))
    kind = "single" if row.kind == "linear" else f"{row.kind}, {len(row.heads)}"
    heads = " ".join(row.heads)
    return Row((heads, kind, *numbers, Cell(f"{row.selected:.0%}", row.selected)), heads)


def _schedule(run: RunView) -> str:
    players, schedule = run.players, run.schedule
    sizes = range(1, len(schedule.order) + 1)
    left = run.spectrum.predict(schedule.masks(sizes)).tolist()
    own = {row.heads: row.effect for row in run.interactions if len(row.heads) == 1}
    judged = {
        point.n_pruned: point.score
        for point in run.curve
        if (point.method, point.metric) == ("proxyspex", run.task_metric)
    }
    rows = []
    for size, column, value in zip(sizes, schedule.order, left, strict=True):
        label, score = players.label(column), judged.get(size)
        effect = own.get((label,), 0.0)
        measured = Cell("", -1e9) if score is None else Cell(f"{score:.3f}", score)
        cells = (
            Cell(str(size), size), label, Cell(f"{effect:+.4f}", effect),
            Cell(f"{value:.3f}", value), measured,
        )  # fmt: skip
        rows.append(Row(cells, label, gone=size))
    head = singular(players.unit)
    return table(
        "schedule",
        f"The order in which {run.heads} go",
        (
            "goes as",
            head,
            "effect alone",
            f"{run.metric} predicted then",
            f"held-out {title_of(run.task_metric)}",
        ),
        rows,
    )


def _scores(run: RunView) -> str:
    points = [point for point in run.curve if point.metric != MIB]
    looks = dict(looks_of(dict.fromkeys(p.method for p in points), run.heads))
    return table(
        "scores",
        "Scores on held-out questions, with 95 % intervals",
        ("method", f"{run.heads} removed", "share", "metric", "score", "low", "high", "questions"),
        (
            Row(
                (
                    looks[p.method].title, Cell(str(p.n_pruned), p.n_pruned),
                    Cell(f"{p.sparsity:.0%}", p.sparsity), p.metric,
                    *(Cell(f"{x:.3f}", x) for x in (p.score, p.low, p.high)),
                    Cell(f"{p.n_questions:,}", p.n_questions),
                )
            )
            for p in points
        ),
    )  # fmt: skip


def _circuits(run: RunView) -> list[str]:
    """MIB's measures, where the run has them."""
    said = "".join(f'<p class="note">{escape(one)}</p>' for one in said_of_circuits(run.results))
    rows = run.results.get("mib", {}).get("f", [])
    if not rows:
        return [_section("Circuits as MIB judges them", said)] if said else []
    faithfulness = table(
        "circuits",
        "Faithfulness f of circuits, with 95 % intervals",
        ("share kept", f"{run.heads} kept", "f", "low", "high"),
        (
            Row(
                (
                    Cell(f"{row['share']:.1%}", row["share"]), Cell(str(row["kept"]), row["kept"]),
                    *(Cell(f"{x:.3f}", x) for x in (row["value"], row["low"], row["high"])),
                )
            )
            for row in rows
        ),
    )  # fmt: skip
    return [_section("Circuits as MIB judges them", said, faithfulness)]


def _caveats(run: RunView) -> list[str]:
    results, head, heads = run.results, singular(run.players.unit), run.heads
    chance = results["chance"]
    return [
        *(f"{reason[0].upper()}{reason[1:]}." for reason in results["allocation"]["reasons"]),
        f"Schedules were chosen on {results['n_search']:,} search questions and judged on "
        f"{results['n_heldout']:,} other, held-out ones.",
        "All intervals are 95 % intervals. Those of random schedules cover the choice of "
        "questions, not the draw of the schedules.",
        f"The effect of a {head} or an interaction is estimated on folds of the masks that the fit "
        "did not see. Intervals allow for the selection: of those that exclude zero, at most 5 % "
        "are expected to do so by chance (Benjamini & Hochberg 1995).",
        *([] if chance is None else [f"Guessing scores {chance:.3f}."]),
        "Energies are shares of the variance over masks sampled with "
        f"{results['energy']['basis']}.",
        f"Ablating a {head} is not training without it: a {head} that can go is not a {head} that "
        f"does nothing, and what {heads} do for other tasks was not asked.",
    ]


def _command(run: RunView) -> str:
    """The command that repeats the run."""
    command: str = run.results.get("command", "headspex prune, with the settings in run.json")
    return command
