"""The command line: parses, calls the study, prints. Exit codes: 0 done, 2 the user's mistake."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from headspex.errors import UsageError
from headspex.settings import Settings


class _Parser(argparse.ArgumentParser):
    """Says one sentence instead of a usage block."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    # OpenMP's threads wait for each other by spinning, for milliseconds. Beside other work on the
    # same cores that makes two of them several times slower than one.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        options = _parser().parse_args(arguments)
        # Commands import what they need: torch alone takes seconds.
        from headspex import commands

        code: int = getattr(commands, options.command)(options)
        return code
    except UsageError as error:
        print(f"headspex: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("headspex: stopped; the same command uses the scores it has", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read our output has heard enough (`headspex ... | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments of `Study` from the flags."""
    fields = Settings.__dataclass_fields__
    given = {name: value for name, value in vars(options).items() if name in fields}
    return {**given, "subjects": tuple(options.subject)}


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="headspex", description="Which attention heads, and combinations of "
                     "heads, an ability lives in - and which can go.")  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND",
                                     parser_class=_Parser)  # fmt: skip
    prune = commands.add_parser("prune", help="find the heads that matter and the ones that can go")
    _add_model(prune)
    _add_run(prune)
    evaluate = commands.add_parser("eval", help="score a model, whole or under a mask")
    _add_model(evaluate)
    evaluate.add_argument("--mask", type=Path, metavar="FILE", help="a masks/NNN.json of a run")
    splits = "dev, validation, test, search or heldout (default: test; heldout under a mask)"
    evaluate.add_argument("--split", help=splits)
    evaluate.add_argument("--limit", type=int, metavar="N", help="only the first N questions")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")
    plot = commands.add_parser("plot", help="draw a figure of a finished run")
    plot.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
    plot.add_argument("name", metavar="NAME", help="curve, energy or heads; faithfulness after "
                      "compare")  # fmt: skip
    plot.add_argument("--to", type=Path, metavar="FILE", help=".svg, .png or .pdf")
    compare = commands.add_parser("compare", help="set other methods against a finished run's")
    compare.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
    compare.add_argument("--budgets", type=int, nargs="+", default=[], metavar="PASSES",
                         help="passes of its search that methods are fitted to, beside all "
                         "(default: 1/16, 1/8, 1/4 and 1/2 of them)")  # fmt: skip
    compare.add_argument("--spex-budget", type=int, metavar="PASSES", help="passes of a search "
                         "of SPEX's own, all search questions a mask (default: "
                         "no SPEX)")  # fmt: skip
    compare.add_argument("--to", type=Path, metavar="DIR", help="a new folder for what is found "
                         "(default: RUN/compare)")  # fmt: skip
    compare.add_argument("--json", action="store_true", help="print one JSON object")
    export = commands.add_parser("export", help="write a pruning mask of a finished run")
    export.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
    export.add_argument("--sparsity", type=float, required=True, help="share of players to remove")
    export.add_argument("--format", default="mask", choices=["mask"], help="mask (JSON)")
    export.add_argument("--to", type=Path, required=True, metavar="DIR", help="a new folder")
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", default="tiny", help="tiny (ships), an alias such as llama-3.1-8b, a Hub name "
        "or a directory (default: %(default)s)")  # fmt: skip
    add("--revision", metavar="REV", help="branch, tag or commit of a model on the Hub")
    add("--task", default="mini", help="mini (ships), mmlu or a .jsonl file (default: %(default)s)")
    add("--subject", nargs="+", default=[], metavar="S", help="subjects of the task (default: all)")
    add("--data-dir", metavar="DIR", help="a local copy of the task's data")
    add("--shots", type=int, default=0, help="answered questions before each, 0..5")
    add("--device", default="cpu", help="cpu, cuda, cuda:1 (default: %(default)s)")
    add("--dtype", default="float32", help="float32, bfloat16, float16 (default: %(default)s)")
    add("--protocol", metavar="paper", help="the paper's head experiment: keep 1/2, 5,000 masks on "
        "all search questions, zero with rescale, 120/111 split")  # fmt: skip
    add("--threads", type=int, default=Settings.threads, help="of torch and xgboost (default: "
        "%(default)s); floats depend on it")  # fmt: skip


def _add_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--unit", default=Settings.unit, metavar="UNITS", help="what is switched: head, kv-group, "
        "layer (its attention), mlp, or such as head,mlp (default: %(default)s)")  # fmt: skip
    add("--layers", metavar="RANGES", help="layers whose parts are switched, such as 0-2,13")
    add("--budget", type=int, metavar="PASSES", help="forward passes of pilot and search; one is "
        "one question under one mask (default: by the number of heads)")  # fmt: skip
    add("--verify-budget", type=int, metavar="PASSES", help="forward passes of fresh masks and "
        "held-out curves (default: by the number of heads)")  # fmt: skip
    add("--questions-per-mask", type=_number_or("auto", "all", number=int), metavar="auto|all|K",
        default=Settings.questions_per_mask, help="questions each mask is asked; auto: as a pilot "
        "and the cost of starting a mask suggest (default: %(default)s)")  # fmt: skip
    add("--keep", type=_number_or("auto", number=float), default=Settings.keep, metavar="auto|P",
        help="probability that a mask keeps a player; auto: where a pilot finds that the model "
        "works and masks differ (default: %(default)s)")  # fmt: skip
    add("--ablation", default="zero", help="zero or mean (default: %(default)s)")
    add("--rescale", action="store_true",
        help="multiply a layer's remaining heads by H / kept (zero ablation)")  # fmt: skip
    add("--metric", default="accuracy", help="accuracy, margin or logprob (default: %(default)s)")
    add("--seed", type=int, default=0, help="fixes every random choice (default: %(default)s)")
    add("--out", type=Path, metavar="DIR", help="the run's folder (default: runs/MODEL-TASK)")
    add("--dry-run", action="store_true", help="print what it would cost, and stop")
    add("--json", action="store_true", help="print one JSON object")


def _number_or(*words: str, number: Callable[[str], float]) -> Callable[[str], float | str]:
    """A number, or one of the words."""

    def parse(text: str) -> float | str:
        if text in words:
            return text
        try:
            return number(text)
        except ValueError:
            known = ", ".join(words)
            raise argparse.ArgumentTypeError(
                f"must be a number or one of {known}, but is {text!r}"
            ) from None

    return parse
