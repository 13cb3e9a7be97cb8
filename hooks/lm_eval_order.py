"""Scoring in lm-eval's order and batches, with full logits.

Equal to lm-eval 0.4.13 as it comes, to the last bit on the same weights, and slower than
`headspex.hooks.forward`. A model that somebody hooked, or that lies in several places, runs on its
bridge with eager attention.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from headspex.errors import UsageError, argument
from headspex.hooks.ablation import ablation_hooks
from headspex.hooks.masked import hooked_copy, is_in_one_place
from headspex.tasks.prompts import EncodedQuestion


@torch.no_grad()
def harness_log_probs(
    model: Any,
    encoded: Sequence[EncodedQuestion],
    keep_mask: Any = None,
    *,
    batch_size: int = 1,
    progress: Callable[[int], object] = lambda answers: None,
    **ablation: Any,
) -> Float[np.ndarray, "rows choices"]:
    """Log-likelihood in nats of each choice of each question, as lm-eval computes it.

    Args:
        model: a LoadedModel or a TransformerBridge.
        encoded: the questions.
        keep_mask: bool [n_layers, n_heads], one mask for all; None for all heads.
        batch_size: inputs per forward pass, lm-eval's `--batch_size`; the last bits of scores
            depend on it.
        progress: called after every input with the number of its answers.
        ablation: further arguments of `headspex.hooks.ablated`.

    Returns:
        As `answer_log_probs`.

    Raises:
        UsageError: as `ablated`; a batch size below 1; an answer longer than the context.
    """
    if batch_size < 1:
        raise UsageError(f"{argument('batch_size')} must be at least 1, but is {batch_size}")
    if ablation.get("ablation", "zero") not in ("zero", "mean") or any(one.kl for one in encoded):
        raise UsageError(
            "resample ablation, means per position and KL divergences are not of lm-eval; score "
            "with answer_log_probs, in headspex eval with --fast"
        )
    bridge = getattr(model, "bridge", model)
    device = bridge.original_model.device
    n_ctx = int(bridge.original_model.config.max_position_embeddings)
    width = max((question.width for question in encoded), default=0)
    result = np.full((len(encoded), width), -np.inf)
    inputs = _in_order(encoded)
    with _logits_of(bridge, keep_mask, ablation) as logits_of:
        for start in range(0, len(inputs), batch_size):
            batch = inputs[start : start + batch_size]
            tokens = pad_sequence([torch.tensor(one.tokens[-n_ctx:]) for one in batch], True)
            for one, logits in zip(batch, logits_of(tokens.to(device)), strict=True):
                end = min(len(one.tokens), n_ctx)
                for answer in one.answers:
                    if len(answer.tokens) > end:
                        raise UsageError(
                            f"an answer of {len(answer.tokens)} tokens is longer than the model's "
                            f"context of {n_ctx}; shorten it"
                        )
                    own = torch.log_softmax(logits[end - len(answer.tokens) : end], dim=-1)
                    targets = torch.tensor(answer.tokens, device=own.device)
                    value = own.gather(1, targets[:, None]).sum()
                    result[answer.row, answer.choice] = float(value)
                    if answer.greedy_in is not None:
                        missed = (own.argmax(dim=-1) != targets).sum()
                        result[answer.row, answer.greedy_in] = int(missed)
                progress(len(one.answers))
    return result


@contextmanager
def _logits_of(
    bridge: Any, keep_mask: Any, ablation: Mapping[str, Any]
) -> Iterator[Callable[[Tensor], Tensor]]:
    """The model under a mask: as transformers runs it, or on the bridge where that is needed."""
    hooks = ablation_hooks(bridge, keep_mask, **ablation)
    if not is_in_one_place(bridge):
        with bridge.hooks(fwd_hooks=hooks):
            yield bridge
        return
    model = hooked_copy(bridge, hooks)

    def logits(tokens: Tensor) -> Tensor:
        found: Tensor = model(tokens, use_cache=False).logits
        return found

    yield logits


@dataclass(frozen=True)
class _Answer:
    """The scored tokens of a continuation, and where its numbers go in the result."""

    row: int
    choice: int
    tokens: tuple[int, ...]
    greedy_in: int | None  # column for the number of tokens that greedy decoding misses


@dataclass(frozen=True)
class _Input:
    """An input before truncation, and the answers read from it."""

    tokens: tuple[int, ...]
    answers: tuple[_Answer, ...]


def _in_order(encoded: Sequence[EncodedQuestion]) -> list[_Input]:
    """Inputs in lm-eval's order: the longest first, ties by all tokens, including the last one.

    Continuations that differ only in their last token share an input, also across questions.
    """
    groups: dict[tuple[int, ...], list[_Answer]] = {}
    for row, question in enumerate(encoded):
        total = len(question.continuations)
        answers = zip(question.continuations, question.counted, strict=True)
        for choice, (continuation, counted) in enumerate(answers):
            greedy_in = total + choice if question.greedy else None
            groups.setdefault((question.context + continuation)[:-1], []).append(
                _Answer(row, choice, continuation[-counted:], greedy_in)
            )

    def place(one: _Input) -> tuple[int, tuple[int, ...]]:
        longest = max(one.answers, key=lambda answer: len(answer.tokens))
        return -len(one.tokens), (*one.tokens, longest.tokens[-1])

    return sorted((_Input(key, tuple(found)) for key, found in groups.items()), key=place)
