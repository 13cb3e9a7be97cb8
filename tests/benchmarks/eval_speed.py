"""`headspex eval` against lm-eval's own run, on questions of MMLU: CPU seconds, side by side.

    OMP_NUM_THREADS=1 python tests/benchmarks/eval_speed.py MODEL --mmlu DATA --shots 5

MODEL is a folder or a GGUF file, DATA holds MMLU's CSV files. All score the same questions with one
thread, from weights that are in memory: lm-eval by its `hf` model as it comes (batch size 1),
headspex in lm-eval's order (batch size 1, equal to the last bit), and headspex by the fast path
(`--fast`), which is first compared with the bridge once, outside the clock. Rounds alternate;
printed are medians.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from reference_lm_eval import lm_eval_run, log_likelihoods, task_manager, write_mmlu

import headspex
from headspex.evaluation.evaluate import evaluation
from headspex.hooks import load_model
from headspex.hooks.stock import Stock


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--mmlu", type=Path, required=True, metavar="DATA")
    parser.add_argument("--subject", default="astronomy")
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--shots", type=int, default=5, help="answered questions before each")
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)
    from lm_eval.models.huggingface import HFLM

    task = f"mmlu_{wanted.subject}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_mmlu(folder, wanted.mmlu.resolve(), [wanted.subject], wanted.questions)
        study = headspex.Study(
            load_model(wanted.model, device="cpu", dtype="float32"), "mmlu",
            data_dir=str(folder / "cais/mmlu"), subjects=(wanted.subject,), shots=wanted.shots,
            threads=1,
        )  # fmt: skip
        plain = Stock(study.model.bridge.original_model, "sdpa").model
        lm = HFLM(plain, tokenizer=study.model.tokenizer, batch_size=1)
        questions = study.questions_of("test")

        def harness_run() -> Any:
            return lm_eval_run(folder, [task], lm, num_fewshot=wanted.shots, verbosity="ERROR")

        def harness() -> Any:
            return np.array(log_likelihoods(harness_run(), [task]))

        def own(batch_size: int | None) -> Any:
            return evaluation(study, questions, batch_size=batch_size).values

        # Compares the fast path with the bridge, once for all calls; and lm-eval lists its tasks.
        evaluation(study, questions[:2], batch_size=None)
        task_manager()
        ways: dict[str, Callable[[], Any]] = {
            "lm-eval": harness,
            "headspex eval": lambda: own(1),
            "headspex eval --fast": lambda: own(None),
        }
        _report(ways, wanted.rounds, len(questions), wanted.shots)


def _report(ways: dict[str, Callable[[], Any]], rounds: int, count: int, shots: int) -> None:
    found: dict[str, Any] = {}
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begin = time.process_time()
            found[name] = way()
            took[name].append(time.process_time() - begin)
    first, *_ = ways
    print(f"{count} questions of MMLU, {shots} shots, CPU seconds, median of {rounds}")
    for name, times in took.items():
        ratio = statistics.median(a / b for a, b in zip(took[first], times, strict=True))
        apart = np.abs(found[name] - found[first]).max()
        print(
            f"{name:<22}{statistics.median(times):>8.1f}  x{ratio:<6.2f} as fast, log-likelihoods "
            f"within {apart:.1e}"
        )


if __name__ == "__main__":
    main()
