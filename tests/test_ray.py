"""Ray workers give the bytes of one process, also when one of them is killed."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from run_files import files_of, scores_of

from headspex.cli.main import main
from headspex.errors import UsageError

ROOT = Path(__file__).resolve().parents[1]
with_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed"
)
QUICK = ["--budget", "6400", "--verify-budget", "2640", "--threads", "1", "--metric", "logprob"]

# Runs `headspex WORDS` in blocks of 128 rows, and kills a worker when so many blocks are done;
# Ray starts it again so many times.
DRIVER = """
import os, signal, sys
import headspex.scores.evaluate
import headspex.runs.ray_pool as pool
from headspex.cli.main import main

kill_at, pool.RESTARTS = map(int, sys.argv[1:3])
headspex.scores.evaluate.BLOCK = 128
measure, done = pool.RayWorkers.measure, 0

def mortal(self, blocks):
    global done
    import ray

    for found in measure(self, blocks):
        done += 1
        if done == kill_at:
            pid = ray.get(self.actors[0].__ray_call__.remote(lambda worker: os.getpid()))
            os.kill(pid, signal.SIGKILL)
            print("killed", pid, file=sys.stderr)
        yield found

pool.RayWorkers.measure = mortal
status = main(sys.argv[3:])
print("measured", done, file=sys.stderr)
sys.exit(status)
"""


def _drive(
    kill_at: int, words: list[str], *, restarts: int = 8
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", DRIVER, str(kill_at), str(restarts), *words], cwd=ROOT, text=True,
        capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=600,
    )  # fmt: skip


@pytest.fixture(scope="module")
def in_process(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without Ray."""
    out = tmp_path_factory.mktemp("runs") / "run"
    found = _drive(0, ["prune", "--model", str(model_folder), "--out", str(out), *QUICK])
    assert found.returncode == 0, found.stderr
    return out


@pytest.mark.slow
@with_ray
@pytest.mark.parametrize(("kill_at", "restarts"), [(0, 8), (7, 8), (7, 0)])
def test_two_workers_give_the_bytes_of_one_process(
    in_process: Path, model_folder: Path, tmp_path: Path, kill_at: int, restarts: int
) -> None:
    out = tmp_path / "run"
    words = ["prune", "--model", str(model_folder), "--out", str(out), *QUICK, "--ray", "local"]
    found = _drive(kill_at, words, restarts=restarts)
    assert found.returncode == 0, found.stderr
    assert ("died for good, 1 are left" in found.stderr) == (restarts == 0)
    assert "2 Ray workers" in found.stderr
    assert ("killed" in found.stderr) == (kill_at > 0)
    assert files_of(out) == files_of(in_process)
    assert scores_of(out) == scores_of(in_process)
    # Every block once: nothing that was done is lost with a worker.
    assert f"measured {len(scores_of(out))}" in found.stderr


@pytest.mark.slow
@with_ray
def test_means_of_heads_reach_the_workers(model_folder: Path, tmp_path: Path) -> None:
    words = ["prune", "--model", str(model_folder), *QUICK, "--ablation", "mean", "--budget", "400"]
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    assert _drive(0, [*words, "--out", str(alone)]).returncode == 0
    found = _drive(0, [*words, "--out", str(shared), "--ray", "local", "--cpus-per-worker", "2"])
    assert found.returncode == 0, found.stderr
    assert "1 Ray workers" in found.stderr
    assert files_of(shared) == files_of(alone)


@pytest.mark.slow
@with_ray
def test_a_cluster_that_is_not_there_and_a_worker_that_is_too_large_are_refused_in_a_sentence(
    model_folder: Path, tmp_path: Path
) -> None:
    words = ["prune", "--model", str(model_folder), *QUICK, "--out", str(tmp_path / "run")]
    for more, sentence in (
        (["--ray", "127.0.0.1:1024"], "--ray is local or the address of a running cluster"),
        (["--ray", "local", "--cpus-per-worker", "5000"], "a Ray worker takes 5000 CPUs, but"),
    ):
        found = _drive(0, [*words, *more])
        assert found.returncode == 2, found.stderr
        assert sentence in found.stderr
        assert "Traceback" not in found.stderr


@pytest.mark.slow
@with_ray
def test_local_ray_listens_to_this_machine_alone() -> None:
    code = (
        "from headspex.runs.ray_pool import _connected\n"
        "import pathlib, psutil\n"
        "ray = _connected('local')\n"
        "own = psutil.Process()\n"
        "for one in [own, *own.children(recursive=True)]:\n"
        "    for c in one.net_connections('tcp'):\n"
        "        if c.status == 'LISTEN': print(c.laddr.ip)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, timeout=300
    )
    assert found.returncode == 0, found.stderr
    places = set(found.stdout.split())
    assert places
    assert places <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_a_model_given_as_an_object_cannot_go_to_workers(
    model_folder: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import headspex

    study = headspex.Study(
        AutoModelForCausalLM.from_pretrained(model_folder, attn_implementation="eager"), "mini",
        tokenizer=AutoTokenizer.from_pretrained(model_folder), budget=400, verify_budget=2640,
    )  # fmt: skip
    with pytest.raises(UsageError, match="given as an object; name them"):
        study.run(tmp_path / "run", ray="local")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--cpus-per-worker", "2"], "but --ray is not set"),
        (["--ray", "local", "--cpus-per-worker", "0"], "a whole number, 1 or more, but is 0"),
    ],
)
@pytest.mark.parametrize("command", ["prune", "score"])
def test_a_size_of_workers_without_workers_and_of_none_is_refused(
    command: str, flags: list[str], sentence: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main([command, *flags, "--out", str(tmp_path / "run")]) == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
