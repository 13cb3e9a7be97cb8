"""The command line: parses, runs a command. Exit codes: 0 done, 2 the user's mistake."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from headspex.commands import COMMANDS
from headspex.errors import UsageError
from headspex.interrupt import noted


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
        with noted():
            options = build_parser().parse_args(arguments)
            return COMMANDS[options.command].module.run(options)
    except UsageError as error:
        print(f"headspex: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        said = stop.args[0] if stop.args else "stopped"
        print(f"headspex: {said}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read our output has heard enough (`headspex ... | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = _Parser(prog="headspex", description="Which attention heads, and combinations of "
                     "heads, an ability lives in - and which can go.")  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND",
                                     parser_class=_Parser)  # fmt: skip
    for name, command in COMMANDS.items():
        command.module.arguments(commands.add_parser(name, help=command.does))
    return parser
