"""The pages of models and of tasks, from what `headspex models` and `headspex tasks` print.

    python docs/catalogue.py

writes docs/models.md and docs/tasks.md anew; a test holds that they are up to date.
"""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from headspex.cli.main import main

MANY = 3  # of a task's right or wrong tokens, the first are shown


def _printed(command: str) -> Any:
    with redirect_stdout(io.StringIO()) as out:
        main([command, "--json"])
    return json.loads(out.getvalue())


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def models_page() -> str:
    """Families that the tests cover, and the short names of models."""
    known = _printed("models")
    families = [
        _row(
            family["title"],
            f"`{architecture}`",
            "mask, zeroed" + (", shrunk" if family["shrinks"] else ""),
        )
        for architecture, family in known["architectures"].items()
    ]
    aliases = [_row(f"`{alias}`", f"`{name}`") for alias, name in known["aliases"].items()]
    ships = ", ".join(f"`{name}`" for name in known["ships"])
    return "\n".join(
        [
            "# Models",
            "",
            "`--model` takes a Hub name, a folder, an adapter's folder, a GGUF file, or a short "
            "name of the second table.\nIn Python it takes a transformers model and a "
            "`TransformerBridge` too. `headspex models` prints both tables.",
            "",
            "## Families that the tests cover",
            "",
            "Of each, on a small random model, hooks and zeroed weights give equal logits, and the "
            "fast path equals the\nbridge. Any other decoder that TransformerLens has a bridge for "
            "is accepted after a check, when it is loaded, that\nhooks remove its heads. The last "
            "column says what `headspex export` writes; "
            "[the guide](guides/prune-and-export.md#what-can-be-written)\nsays what each format "
            "holds.",
            "",
            _row("family", "architecture", "exports"),
            _row("---", "---", "---"),
            *families,
            "",
            "## Short names",
            "",
            f"{ships} ships with headspex.",
            "",
            _row("name", "on the Hub"),
            _row("---", "---"),
            *aliases,
            "",
        ]
    )


def tasks_page() -> str:
    """Benchmarks with their subjects, generated tasks with an example, and other forms."""
    known = _printed("tasks")
    lines = [
        "# Tasks",
        "",
        "Names of `--task`, as `headspex tasks` prints them. [Your model, your task]"
        "(guides/own-model.md#tasks) says what\nelse it takes.",
        "",
        "## Multiple choice",
        "",
        _row("task", "subjects"),
        _row("---", "---"),
        *(_row(f"`{name}`", ", ".join(parts)) for name, parts in known["tasks"].items()),
        "",
        "## Paired prompts",
        "",
        "Drawn from templates, with single tokens as answers in the model's own tokenizer, and "
        "with other names and words held\nout than searched. The metric of all but those that say "
        "otherwise is `logit-diff`.",
    ]
    for name, task in known["generated"].items():
        metric = "" if task["metric"] == "logit-diff" else f" Metric: `{task['metric']}`."
        lines += [
            "",
            f"### {name}",
            "",
            f"{_sentence(task['summary'])}{metric} After {task['source']}.".replace("..", "."),
            "",
            "```text",
            f"clean      {task['clean']!r}",
            f"corrupted  {task['corrupted']!r}",
            f"right      {_tokens(task['answers'])}",
            f"wrong      {_tokens(task['wrong'])}",
            "```",
        ]
    lines += ["", "## Files and other programs", "", f"Also {known['written']}.", ""]
    return "\n".join(lines)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _tokens(tokens: list[str]) -> str:
    more = len(tokens) - MANY
    return ", ".join(map(repr, tokens[:MANY])) + (f" and {more} more" if more > 0 else "")


PAGES = {"models.md": models_page, "tasks.md": tasks_page}

if __name__ == "__main__":
    for file, page in PAGES.items():
        (Path(__file__).parent / file).write_text(page(), encoding="utf-8")
