"""Are planted interactions estimated at their size, and do their 95 % intervals cover them?

    python tests/benchmarks/planted_coverage.py [--runs 400] [--contest]

Planted games go the way of a run: questions are dealt to masks, scores become the values of masks
in `Sample.observed`, and `intervals` estimates pairs that were named beforehand. Scores are real
or right-or-wrong; questions differ far more than masks do. A row is a number of answers that each
question got; ratio is the estimate over what was planted, with its standard error.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from headspex.engine.methods.growth import grow

sys.path.insert(0, str(Path(__file__).parents[1]))
from planted_scores import one_run

ANSWERS = (2, 3, 5, 10, 30)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=400, help="of each cell")
    parser.add_argument("--masks", type=int, default=1_200)
    parser.add_argument("--contest", action="store_true",
                        help="cross-fit with the best of three methods, as a run does (slow), "
                        "and not with the sparse one alone")  # fmt: skip
    options = parser.parse_args()
    fit = None if options.contest else grow
    print(f"{'scores':<8}{'a mask':>7}{'a question':>12}{'ratio':>16}{'coverage':>10}")
    for binary in (False, True):
        for per_mask in (1, 4):
            for answers in ANSWERS:
                game = {
                    "binary": binary, "answers": answers, "per_mask": per_mask,
                    "n_masks": options.masks,
                }  # fmt: skip
                runs = [one_run(seed, fit, **game) for seed in range(options.runs)]
                ratios = np.array([ratio for ratio, _ in runs])
                error = ratios.std(ddof=1) / np.sqrt(len(ratios))
                covered = np.mean([hit for _, hits in runs for hit in hits])
                print(
                    f"{'0 or 1' if binary else 'real':<8}{per_mask:>7}{answers:>12}"
                    f"{ratios.mean():>10.3f} ±{error:.3f}{covered:>10.1%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
