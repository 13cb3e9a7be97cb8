"""Blocks measured by Ray actors: several GPUs, or several machines."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import Float

from headspex.errors import UsageError, argument
from headspex.hooks import Fill
from headspex.scores.block import Block
from headspex.scores.store import ScoreStore
from headspex.setup import Setup
from headspex.support.identity import first_difference
from headspex.support.validation import whole

RESTARTS = 8  # of one worker; after more deaths than that, restarting will not help
CONNECT_SECONDS = 10
AT_ONCE = 2  # blocks queued at a worker, so that it never waits for the next


class Worker:
    """A model in a process of its own; stores no scores.

    Args:
        identity: of the run, as in run.json.
        fill: for mean ablation.
    """

    def __init__(self, identity: Mapping[str, Any], fill: Fill | None) -> None:
        self._setup, self._fill = Setup.of_run(identity), fill
        self._judge = self._setup.judge(ScoreStore(":memory:"), fill=fill)

    def scored_by(self) -> dict[str, Any]:
        """Everything that decides its scores."""
        return self._setup.scored_by(self._fill)

    def measure(self, block: Block) -> Float[np.ndarray, "rows choices"]:
        """Scores of a block; they depend on the block alone, so any worker gives the same."""
        return np.asarray(self._judge(block.masks, block.questions), dtype=np.float32)


class RayWorkers:
    """Measures blocks with actors; see `ray_workers`.

    Attributes:
        actors: live ones.
    """

    def __init__(self, actors: list[Any]) -> None:
        self.actors = actors

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
                pending[actor.measure.remote(order[1])] = (*order, actor)

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


def check_workers(ray: str | None, cpus_per_worker: int | None) -> None:
    """Refuse an invalid number of CPUs, or one without Ray.

    Raises:
        UsageError: see above.
    """
    if cpus_per_worker is None:
        return
    whole(argument("cpus_per_worker"), cpus_per_worker, 1)
    if ray is None:
        raise UsageError(
            f"{argument('cpus_per_worker')} needs Ray workers, but {argument('ray')} is not set; "
            f"set {argument('ray')} to local or an address, or leave "
            f"{argument('cpus_per_worker')} out"
        )


@contextmanager
def ray_workers(
    setup: Setup, fill: Fill | None, *, address: str, cpus_per_worker: int | None
) -> Iterator[RayWorkers]:
    """One worker per GPU if the setup runs on GPUs, else one per `cpus_per_worker` CPUs.

    Args:
        setup: loaded by the workers, by name.
        fill: for mean ablation.
        address: "local" starts Ray on this machine, unreachable from others; any other address is
            that of a running cluster.
        cpus_per_worker: torch's number of threads by default.

    Raises:
        UsageError: no Ray, no such cluster, too few resources for a worker, or workers that would
            score differently.
    """
    if not setup.by_name:
        raise UsageError(
            "Ray workers load model and task themselves, but one of them was given as an object; "
            "name them"
        )
    ray = _connected(address)
    try:
        on_gpu = setup.model.device != "cpu"
        cpus = setup.settings.threads if cpus_per_worker is None else cpus_per_worker
        available = ray.cluster_resources()
        n_gpus, n_cpus = available.get("GPU", 0), available.get("CPU", 0)
        count = int(n_gpus) if on_gpu else int(n_cpus // cpus)
        if count < 1:
            needs = "a GPU" if on_gpu else f"{cpus} CPUs"
            raise UsageError(
                f"a Ray worker takes {needs}, but {address} has {n_gpus:.0f} GPUs and "
                f"{n_cpus:.0f} CPUs; set {argument('device')} or {argument('cpus_per_worker')}"
            )
        remote = ray.remote(
            num_cpus=1 if on_gpu else cpus,
            num_gpus=1 if on_gpu else 0,
            max_restarts=RESTARTS,
            max_task_retries=RESTARTS,
        )(Worker)
        actors = [remote.remote(setup.identity, fill) for _ in range(count)]
        for scored_by in ray.get([actor.scored_by.remote() for actor in actors]):
            difference = first_difference(scored_by, setup.scored_by(fill))
            if difference is not None:
                raise UsageError(
                    f"all workers must score alike, but one differs ({difference}); set up its "
                    "machine like this one"
                )
        print(f"headspex: {count} Ray workers", file=sys.stderr)
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
