"""Errors speak of what the reader typed."""

import pytest

from headspex.cli.main import main
from headspex.errors import UsageError, argument
from headspex.settings import Settings


def test_python_is_told_of_arguments_and_the_command_line_of_flags(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(UsageError, match=r"^verify_budget must be a whole number"):
        Settings(verify_budget=-1)
    assert main(["prune", "--verify-budget", "-1"]) == 2
    assert capsys.readouterr().err.startswith("headspex: --verify-budget must be a whole number")
    assert argument("subjects") == "subjects"
