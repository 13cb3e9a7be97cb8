"""Standard output that is full, closed, or knows few letters: the work is done all the same."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest

from headspex.cli.main import main
from headspex.cli.output import Output

ROOT = Path(__file__).resolve().parents[1]
DATA = ["data", "--players", "6", "--budget", "64"]


def _full() -> TextIO:
    return open("/dev/full", "w", encoding="utf-8")


def _unread() -> TextIO:
    reading, writing = os.pipe()
    os.close(reading)
    return open(writing, "w", encoding="utf-8")


STREAMS: dict[str, Callable[[], TextIO | None]] = {
    "No space left on device": _full,
    "Broken pipe": _unread,
    "it is closed": lambda: None,
}


@pytest.mark.parametrize("reason", STREAMS)
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_finished_command_that_nobody_could_hear_says_so_and_where_its_results_are(
    reason: str, more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    stream = STREAMS[reason]()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        assert main([*DATA, "--out", str(tmp_path / "out"), *more]) == 1
    if stream is not None:
        stream.close()  # what failed is not tried again
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"headspex: standard output failed ({reason}), but the command is finished and everything "
        f"is in {tmp_path / 'out'}"
    )
    assert (tmp_path / "out" / "spectrum.json").is_file()


@pytest.mark.parametrize("words", [["models"], ["tasks", "--json"], ["--help"], ["eval", "--help"]])
def test_a_command_that_only_tells_says_that_nobody_heard(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with _full() as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        assert main(words) == 1
    assert capsys.readouterr().err == (
        "headspex: standard output failed (No space left on device); send it where it can be "
        "written\n"
    )


def test_a_refused_command_keeps_its_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with _full() as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        assert main(["eval", "--limit", "0"]) == 2
    assert "--limit must be at least 1" in capsys.readouterr().err


def test_python_itself_says_no_more_at_its_end() -> None:
    command = "import sys; from headspex.cli.main import main; sys.exit(main(['models']))"
    with _full() as stream:
        done = subprocess.run(
            [sys.executable, "-c", command], cwd=ROOT, stdout=stream, stderr=subprocess.PIPE,
            text=True, timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


def test_letters_that_an_encoding_lacks_are_question_marks() -> None:
    bytes_ = io.BytesIO()
    output = Output(io.TextIOWrapper(bytes_, encoding="ascii", newline="\n"))
    print("R² of L0H1", file=output, flush=True)
    assert bytes_.getvalue() == b"R? of L0H1\n"
    assert output.failure == ""
