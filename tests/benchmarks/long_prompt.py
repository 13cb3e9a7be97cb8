"""A prompt of a thousand words: time, memory, and whether planted pairs are found.

    python tests/benchmarks/long_prompt.py --budget 8000

The value is planted: 15 % of the words count on their own, and 40 pairs count together. A model
would take its time on top; what is measured is the engine.
"""

import argparse
import resource
import time
from typing import Any

import numpy as np

from headspex.engine.effects import strongest
from headspex.features import TextValue, cut, explain_text


class Planted:
    """Reads numbers from a text and adds up what they are worth."""

    tokenizer = None

    def __init__(self, n: int, pairs: int) -> None:
        rng = np.random.default_rng(0)
        self.slopes = rng.normal(size=n) * (rng.random(n) < 0.15)
        self.pairs = np.array([np.sort(rng.choice(n, 2, replace=False)) for _ in range(pairs)])
        self.weights = rng.normal(0, 1.5, pairs)

    def texts(self, texts: list[str]) -> np.ndarray:
        masks = np.zeros((len(texts), len(self.slopes)), dtype=bool)
        for row, text in enumerate(texts):
            masks[row, [int(word) for word in text.split()]] = True
        both = masks[:, self.pairs[:, 0]] & masks[:, self.pairs[:, 1]]
        return np.asarray(masks @ self.slopes + both @ self.weights)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--players", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--budget", type=int, default=8000)
    options = parser.parse_args()
    scorer: Any = Planted(options.players, options.pairs)
    value = TextValue(cut(" ".join(map(str, range(options.players)))), scorer)
    cpu, wall = time.process_time(), time.perf_counter()
    found = explain_text(value, budget=options.budget)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    top = strongest(found.search.spectrum, options.pairs, least_order=2)
    hits = {effect.players for effect in top} & {(int(a), int(b)) for a, b in scorer.pairs}
    print(f"{cpu:.0f} CPU s, {wall:.0f} s, {peak:.2f} GB; {found.search.spectrum}")
    print(f"planted pairs among the strongest {options.pairs}: {len(hits)}")
    print(found)


if __name__ == "__main__":
    main()
