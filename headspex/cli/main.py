"""The command line: parses and runs a command. Exit codes: 0 done, 2 the user's mistake."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import redirect_stdout
from typing import NoReturn

from headspex.cli.commands import COMMANDS
from headspex.cli.output import Output
from headspex.errors import UsageError, named_as_flags
from headspex.support.interrupt import record_sigint


class _Parser(argparse.ArgumentParser):
    """Prints one sentence instead of a usage block."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    # OpenMP threads wait by spinning for milliseconds. With other work on the same cores, that
    # makes two threads several times slower than one.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    # Figures go to files. A notebook that runs a command hands it a backend of the notebook's own,
    # which the command's environment may not have.
    os.environ["MPLBACKEND"] = "agg"
    output = Output(sys.stdout)
    code, kept = 1, None
    try:
        with record_sigint(), named_as_flags(), redirect_stdout(output):
            options = build_parser().parse_args(arguments)
            command = COMMANDS[options.command]
            code = command.module.run(options)
            kept = command.keeps(options)
    except UsageError as error:
        _say(str(error))
        code = 2
    except KeyboardInterrupt as stop:
        _say(stop.args[0] if stop.args else "stopped")
    except SystemExit:  # --help has printed everything
        output.flush()
        if not output.failure:
            raise
    output.flush()
    if output.failure:
        done = kept is not None and code == 0
        _say(
            f"standard output failed ({output.failure})"
            + (f", but the command is finished and everything is in {kept}" if done else
               "; send it where it can be written")
        )  # fmt: skip
    return code or int(bool(output.failure))


def _say(sentence: str) -> None:
    print(f"headspex: {sentence}", file=sys.stderr)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = _Parser(prog="headspex", description="Find the attention heads, alone and in "
                     "combination, that an ability of a language model depends on, and those "
                     "that can go.")  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND",
                                     parser_class=_Parser)  # fmt: skip
    for name, command in COMMANDS.items():
        command.module.arguments(commands.add_parser(name, help=command.does))
    return parser
