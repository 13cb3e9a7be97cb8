"""`headspex lm-eval`: lm-eval's own command line, with `--model headspex` added."""

from __future__ import annotations

import argparse
import sys

from headspex.errors import UsageError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Accept all of lm-eval's flags."""
    parser.prefix_chars = "\0"  # no flags of our own: pass all words to lm-eval
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="...", help="as lm_eval takes "
                        "them, with --model headspex --model_args pretrained=...,"
                        "mask=...")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    try:
        from lm_eval.__main__ import cli_evaluate

        import headspex.evaluation.lm_eval_model  # noqa: F401 - registers the model
    except ImportError as error:
        raise UsageError(
            "headspex lm-eval needs lm-eval, which is not installed; "
            "run `pip install 'headspex[lm-eval]'`"
        ) from error
    given, sys.argv = sys.argv, ["lm_eval", *options.words]
    try:
        cli_evaluate()
    finally:
        sys.argv = given
    return 0
