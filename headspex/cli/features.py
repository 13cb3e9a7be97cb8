"""`headspex features`: words of a prompt, and combinations, that an output depends on."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headspex.cli.options import add_model
from headspex.errors import UsageError
from headspex.support.validation import SEED, THREADS

if TYPE_CHECKING:
    from headspex.features import Prompt, TextValue
    from headspex.features.scorers import Scorer


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    add_model(parser, also="; with --class a sequence classifier")
    add = parser.add_argument
    add("--text", help="the text whose pieces are players, or @FILE")
    add("--before", default="", help="text before it that is never removed")
    add("--after", default="", help="text after it that is never removed")
    add("--answer", action="append", default=[], metavar="TEXT", help="a continuation, with the "
        "space before it (' Paris'), once or several times; the first is explained, against the "
        "others or, if alone, against everything else")  # fmt: skip
    add("--class", dest="label", metavar="NAME", help="explain this class of a sequence classifier")
    add("--question", type=int, metavar="N", help="instead of --text: test question N of --task, "
        "counted from 0, whose right letter is explained")  # fmt: skip
    add("--task", help="the task of --question: mini (ships), mmlu or a .jsonl file "
        "(default: mini)")  # fmt: skip
    add("--subject", nargs="+", default=[], metavar="S", help="subjects of the task (default: all)")
    add("--data-dir", metavar="DIR", help="a local copy of the task's data")
    add("--unit", default="word", help="what is switched: word, sentence or line (default: "
        "%(default)s)")  # fmt: skip
    add("--removal", default="drop", help="what happens to a piece that is off: drop, replace "
        "(each word by --fill), mask (hide from attention), or swap with the same piece of other "
        "questions (default: %(default)s)")  # fmt: skip
    add("--fill", metavar="WORD", help="for --removal replace (default: the tokenizer's mask or "
        "unknown token)")  # fmt: skip
    add("--direction", default="down", help="down or up: which way removal should move the value "
        "(default: %(default)s)")  # fmt: skip
    add("--budget", type=int, metavar="MASKS", help="how many masks to score (default: 2 n "
        "log2 n, at least 256)")  # fmt: skip
    add("--keep", type=float, default=0.5, metavar="P", help="probability that a mask keeps a "
        "piece (default: %(default)s)")  # fmt: skip
    add("--threads", type=int, default=1, help="threads of torch (default: %(default)s)")
    add("--seed", type=int, default=0, help="fixes every random choice (default: %(default)s)")
    add(
        "--out", type=Path, metavar="DIR", help="a folder for spectrum, curves and highlighted text"
    )
    add("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    _check(options)
    import torch

    from headspex.cli.out_folder import check_out, claim_out, settings_of
    from headspex.features import ansi, explain_text

    torch.set_num_threads(options.threads)
    value = _value(options)
    settings: dict[str, Any] = {}
    if options.out is not None:
        packages = ("torch", "transformers", "transformer-lens")
        settings = settings_of(options, packages=packages, **value.fingerprints)
        check_out(options.out, settings)
    found = explain_text(
        value, budget=options.budget, keep=options.keep, direction=options.direction,
        seed=options.seed,
    )  # fmt: skip
    if options.out is not None:
        claim_out(options.out, settings)
        found.write(options.out)
    if options.json:
        print(json.dumps(found.to_dict()))
        return 0
    print(ansi(found.prompt, found.shapley.tolist()) if sys.stdout.isatty() else found.prompt.whole)
    print(f"\n{found}")
    if options.out is not None:
        print(f"Everything is in {options.out}; the text is {options.out / 'highlight.html'}")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuse invalid flags and combinations of flags."""
    from headspex.features.value import REMOVALS
    from headspex.tasks.characters import check_whole

    THREADS.take("--threads", options.threads)
    SEED.take("--seed", options.seed)
    if options.removal not in (*REMOVALS, "swap"):
        raise UsageError(
            f"no removal {options.removal!r}; known: {', '.join(REMOVALS)}, and of a question swap"
        )
    if options.fill is not None and options.removal != "replace":
        raise UsageError(
            f"--fill is the word of --removal replace, but --removal is {options.removal}; leave "
            "--fill out, or replace the pieces"
        )
    for flag, text in (("--answer", "".join(options.answer)), ("--fill", options.fill or "")):
        check_whole(text, flag)
    if options.question is not None:
        given = options.text, options.before or None, options.after or None, options.label
        if options.answer or any(one is not None for one in given):
            raise UsageError("a question of a task brings its text and answers; leave out --text, "
                             "--before, --after, --answer and --class")  # fmt: skip
        return
    if options.task is not None or options.subject or options.data_dir is not None:
        raise UsageError("--task, --subject and --data-dir go with --question N, which is "
                         "missing; leave them out, or give it in place of --text")  # fmt: skip
    if options.text is None:
        raise UsageError("there is nothing to explain; give --text, or --question N of a task")
    if options.removal == "swap":
        raise UsageError("swap takes pieces of other questions of a task; give --question N, or "
                         "drop, replace or mask the pieces of --text")  # fmt: skip
    if bool(options.answer) == (options.label is not None):
        raise UsageError("name the output to explain: either --answer or --class")
    if options.label is not None and any((options.adapter, options.load_in, options.max_memory)):
        raise UsageError("a classifier is loaded whole and as it is, but --adapter, --load-in or "
                         "--max-memory was given beside --class; leave them out")  # fmt: skip


def _value(options: argparse.Namespace) -> TextValue:
    from headspex.features import TextValue
    from headspex.features.text import repeat_word

    if options.question is not None:
        return _question(options)
    prompt, scorer = _text(options)
    fills = None if options.fill is None else [repeat_word(prompt, options.fill)]
    return TextValue(prompt, scorer, removal=options.removal, fills=fills)


def _text(options: argparse.Namespace) -> tuple[Prompt, Scorer]:
    from headspex.features import AnswerScorer, ClassScorer, cut
    from headspex.support.files import read_text

    given = options.text
    text = read_text(Path(given[1:])) if given.startswith("@") else given
    prompt = cut(text, options.unit, before=options.before, after=options.after)
    if options.label is None:
        return prompt, AnswerScorer(_model(options), options.answer)
    from headspex.features.classifiers import load_classifier

    model, tokenizer = load_classifier(
        options.model, revision=options.revision, device=options.device, dtype=options.dtype
    )
    return prompt, ClassScorer(model, tokenizer, options.label)


def _question(options: argparse.Namespace) -> TextValue:
    from headspex.features import TextValue
    from headspex.features.questions import explained_question, swaps
    from headspex.features.text import repeat_word
    from headspex.tasks import load_task

    name, subjects = options.task or "mini", options.subject or None
    task = load_task(name, subjects=subjects, data_dir=options.data_dir)
    questions = task.questions("test")
    if not 0 <= options.question < len(questions):
        raise UsageError(
            f"--question must be within 0..{len(questions) - 1}, but is {options.question}"
        )
    question = questions[options.question]
    prompt, scorer = explained_question(_model(options), question, options.unit)
    if options.removal == "swap":
        fills = swaps(question, questions, options.unit, seed=options.seed)
        return TextValue(prompt, scorer, removal="replace", fills=fills)
    fill = None if options.fill is None else [repeat_word(prompt, options.fill)]
    return TextValue(prompt, scorer, removal=options.removal, fills=fill)


def _model(options: argparse.Namespace) -> Any:
    from headspex.hooks import load_model

    return load_model(
        options.model, revision=options.revision, device=options.device, dtype=options.dtype,
        adapter=options.adapter, max_memory=options.max_memory, load_in=options.load_in,
    )  # fmt: skip
