"""A run of a million scores: seconds and memory to open, to go on, and to be told again.

`python tests/benchmarks/large_store.py DIR` makes one in DIR (the shipped model and task; the
scores are made up, as only their number counts), and prints what each step takes in a process of
its own. Going on ends before the fit, whose time is the engine's.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

WORDS = ["--budget", "1000000", "--questions-per-mask", "3", "--keep", "0.7"]


def made_up(masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
    """Log-probabilities of four choices that depend on mask and question."""
    rng = np.random.default_rng(0)
    weights, shift = rng.normal(size=masks.shape[1]), rng.normal(size=1_000)
    right = masks @ weights + 2 * shift[questions]
    noise = rng.normal(size=(len(masks), 4))
    noise[:, 0] += right
    return np.asarray(noise, dtype=np.float32)


def step(name: str, out: Path) -> None:
    """One step, here."""
    import headspex.scores.judge
    from headspex.budget.sample import draw_sample
    from headspex.cli.main import main
    from headspex.runs.findings import search_scores
    from headspex.runs.ray_pool import Pool
    from headspex.runs.run import allocation_of, open_run
    from headspex.scores.store import ScoreStore

    if name == "make":
        call = lambda judge, masks, questions: made_up(masks, questions)  # noqa: E731
        headspex.scores.judge.Judge.__call__ = call  # type: ignore[method-assign]
        main(["prune", "--out", str(out), *WORDS])
    elif name == "open and read all":
        with ScoreStore(out / "scores.sqlite") as store:
            rows = sum(len(scores) for _, scores in store.blocks())
        print(f"{rows:,} scores, {(out / 'scores.sqlite').stat().st_size / 2**20:.0f} MiB")
    elif name == "tell again":
        main(["prune", "--out", str(out), *WORDS])
    elif name == "go on":
        study = headspex.Study("tiny", "mini", budget=1_000_000, questions_per_mask=3, keep=0.7)
        with open_run(study, out, Pool()) as here:
            sample = draw_sample(study.plan, allocation_of(study, here), seed=0)
            data = sample.observed(search_scores(here.judge, sample, ["accuracy"])["accuracy"])
        print(f"{len(data):,} masks")


STEPS = ("make", "open and read all", "go on", "tell again")


def main() -> None:
    """All steps, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--step")
    options = parser.parse_args()
    if options.step:
        begin = time.perf_counter()
        step(options.step, options.out)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{options.step}: {time.perf_counter() - begin:.1f} s, {memory:.2f} GiB")
        return
    for name in STEPS:
        words = [sys.executable, __file__, str(options.out), "--step", name]
        found = subprocess.run(words, check=True, capture_output=True, text=True)
        print("\n".join(found.stdout.splitlines()[-2:] if name == STEPS[1] else
                        found.stdout.splitlines()[-1:]))  # fmt: skip


if __name__ == "__main__":
    main()
