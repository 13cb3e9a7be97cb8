"""Blocks measured by Ray actors: several GPUs, or several machines."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from headspex.errors import UsageError, argument
from headspex.hooks import Fill
from headspex.hooks.offload import leave_devices
from headspex.hooks.placement import DTYPES
from headspex.hooks.spread import gpus_to_hold
from headspex.scores.block import Block
from headspex.scores.store import ScoreStore
from headspex.setup import Setup
from headspex.support.identity import first_difference
from headspex.support.validation import whole
from headspex.units import counted

RESTARTS = 8  # of one worker; after more deaths than that, restarting will not help
CONNECT_SECONDS = 10
AT_ONCE = 2  # blocks queued at a worker, so that it never waits for the next


class Worker:
    """A model in a process of its own; stores no scores.

    Args:
        identity: of the run, as in run.json.
        fill: for mean ablation.
        max_memory: as in `Settings`, for the worker's own GPUs.
    """

    def __init__(
        self, identity: Mapping[str, Any], fill: Fill | None, max_memory: str | None = None
    ) -> None:
        self._setup, self._fill = Setup.of_run({**identity, "max_memory": max_memory}), fill
        self._store = ScoreStore(":memory:")
        self._judge = self._setup.judge(self._store, fill=fill)

    def close(self) -> None:
        """Close the database that the judge asks for; an actor's ends with its process."""
        self._store.close()

    def scored_by(self) -> dict[str, Any]:
        """Everything that decides its scores."""
        return self._setup.scored_by(self._fill)

    def measure(self, block: Block) -> Float[np.ndarray, "rows choices"]:
        """Scores of a block; they depend on the block alone, so any worker gives the same."""
        return np.asarray(self._judge(block.masks, block.questions), dtype=np.float32)

    def gradients(self, block: Block, metric: str) -> Float[np.ndarray, "rows players"]:
        """Gradients of a block of gates; see `Judge.gradients_of_bits`."""
        found = self._judge.gradients_of_bits(block.masks, block.questions, metric=metric)
        return np.asarray(found, dtype=np.float32)


class RayWorkers:
    """Measures blocks with actors; see `ray_workers`.

    Args:
        actors: see below.
        metric: whose gradients are measured; None: scores are.

    Attributes:
        actors: live ones.
    """

    def __init__(self, actors: list[Any], metric: str | None = None) -> None:
        self.actors, self._metric = actors, metric

    def gradients(self, metric: str) -> RayWorkers:
        """The same workers, measuring gradients of a metric."""
        return RayWorkers(self.actors, metric)

    def measure(
        self, blocks: Iterable[tuple[int, Block]]
    ) -> Iterator[tuple[int, Float[np.ndarray, "rows choices"]]]:
        """The scores of numbered blocks, in order of completion.

        Ray restarts a dead actor and resends its blocks. The blocks of an actor that dies for good
        go to the others.

        Raises:
            UsageError: no worker is left.
        """
        import ray

        waiting = iter(blocks)
        again: list[tuple[int, Block]] = []
        pending: dict[Any, tuple[int, Block, Any]] = {}

        def hand_out(actor: Any) -> None:
            order = again.pop() if again else next(waiting, None)
            if order is not None:
                pending[self._ordered(actor, order[1])] = (*order, actor)

        for _ in range(AT_ONCE):
            for actor in self.actors:
                hand_out(actor)
        while pending:
            (done,), _ = ray.wait(list(pending), num_returns=1)
            number, block, actor = pending.pop(done)
            try:
                scores = ray.get(done)
            except ray.exceptions.RayActorError as error:
                again.append((number, block))
                self._forget(actor, error)
                hand_out(self.actors[number % len(self.actors)])
                continue
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            if actor in self.actors:
                hand_out(actor)
            yield number, scores

    def _ordered(self, actor: Any, block: Block) -> Any:
        """The reference to a block's numbers, which the actor is asked for."""
        if self._metric is None:
            return actor.measure.remote(block)
        return actor.gradients.remote(block, self._metric)

    def _forget(self, actor: Any, error: Exception) -> None:
        if actor in self.actors:
            self.actors.remove(actor)
            print(
                f"headspex: a Ray worker died for good, {len(self.actors)} are left",
                file=sys.stderr,
            )
        if not self.actors:
            raise UsageError(
                f"the Ray workers died {RESTARTS + 1} times each ({error}); finished scores are "
                "kept: check Ray's logs and repeat the command"
            ) from error


@dataclass(frozen=True)
class Pool:
    """Where blocks are measured.

    Attributes:
        ray: "local" starts Ray on this machine, unreachable from others; any other address is
            that of a running cluster; None: without Ray, in this process.
        cpus_per_worker: without GPUs; torch's number of threads by default.
        gpus_per_worker: as few as hold the model by default.

    Raises:
        UsageError: an invalid size of a worker, or one without Ray.
    """

    ray: str | None = None
    cpus_per_worker: int | None = None
    gpus_per_worker: int | None = None

    def __post_init__(self) -> None:
        for name in ("cpus_per_worker", "gpus_per_worker"):
            if (count := getattr(self, name)) is None:
                continue
            whole(argument(name), count, 1)
            if self.ray is None:
                raise UsageError(
                    f"{argument(name)} needs Ray workers, but {argument('ray')} is not set; set "
                    f"{argument('ray')} to local or an address, or leave {argument(name)} out"
                )

    def size(self, setup: Setup) -> tuple[int, int]:
        """CPUs and GPUs of each worker.

        Raises:
            UsageError: GPUs for a setup that runs on CPUs.
        """
        model = setup.model
        if model.device == "cpu":
            if self.gpus_per_worker is not None:
                raise UsageError(
                    f"{argument('gpus_per_worker')} goes with a model on GPUs, but its device is "
                    f"cpu; leave it out, or set {argument('device')} to cuda"
                )
            return self.cpus_per_worker or setup.settings.threads, 0
        if self.gpus_per_worker is not None or len(model.devices) == 1:
            return 1, self.gpus_per_worker or 1
        plain = model.bridge.original_model
        return 1, gpus_to_hold(plain.config, DTYPES[model.dtype], model.load_in)


def count_workers(size: tuple[int, int], available: Mapping[str, float]) -> int:
    """How many workers of some CPUs and GPUs a cluster has room for."""
    cpus, gpus = size
    if gpus:  # a GPU's machine has a CPU for it
        return int(available.get("GPU", 0) // gpus)
    return int(available.get("CPU", 0) // cpus)


@contextmanager
def ray_workers(setup: Setup, fill: Fill | None, pool: Pool) -> Iterator[RayWorkers]:
    """As many workers as the cluster has room for.

    A model that is spread over this machine's GPUs leaves them first.

    Args:
        setup: loaded by the workers, by name.
        fill: for mean ablation.
        pool: with `ray`.

    Raises:
        UsageError: no Ray, no such cluster, too few resources for a worker, or workers that would
            score differently.
    """
    if not setup.by_name:
        raise UsageError(
            "Ray workers load model and task themselves, but one of them was given as an object; "
            "name them"
        )
    size = cpus, gpus = pool.size(setup)
    assert pool.ray is not None
    ray = _connected(pool.ray)
    try:
        available = ray.cluster_resources()
        count = count_workers(size, available)
        if count < 1:
            needs = counted(gpus, "GPU") if gpus else f"{cpus} CPUs"
            raise UsageError(
                f"a Ray worker takes {needs}, but {pool.ray} has {available.get('GPU', 0):.0f} "
                f"GPUs and {available.get('CPU', 0):.0f} CPUs; set {argument('device')}, "
                f"{argument('gpus_per_worker')} or {argument('cpus_per_worker')}"
            )
        if len(setup.model.devices) > 1:
            leave_devices(setup.model.bridge.original_model)
        remote = ray.remote(
            num_cpus=cpus, num_gpus=gpus, max_restarts=RESTARTS, max_task_retries=RESTARTS
        )(Worker)
        limits = setup.settings.max_memory
        actors = [remote.remote(setup.identity, fill, limits) for _ in range(count)]
        for scored_by in ray.get([actor.scored_by.remote() for actor in actors]):
            difference = first_difference(scored_by, setup.scored_by(fill))
            if difference is not None:
                raise UsageError(
                    f"all workers must score alike, but one differs ({difference}); set up its "
                    "machine like this one"
                )
        each = f" of {counted(gpus, 'GPU')} each" if gpus > 1 else ""
        print(f"headspex: {count} Ray workers{each}", file=sys.stderr)
        yield RayWorkers(actors)
    except ray.exceptions.RayActorError as error:
        raise UsageError(f"a Ray worker could not start: {error}") from error
    finally:
        ray.shutdown()


def _connected(address: str) -> Any:
    """The Ray module, connected to `address`."""
    # By default Ray reports usage statistics, and on a single machine listens to the network.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == "local":
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            f"{argument('ray')} needs Ray, which is not installed; pip install 'headspex[ray]'"
        ) from error
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if address == "local":
        quiet["include_dashboard"] = False
    try:
        _check_there(address)
        ray.init(address=address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{argument('ray')} must be local or the address of a running cluster, but {address!r} "
            f"failed: {error}"
        ) from error
    if address == "local" and (own := ray.util.get_node_ip_address()) != "127.0.0.1":
        print(f"headspex: Ray listens on {own}, where other machines may reach it", file=sys.stderr)
    return ray


def _check_there(address: str) -> None:
    """Raise OSError if the address does not answer; Ray would retry for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
