"""Tokens per second of models, measured in turn so that a busy machine slows all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

PROMPT, NEW = 256, 16  # tokens read at once, and then generated one by one
LARGE = 1e9  # parameters; for smaller models many rounds cost little
REPEATS, REPEATS_LARGE = 20, 3  # the fastest round counts: other work can only slow one down


@dataclass(frozen=True)
class Speed:
    """Tokens per second of one sequence: reading a prompt, and generating after it."""

    prefill: float
    decode: float


@torch.no_grad()
def speeds(models: Sequence[Any]) -> list[Speed]:
    """The speed of each of these transformers models, measured in turn, round by round.

    Args:
        models: on one device; all read the same random tokens, within the shortest context.
    """
    large = max(model.num_parameters() for model in models) > LARGE
    repeats = REPEATS_LARGE if large else REPEATS
    best = [(float("inf"), float("inf"))] * len(models)
    context = min(int(model.config.max_position_embeddings) for model in models)
    length = min(PROMPT, context - NEW)
    vocabulary = min(int(model.config.vocab_size) for model in models)
    tokens = torch.randint(vocabulary, (1, length), generator=torch.Generator().manual_seed(0))
    for _ in range(repeats + 1):  # the first round warms up
        for number, model in enumerate(models):
            found = _timed(model, tokens.to(model.device))
            best[number] = min(best[number][0], found[0]), min(best[number][1], found[1])
    return [Speed(length / prefill, NEW / decode) for prefill, decode in best]


def _timed(model: Any, tokens: torch.Tensor) -> tuple[float, float]:
    """Seconds of reading the tokens, and of generating `NEW` more."""
    cache: list[Any] = []

    def read() -> None:
        cache.append(model(tokens, use_cache=True, logits_to_keep=1).past_key_values)

    def write() -> None:
        for _ in range(NEW):
            model(tokens[:, -1:], past_key_values=cache[0], use_cache=True)

    return _seconds(read, tokens.device), _seconds(write, tokens.device)


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    begin = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin
