"""Runs that are killed, extended, watched and told again: the files are always the same."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_files import files_of, scores_of, slopes_of

from headspex.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
# The least budget that has a pilot is 6,144.
QUICK = ["--budget", "6400", "--verify-budget", "2640", "--threads", "1", "--metric", "logprob"]
KILLS = 30


def _words(model: Path, out: Path, *more: str) -> list[str]:
    return ["prune", "--model", str(model), "--out", str(out), *QUICK, *more]


class Mortal:
    """Runs of headspex that are killed; see tests/mortal.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("mortal.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false"},
        )  # fmt: skip

    def run(self, words: list[str], **order: Any) -> dict[str, Any]:
        """Run until the end, for `after` seconds, or up to the `at`-th thing that is written."""
        assert self._process.stdin
        assert self._process.stdout
        wanted = {"words": words, "log": f"{words[4]}.log", "after": None, "at": None, **order}
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def mortal() -> Iterator[Mortal]:
    process = Mortal()
    yield process
    process.close()


@pytest.fixture(scope="module")
def undisturbed(
    mortal: Mortal, model_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """A run that nothing happened to, and its seconds."""
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    found = mortal.run(_words(model_folder, out))
    assert found["status"] == 0, Path(f"{out}.log.err").read_text()
    return out, found["seconds"]


def check_rows(run: Path, kills: int) -> int:
    """At most the block in flight was lost by each kill; returns how many were."""
    lines = Path(f"{run}.log").read_text().split("\n")
    begun = Counter(line.split()[1] for line in lines if line.startswith("begun"))
    kept = Counter(line.split()[1] for line in lines if line.startswith("kept"))
    # A block that was kept a moment before the kill may lack its line, but not its row.
    assert set(begun) == {key.hex() for key in scores_of(run)}
    assert max(kept.values()) == 1
    lost = sum(begun.values()) - len(begun)
    assert lost <= kills
    return lost


@pytest.mark.slow
def test_thirty_kills_at_random_moments_change_no_file_and_cost_a_block_each(
    mortal: Mortal, undisturbed: Any, model_folder: Path, tmp_path: Path
) -> None:
    whole, seconds = undisturbed
    rng = np.random.default_rng(0)
    kills = runs = lost = 0
    while kills < KILLS:
        out, own = tmp_path / f"run-{runs}", 0
        runs += 1
        while True:
            # The first moments of a run are many: it starts at every resumption.
            after = seconds * float(rng.beta(1, 1.5))
            if kills == KILLS:
                after = 600.0
            status = mortal.run(_words(model_folder, out), after=after)["status"]
            if status == 0:
                break
            assert status == -signal.SIGKILL, Path(f"{out}.log.err").read_text()
            kills, own = kills + 1, own + 1
        assert files_of(out) == files_of(whole), runs
        assert scores_of(out) == scores_of(whole)
        lost += check_rows(out, own)
    print(f"{kills} kills of {runs} runs, {lost} blocks measured again")


@pytest.mark.slow
def test_kills_while_slopes_are_taken_change_no_file(
    mortal: Mortal, model_folder: Path, story: Path, tmp_path: Path
) -> None:
    (tmp_path / "short.txt").write_text(story.read_text()[:30_000])
    words = ["--task", f"text:{tmp_path / 'short.txt'}", "--budget", "400", "--metric", "logprob"]
    whole, out = tmp_path / "whole", tmp_path / "run"
    assert mortal.run(_words(model_folder, whole, *words))["status"] == 0
    assert len(slopes_of(whole)) > 0
    for at in range(0, 10_000, 5):
        found = mortal.run(_words(model_folder, out, *words), at=at)
        if found["status"] == 0:
            break
        assert found["status"] == -signal.SIGKILL, Path(f"{out}.log.err").read_text()
    assert at > 20
    assert files_of(out) == files_of(whole)
    assert scores_of(out) == scores_of(whole)


@pytest.mark.slow
def test_kills_before_and_after_every_write_change_no_file(
    mortal: Mortal, undisturbed: Any, model_folder: Path, tmp_path: Path
) -> None:
    """Each attempt dies three steps later than the last one; later ones find most blocks stored."""
    whole, _ = undisturbed
    out, kills = tmp_path / "run", 0
    for at in range(0, 10_000, 3):
        found = mortal.run(_words(model_folder, out), at=at)
        if found["status"] == 0:
            break
        assert found["status"] == -signal.SIGKILL, Path(f"{out}.log.err").read_text()
        kills += 1
    assert kills > 15
    assert files_of(out) == files_of(whole)
    assert scores_of(out) == scores_of(whole)
    check_rows(out, kills)


@pytest.mark.slow
def test_real_processes_that_are_killed_while_they_start_leave_nothing_in_the_way(
    model_folder: Path, tmp_path: Path
) -> None:
    code = "import sys, headspex.cli.main as c; sys.exit(c.main(sys.argv[1:]))"

    def real(out: Path, seconds: float | None) -> int:
        words = _words(model_folder, out)
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words], cwd=ROOT,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    # Not those of `mortal`, whose blocks are smaller: other batches round differently.
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert real(whole, None) == 0
    for seconds in (0.2, 1.5, 4.0, 6.0, None):
        last = real(killed, seconds)
    assert last == 0
    assert files_of(killed) == files_of(whole)


@pytest.mark.slow
def test_a_larger_budget_extends_a_run_and_gives_what_one_run_gives(
    mortal: Mortal, undisturbed: Any, model_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    small = ["--budget", "6150"]
    assert mortal.run(_words(model_folder, out, *small))["status"] == 0
    before = Path(f"{out}.log").read_text().count("kept")
    assert mortal.run(_words(model_folder, out))["status"] == 0
    added = Path(f"{out}.log").read_text().count("kept") - before
    assert files_of(out) == files_of(undisturbed[0])
    assert set(scores_of(undisturbed[0])) <= set(scores_of(out))
    assert added < before
    assert mortal.run(_words(model_folder, out, *small))["status"] == 2
    assert "a run's budget can only grow" in Path(f"{out}.log.err").read_text()


@pytest.mark.slow
def test_a_finished_run_is_told_again_from_its_files_and_a_lost_file_is_made_anew(
    undisturbed: Any, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    import shutil

    out = tmp_path / "run"
    shutil.copytree(undisturbed[0], out)
    monkeypatch.setattr("headspex.scores.evaluate.BLOCK", 128)

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("what is stored was measured again")

    monkeypatch.setattr("headspex.scores.judge.measure", refuse)
    with monkeypatch.context() as patch:
        patch.setattr("headspex.runs.run.find", refuse)
        assert main(_words(model_folder, out)) == 0
    told = capsys.readouterr().out
    (out / "curve.csv").unlink()
    (out / "interactions.csv").write_text("changed")
    assert main(_words(model_folder, out)) == 0
    found = capsys.readouterr()
    assert "curve.csv" in found.err
    assert "interactions.csv" in found.err
    assert found.out == told
    assert files_of(out) == files_of(undisturbed[0])


@pytest.mark.slow
def test_a_damaged_block_of_a_finished_run_is_measured_again_and_gives_the_same_files(
    mortal: Mortal, undisturbed: Any, model_folder: Path, tmp_path: Path
) -> None:
    import shutil
    import sqlite3

    out = tmp_path / "run"
    shutil.copytree(undisturbed[0], out)
    with closing(sqlite3.connect(out / "scores.sqlite")) as database, database:
        for rowid in (1, 7, 20):
            query = f"select log_probs from blocks where rowid = {rowid}"
            (old,) = database.execute(query).fetchone()
            new = old[:-2] + bytes([old[-2] ^ 64, old[-1]])
            database.execute(f"update blocks set log_probs = ? where rowid = {rowid}", [new])
    (out / "report.html").unlink()
    assert mortal.run(_words(model_folder, out))["status"] == 0
    assert "3 of its blocks fail their checksums" in Path(f"{out}.log.err").read_text()
    (out / "scores.damaged-1").unlink()
    assert files_of(out) == files_of(undisturbed[0])
    # Those of the pilot at other keeps are not asked again: the choice it led to is recorded.
    assert scores_of(out).items() <= scores_of(undisturbed[0]).items()
