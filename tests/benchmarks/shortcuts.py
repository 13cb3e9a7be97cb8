"""What each shortcut of the fit is worth: R² and CPU seconds with all of them, and without one.

    python tests/benchmarks/shortcuts.py [--seeds 2] [--first-seed 10]

Games are those of the table of fits in docs/benchmarks.md. A shortcut stays if leaving it out moves
an R² by more than .005 or the time by more than a third.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from games import GAMES

from headspex.engine.fit import fit_spectrum
from headspex.engine.sampling import draw_masks

METHODS = "headspex.engine.methods"
# Without which the fit is repeated: what is patched, and what stands in its place.
WITHOUT: dict[str, dict[str, object]] = {
    "(all of them)": {},
    "a sparse fit that is exact is taken": {f"{METHODS}.select.fits_exactly": lambda *_: False},
    "a method far behind drops out": {f"{METHODS}.cross_validation.HOPELESS": math.inf},
    "narrow folds where they promise more": {f"{METHODS}.select.PROMISING": math.inf},
    "three folds of many masks": {f"{METHODS}.cross_validation.FOLDS_OF_MANY": 5},
}
CELLS = {
    "hier64": (1, 4), "hier256": (1,), "sch64": (2, 4), "orand96": (1, 4), "acc96-p5": (1, 4),
    "acc96-p9": (1, 4), "rf30": (1, 4),
}  # fmt: skip


def cells(seeds: range) -> Iterator[tuple[str, Callable[[], tuple[float, float]]]]:
    """Each cell of the table with its fit, which returns R² on fresh masks and CPU seconds."""
    for name, alphas in CELLS.items():
        for alpha in alphas:

            def fit(name: str = name, alpha: float = alpha) -> tuple[float, float]:
                scores, seconds = [], 0.0
                for seed in seeds:
                    game = GAMES[name](seed)
                    n = game.n_players
                    masks = draw_masks(
                        round(alpha * n * math.log2(n)), n, keep=game.keep, seed=seed
                    )
                    fresh = np.random.default_rng(31_337 + seed).random((4000, n)) < game.keep
                    truth, values = game.function(fresh), game.function(masks)
                    begin = time.process_time()
                    spectrum = fit_spectrum(masks, values, keep=game.keep, seed=seed)
                    seconds += time.process_time() - begin
                    scores.append(spectrum.score(fresh, truth))
                return float(np.mean(scores)), seconds / len(seeds)

            yield f"{name} {alpha}", fit


def main() -> None:
    """Print a row for each shortcut: R² and seconds of each cell, and what it changes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=10)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    base: dict[str, tuple[float, float]] = {}
    for shortcut, patches in WITHOUT.items():
        with ExitStack() as stack:
            for target, value in patches.items():
                stack.enter_context(patch(target, value))
            found = {cell: fit() for cell, fit in cells(seeds)}
        base = base or found
        print(f"without: {shortcut}")
        for cell, (r2, seconds) in found.items():
            print(
                f"  {cell:<12}{r2:8.4f} ({r2 - base[cell][0]:+.4f}){seconds:8.2f} s "
                f"(x {seconds / base[cell][1]:.2f})",
                flush=True,
            )
        total = sum(seconds for _, seconds in found.values())
        print(f"  all cells: {total:.1f} s (x {total / sum(s for _, s in base.values()):.2f})")


if __name__ == "__main__":
    main()
