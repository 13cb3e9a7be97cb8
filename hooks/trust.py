"""Whether the fast path may stand in for the bridge: what it refuses, and a comparison of both."""

import sys
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from headspex.hooks.ablation import Ablation
from headspex.hooks.batching import Work, plan_work
from headspex.hooks.budget import Budget, Path, scores
from headspex.hooks.inputs import Inputs
from headspex.hooks.llama import refusal
from headspex.seeds import stream

# Largest difference of a log-probability, in nats. In float32, 8 of 30,000 pairs of the shipped
# model differed by more than 1e-4 and none by more than 4e-4, as the bridge does from float64. In
# half precision both paths round at every step: by up to 0.03 (float16) and 0.2 (bfloat16).
TOLERANCE = {torch.float32: 1e-3, torch.float16: 1e-1, torch.bfloat16: 5e-1}

_compared: WeakKeyDictionary[Any, float] = WeakKeyDictionary()


def objection(bridge: Any) -> str | None:
    """Why a bridge needs to be run itself; None where a Llama's arithmetic applies to it."""
    if getattr(bridge, "compatibility_mode", False):
        return "its weights are folded (compatibility mode)"
    return refusal(bridge.original_model)


def difference(bridge: Any, fast: Path, plain: Path, inputs: Inputs, budget: Budget) -> float:
    """Largest difference of a log-probability between both paths, in nats; once per bridge.

    Two short questions are asked under masks of heads and MLPs of all layers and of the upper half.
    """
    if bridge not in _compared:
        work = _sample(inputs, int(bridge.cfg.n_layers), int(bridge.cfg.n_heads))
        found, expected = (
            scores(path, work, Ablation(), budget, dtype=torch.float32) for path in (fast, plain)
        )
        _compared[bridge] = float((found - expected).abs().max())
    return _compared[bridge]


def _sample(inputs: Inputs, layers: int, heads: int) -> Work:
    def length(question: int) -> int:
        return max(len(inputs.passes[index].tokens) for index in inputs.of_question[question])

    short = sorted(range(len(inputs.of_question)), key=lambda n: (length(n), n))[:2]
    keep = stream(0, "trust").random((2, layers, heads + 1)) < 0.5
    keep[1, : layers // 2] = True
    return plan_work(inputs, [n for _ in keep for n in short], np.repeat(keep, len(short), axis=0))


@cache
def say_once(sentence: str) -> None:
    """Tell on standard error, the first time only."""
    print(f"headspex: {sentence}", file=sys.stderr)
