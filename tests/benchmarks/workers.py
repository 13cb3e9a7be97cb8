"""How much faster two Ray workers score than one: `python tests/benchmarks/workers.py`.

The shipped model and task, one thread a worker; blocks of the default size, after each worker has
scored some, so that nothing is counted but scoring.
"""

import argparse
import time

import numpy as np

import headspex
from headspex.engine.sampling import draw_masks
from headspex.runs.ray_pool import Pool, RayWorkers, ray_workers
from headspex.scores.evaluate import Passes
from headspex.scores.spread import assign_questions


def main() -> None:
    """Print passes a second with one worker, two, ..., all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=24)
    options = parser.parse_args()
    study = headspex.Study("tiny", "mini", threads=1)
    n_masks = options.blocks * 1_024 // 3
    masks = draw_masks(n_masks, len(study.players), keep=0.7, seed=0)
    rng = np.random.default_rng(0)
    asked = assign_questions(n_masks, study.plan.n_search, 3, rng=rng)
    passes = Passes.of_each(masks, asked)
    orders = [(number, passes[number]) for number in range(len(passes) - 1)]
    with ray_workers(study, None, Pool("local", cpus_per_worker=1)) as workers:
        list(workers.measure(orders[: 4 * len(workers.actors)]))
        alone = None
        for count in range(1, len(workers.actors) + 1):
            begin = time.perf_counter()
            done = list(RayWorkers(workers.actors[:count]).measure(orders))
            rate = sum(len(scores) for _, scores in done) / (time.perf_counter() - begin)
            alone = alone or rate
            print(f"{count} workers: {rate:,.0f} passes a second, {rate / alone:.2f} of one worker")


if __name__ == "__main__":
    main()
