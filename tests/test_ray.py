"""Ray workers give the bytes of one process, also when one of them is killed."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from run_files import files_of, scores_of

from headspex.cli.main import main
from headspex.errors import UsageError
from headspex.runs.ray_pool import Pool, Worker, count_workers
from headspex.scores.block import SLOPE_BLOCK, SLOPE_PASSES, Block
from headspex.scores.store import ScoreStore
from headspex.setup import Setup

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
        done += self._metric is None  # gradients are kept elsewhere
        if done == kill_at and self._metric is None:
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
        (["--ray", "127.0.0.1:1024"], "--ray must be local or the address of a running cluster"),
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
        (["--gpus-per-worker", "2"], "--gpus-per-worker needs Ray workers, but --ray is not set"),
        (["--ray", "local", "--gpus-per-worker", "0"], "a whole number, 1 or more, but is 0"),
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


def _setup(device: str, *others: str) -> Any:
    model = SimpleNamespace(
        device=device,
        devices=(device, *others),
        dtype="bfloat16",
        load_in=None,
        bridge=SimpleNamespace(original_model=_Configured()),
    )
    return SimpleNamespace(model=model, settings=SimpleNamespace(threads=3))  # fmt: skip


class _Configured:
    config = None


@pytest.mark.parametrize(
    ("pool", "setup", "size"),
    [
        (Pool("local"), _setup("cpu"), (3, 0)),
        (Pool("local", cpus_per_worker=2), _setup("cpu"), (2, 0)),
        (Pool("local"), _setup("cuda:0"), (1, 1)),
        (Pool("local", gpus_per_worker=2), _setup("cuda:0"), (1, 2)),
        (Pool("local"), _setup("cuda:0", "cuda:1", "cuda:2", "cuda:3"), (1, 2)),
        (Pool("local", gpus_per_worker=4), _setup("cuda:0", "cuda:1"), (1, 4)),
    ],
)
def test_a_worker_takes_the_gpus_that_it_is_given_or_as_few_as_hold_the_model(
    pool: Pool, setup: Any, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headspex.runs.ray_pool.gpus_to_hold", lambda *_: 2)
    assert pool.size(setup) == size


def test_gpus_for_a_model_on_the_cpu_are_refused() -> None:
    with pytest.raises(UsageError, match="gpus_per_worker goes with a model on GPUs"):
        Pool("local", gpus_per_worker=1).size(_setup("cpu"))


def test_there_are_as_many_workers_as_fit() -> None:
    machine = {"CPU": 9.0, "GPU": 8.0}
    sizes = [(1, 1), (1, 3), (1, 8), (1, 9), (2, 0), (10, 0)]
    assert [count_workers(size, machine) for size in sizes] == [8, 2, 1, 0, 4, 0]
    assert count_workers((1, 1), {"CPU": 4.0}) == 0


class _Two:
    """Two workers in this process, the last block first."""

    def __init__(self, workers: list[Worker], metric: str = "") -> None:
        self.workers, self.metric, self.done = workers, metric, [0, 0]

    def gradients(self, metric: str) -> "_Two":
        self.metric = metric
        return self

    def measure(self, blocks: Iterable[tuple[int, Block]]) -> Iterator[tuple[int, Any]]:
        for number, block in reversed(list(blocks)):
            self.done[number % 2] += len(block)
            yield number, self.workers[number % 2].gradients(block, self.metric)


def test_gradients_are_divided_among_workers_and_equal_those_of_one_process(
    model_folder: Path,
) -> None:
    setup = Setup(
        str(model_folder), "mini", budget=400, verify_budget=2640, threads=1, device="cpu"
    )
    rng = np.random.default_rng(0)
    levels = rng.integers(256, size=(70, len(setup.players)), dtype=np.uint8)
    questions = rng.integers(setup.plan.n_search, size=70)
    found = []
    with ExitStack() as stack:
        two = _Two([stack.enter_context(closing(Worker(setup.identity, None))) for _ in range(2)])
        for workers in (None, two):
            scores, slopes = (stack.enter_context(ScoreStore(":memory:")) for _ in range(2))
            judge = setup.judge(scores, workers=workers)
            told: list[int] = []
            found.append(
                judge.stored_gradients(
                    levels, questions, metric="logprob", store=slopes, progress=told.append
                )
            )
            assert sum(told) == SLOPE_PASSES * 70
    assert np.abs(found[0]).max() > 0.01
    np.testing.assert_array_equal(found[0], found[1])
    assert two.done == [SLOPE_BLOCK + 70 - 2 * SLOPE_BLOCK, SLOPE_BLOCK]
