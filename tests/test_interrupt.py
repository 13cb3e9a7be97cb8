"""Ctrl-C is not lost, whatever swallows it, and what is said of it is true."""

import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from headspex.cli.main import main

PRESS = signal.SIGINT


@pytest.fixture(autouse=True)
def _listening() -> Iterator[None]:
    """A shell lets its background jobs ignore Ctrl-C, and these tests may be in one."""
    before = signal.signal(PRESS, signal.default_int_handler)
    yield
    signal.signal(PRESS, before)


class Deaf:
    """Python tells of what is raised in `__del__`, and goes on."""

    def __del__(self) -> None:
        signal.raise_signal(PRESS)


def pressed_in_del(*args: object) -> None:
    Deaf()


def pressed_in_a_callback(*args: object) -> None:
    with suppress(KeyboardInterrupt):
        signal.raise_signal(PRESS)


def _fast_after_a_press(*args: object) -> float:
    pressed_in_a_callback()
    return 1e-12


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("swallow", [pressed_in_del, pressed_in_a_callback])
def test_a_press_that_was_swallowed_ends_the_run_before_its_folder_is_claimed(
    swallow: Any, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    before = signal.getsignal(PRESS)
    monkeypatch.setattr("headspex.runs.run.try_out", swallow)
    out = tmp_path / "run"
    assert main(["prune", "--model", str(model_folder), "--out", str(out)]) == 1
    said = capsys.readouterr().err
    assert "headspex: stopped before anything was scored" in said
    assert "go on with" not in said
    assert not out.exists()
    assert signal.getsignal(PRESS) is before


def test_a_press_that_was_swallowed_after_that_ends_the_run_before_it_scores(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("it scored")

    monkeypatch.setattr("headspex.estimates.estimate.estimate_at_start", lambda *_, **__: None)
    monkeypatch.setattr("headspex.runs.run.say_what_is_cut", pressed_in_a_callback)
    monkeypatch.setattr("headspex.scores.judge.measure", refuse)
    out = tmp_path / "run"
    assert main(["prune", "--model", str(model_folder), "--out", str(out)]) == 1
    assert "headspex: stopped; what was scored is kept, go on with: " in capsys.readouterr().err


def test_a_press_that_was_swallowed_ends_an_estimate(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("headspex.estimates.estimate.product_seconds", _fast_after_a_press)
    out = tmp_path / "run"
    assert main(["prune", "--model", str(model_folder), "--out", str(out)]) == 1
    assert "headspex: stopped before anything was scored" in capsys.readouterr().err
    assert not out.exists()


def test_eval_heeds_it_too_and_the_next_command_does_not(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["eval", "--model", str(model_folder), "--limit", "2"]
    with monkeypatch.context() as patch:
        patch.setattr("headspex.evaluation.evaluate.say_what_is_cut", pressed_in_a_callback)
        assert main(words) == 1
    assert capsys.readouterr().err == "headspex: stopped\n"
    assert main(words) == 0


def test_a_signal_that_is_ignored_stays_ignored_and_other_threads_have_none() -> None:
    before = signal.signal(PRESS, signal.SIG_IGN)
    try:
        assert main(["models"]) == 0
        assert signal.getsignal(PRESS) is signal.SIG_IGN
    finally:
        signal.signal(PRESS, before)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(["models"])))
    thread.start()
    thread.join()
    assert codes == [0]
