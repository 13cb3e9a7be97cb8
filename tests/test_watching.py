"""Looks at a search, ends before its budget, Ctrl-C, and `headspex status`."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_plans import made_plan

from headspex.budget.allocation import Allocation
from headspex.budget.sample import draw_sample
from headspex.cli.main import main
from headspex.errors import UsageError
from headspex.runs.lock import holder, locked
from headspex.runs.stopping import steps
from headspex.scores.block import BLOCK
from headspex.tasks import load_task

ROOT = Path(__file__).resolve().parents[1]
QUICK = ["--budget", "400", "--verify-budget", "2940", "--threads", "1", "--metric", "logprob"]
PLAN = made_plan(40, 30, 30, 20, (2,), 10**6, n_watched=10, look_step=3_000)


def _words(model: Path, out: Path, *more: str) -> list[str]:
    return ["prune", "--model", str(model), "--out", str(out), *QUICK, *more]


def _results(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "run.json").read_text())
    return dict(content["results"])


def _files(run: Path) -> dict[str, bytes]:
    differing = ("timing.json", "scores.sqlite", "run.json", "report.html")
    paths = (path for path in run.rglob("*") if path.is_file() and path.name not in differing)
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in paths}


def test_looks_come_after_whole_blocks_and_see_whole_masks() -> None:
    sample = draw_sample(PLAN, Allocation(0.7, 3, 5_000, n_pilot=40), seed=0)
    assert sample.n_known == 40 * 8
    found = list(steps(sample, 3_000))
    for number, (masks, scored) in enumerate(found, 1):
        assert (scored - sample.n_known) % BLOCK == 0
        assert number * 3_000 <= scored < number * 3_000 + BLOCK
        assert sample.ends[masks - 1] <= scored < sample.ends[masks]
    assert len(found) == 4  # of 15,200 passes; the blocks of a fifth would be all
    assert found == list(steps(draw_sample(PLAN, Allocation(0.7, 3, 9_000, 40), seed=0), 3_000))[:4]


def test_masks_that_are_looked_at_are_neither_searched_nor_fresh() -> None:
    sample = draw_sample(replace(PLAN, n_players=10), Allocation(0.7, 3, 900), seed=0)
    rows = [row.tobytes() for row in [*sample.masks, *sample.watched, *sample.fresh]]
    assert len(sample.watched) == 10
    assert len(set(rows)) == len(rows) == 930


@pytest.mark.slow
def test_a_search_that_ends_early_is_that_of_a_smaller_budget_and_is_resumed_the_same(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("headspex.scores.evaluate.BLOCK", 64)
    monkeypatch.setattr("headspex.runs.stopping.BLOCK", 64)
    out, whole, killed = tmp_path / "run", tmp_path / "whole", tmp_path / "killed"
    looking = ["--look-every", "512", "--questions-per-mask", "12", "--keep", "0.6"]
    # A random model's masks differ little: so few questions that each mask is asked all of them.
    few = [
        {"question": q.question, "choices": list(q.choices), "answer": "ABCD"[q.answer]}
        for q in load_task("mini").test[::50]
    ]
    (tmp_path / "few.jsonl").write_text("".join(json.dumps(one) + "\n" for one in few))
    looking += [
        "--task",
        str(tmp_path / "few.jsonl"),
        "--verify-budget",
        "12000",
        "--budget",
        "2400",
        "--refine",
        "0",  # a walk may spend a share of the budget that was asked for
    ]
    assert main(_words(model_folder, whole, *looking)) == 0
    looks = _results(whole)["allocation"]["looks"]
    assert len(looks) == 3
    lows = {look["passes"]: look["low"] for look in looks}
    at = min(passes for passes, low in lows.items() if low > 0.05)
    assert at > 512
    ending = [*looking, "--stop-at-faithfulness", "0.05"]
    capsys.readouterr()
    assert main(_words(model_folder, out, *ending)) == 0
    results = _results(out)
    assert results["passes"] == at < _results(whole)["passes"]
    assert results["allocation"]["ended"]
    told = capsys.readouterr()
    assert f"the search ended early, after {at:,} passes" in told.out
    assert f"the search ended early, after {at:,} passes" in told.err

    smaller = ["--budget", str(at)]
    assert main(_words(model_folder, tmp_path / "small", *looking, *smaller)) == 0
    assert _files(tmp_path / "small") == _files(out)

    def stop(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("headspex.runs.run.find", stop)
        assert main(_words(model_folder, killed, *ending)) == 1
    assert main(_words(model_folder, killed, *ending)) == 0
    assert (killed / "run.json").read_bytes() == (out / "run.json").read_bytes()


@pytest.mark.slow
def test_a_finished_and_a_stopped_run_say_so(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "run"

    def stop(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("headspex.runs.findings.fit_spectrum", stop)
        assert main(_words(model_folder, out)) == 1
    said = capsys.readouterr().err
    assert "stopped; what was scored is kept, go on with: headspex prune --model" in said
    assert f"--out {out}" in said
    assert main(["status", str(out)]) == 0
    told = capsys.readouterr().out
    assert "stopped: fit the spectrum" in told
    assert "go" in told
    assert main(_words(model_folder, out)) == 0
    assert not (out / "status.json").exists()
    capsys.readouterr()
    assert main(["status", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["state"] == "finished"
    assert found["passes"] == found["passes_total"] == _results(out)["passes_total"]
    assert found["faithfulness"] == _results(out)["faithfulness"]
    assert main(["status", str(tmp_path / "nowhere")]) == 2
    assert "holds no run" in capsys.readouterr().err


def test_a_second_process_on_a_folder_is_refused_with_the_pid_and_host_of_the_first(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import socket

    out = tmp_path / "run"
    code = (
        "import sys, time, pathlib; from headspex.runs.lock import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(out)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout
    assert other.stdout.readline() == "held\n"
    who = f"process {other.pid} on {socket.gethostname()}"
    assert holder(out) == who
    assert main(_words(model_folder, out)) == 2
    assert f"is used by {who}; wait for it" in capsys.readouterr().err
    # Its lock file stays behind, and is no obstacle.
    other.kill()
    other.communicate()
    assert (out / ".lock").is_file()
    assert holder(out) is None
    with locked(out):
        assert holder(out) == f"process {os.getpid()} on {socket.gethostname()}"
        with pytest.raises(UsageError, match=f"process {os.getpid()} on"), locked(out):
            pass
    assert not (out / ".lock").exists()


def test_a_folder_that_cannot_be_made_is_refused(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="a run needs a writable folder"), locked(
        tmp_path / "file" / "run"
    ):  # fmt: skip
        pass


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EIO])
def test_a_file_system_without_locks_is_refused_and_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def flock(file: int, operation: int) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(fcntl, "flock", flock)
    said = rf"file system with locks, .* has none \({os.strerror(reason)}\); choose .* \(out\)"
    with pytest.raises(UsageError, match=said), locked(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".lock").write_text("{}")
    assert holder(tmp_path) is None


@pytest.mark.slow
def test_ctrl_c_keeps_the_batch_in_flight_and_says_how_to_go_on(
    model_folder: Path, tmp_path: Path
) -> None:
    """A real process and a real signal, while it scores."""
    out = tmp_path / "run"
    code = (
        "import sys, time, headspex.scores.judge as j, headspex.cli.main as c\n"
        "import headspex.cli.prune as p\n"
        "p.print_costs_at_start = lambda *_: None\n"
        "ask = j.measure\n"
        "def slow(*args, **options): time.sleep(1); print('measured', flush=True); "
        "return ask(*args, **options)\n"
        "j.measure = slow\n"
        "sys.exit(c.main(sys.argv[1:]))"
    )
    asking = ["--budget", "6000", "--questions-per-mask", "all", "--keep", "0.6"]
    words = _words(model_folder, out, *asking)
    from headspex.runs.status import status

    with subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        lines = [process.stdout.readline(), process.stdout.readline()]
        assert lines == ["measured\n"] * 2, process.communicate()
        time.sleep(0.5)  # in the third block
        watched = status(out)
        assert (watched.state, watched.held_by) == ("running", holder(out))
        assert watched.passes > 0
        process.send_signal(signal.SIGINT)
        told, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "stopping after this batch" in said
    assert "go on with: headspex prune" in said
    assert "Traceback" not in said
    from headspex.scores.store import ScoreStore

    with ScoreStore(out / "scores.sqlite") as store:
        assert len(store) == 2 + told.count("measured")
    assert status(out).state == "stopped"


def test_a_status_file_that_is_damaged_is_refused_in_a_sentence(tmp_path: Path) -> None:
    from headspex.runs.status import status

    (tmp_path / "run.json").write_text('{"format": "headspex.run/1", "identity": {}}')
    for text in ("{}", "[]", '{"format": "headspex.status/1", "passes": "many"}', "\x00"):
        (tmp_path / "status.json").write_text(text)
        with pytest.raises(UsageError):
            status(tmp_path)


def test_numbers_of_the_looks_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", "--stop-at-faithfulness", "1.5"]) == 2
    said = capsys.readouterr().err
    assert "--stop-at-faithfulness must be a number strictly between 0 and 1" in said
    assert main(["prune", "--look-every", "0"]) == 2
    assert "--look-every must be a whole number, 1 to" in capsys.readouterr().err


def test_bits_of_numpy_are_not_in_the_files_of_a_look() -> None:
    found = Allocation(0.5, 1, 10).to_dict()
    assert json.loads(json.dumps(found)) == found
    assert np.isfinite(found["keep"])
