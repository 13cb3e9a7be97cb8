"""Runs headspex again and again in processes that are killed; a helper of test_survival.

Importing takes longer than a small run, so a run is a fork of a process that has imported
everything. It reads one JSON object a line: {"words": [...], "log": file, "after": seconds | null,
"at": n | null} runs `headspex WORDS` and kills it after so many seconds, or where it writes its
n-th file or block. It answers with the exit status, negative for a signal. The log gets a line for
every block that is begun and for every one that is kept.
"""

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets  # noqa: F401
import matplotlib.backends.backend_svg  # noqa: F401
import numpy as np
import sklearn.linear_model  # noqa: F401
import torch
import transformer_lens.model_bridge  # noqa: F401
import transformers.models.llama.modeling_llama  # noqa: F401
import xgboost  # noqa: F401

import headspex.runs.finished_run  # noqa: F401
from headspex.cli import prune
from headspex.cli.main import main
from headspex.scores import evaluate
from headspex.scores.block import Block
from headspex.scores.judge import Judge
from headspex.scores.store import ScoreStore

BLOCK = 128  # small, so that there are many


def run(order: dict[str, Any]) -> int:
    """One fork; returns its exit status."""
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(os.open(order["log"] + ".err", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        note(Path(order["log"]))
        _die_at(order["at"])
        os._exit(main(order["words"]))
    if order["after"] is not None:
        watch = os.pidfd_open(child)
        if not select.select([watch], [], [], order["after"])[0]:
            os.kill(child, order.get("by", signal.SIGKILL))
        os.close(watch)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def note(log: Path) -> None:
    """Write down what is measured and what is kept."""
    vars(evaluate)["BLOCK"] = BLOCK
    measure, add = Judge.__call__, ScoreStore.add

    def line(word: str, block: Block) -> None:
        with log.open("a") as file:
            file.write(f"{word} {block.key.hex()}\n")

    def noted_call(self: Judge, masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        line("begun", Block(masks, questions))
        return measure(self, masks, questions)

    def noted_add(self: ScoreStore, block: Block, log_probs: np.ndarray) -> None:
        add(self, block, log_probs)
        line("kept", block)

    def untold(*_: object, **__: object) -> None:
        """No estimate: the blocks that it times are nobody's."""

    vars(prune)["print_costs_at_start"] = untold
    Judge.__call__ = noted_call  # type: ignore[method-assign]
    ScoreStore.add = noted_add  # type: ignore[method-assign]


def _die_at(number: int | None) -> None:
    """Be killed before and after every rename and every block that is stored, the n-th of them."""
    if number is None:
        return
    left = number

    def mortal(act: Callable[..., Any]) -> Callable[..., Any]:
        def acted(*words: Any, **options: Any) -> Any:
            nonlocal left
            for step in (lambda: None, lambda: act(*words, **options)):
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
                found = step()
            return found

        return acted

    for owner, name in ((Path, "replace"), (ScoreStore, "add")):
        setattr(owner, name, mortal(getattr(owner, name)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in sys.stdin:
        wanted = json.loads(line)
        begin = time.perf_counter()
        status = run(wanted)
        print(json.dumps({"status": status, "seconds": time.perf_counter() - begin}), flush=True)
