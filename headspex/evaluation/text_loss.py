"""The loss on a text unrelated to the task, to see what else pruning breaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from headspex.errors import UsageError
from headspex.hooks import LoadedModel, answer_log_probs
from headspex.hooks.forward import Prepared
from headspex.players import Players
from headspex.support.files import read_text
from headspex.tasks import EncodedQuestion
from headspex.tasks.vocabulary import check_tokens, vocabulary_of

WINDOW = 256  # tokens of a window, at most
MOST = 64  # windows, spread over the text


def text_windows(path: Path, tokenizer: Any, n_ctx: int) -> list[EncodedQuestion]:
    """Windows of a text, each as one long answer after its first token.

    Raises:
        UsageError: the file cannot be read, or is shorter than two tokens.
    """
    # verbose=False: a text longer than the model's context is expected; it is cut into pieces.
    tokens = tokenizer(read_text(path), verbose=False)["input_ids"]
    size = min(WINDOW, n_ctx)
    pieces = [tokens[start : start + size] for start in range(0, len(tokens), size)]
    pieces = [piece for piece in pieces if len(piece) > 1]
    if not pieces:
        raise UsageError(f"a text needs at least two tokens, but {path} has {len(tokens)}")
    chosen = np.unique(np.linspace(0, len(pieces) - 1, min(MOST, len(pieces))).astype(int))
    return [EncodedQuestion((pieces[i][0],), (tuple(pieces[i][1:]),)) for i in chosen]


def text_loss(
    model: LoadedModel,
    players: Players,
    windows: list[EncodedQuestion],
    masks: Bool[np.ndarray, "masks players"],
    **how: Any,
) -> Float[np.ndarray, "masks windows"]:
    """Nats per token of each window under each mask.

    Args:
        how: `ablation`, `fill` and `rescale`, as in `answer_log_probs`.

    Raises:
        UsageError: the text holds a token that the model has no embedding for.
    """
    vocabulary = vocabulary_of(model.bridge.original_model)
    for window in windows:
        tokens = window.context + window.continuations[0]
        check_tokens(tokens, model.tokenizer, vocabulary, "the text")
    prepared = Prepared(model, windows)
    lengths = np.array([len(window.continuations[0]) for window in windows])
    rows = []
    for mask in masks:
        grid, mlps = players.grid(mask), players.mlps(mask)
        rows.append(answer_log_probs(prepared, windows, grid, keep_mlps=mlps, **how)[:, 0])
    return np.asarray(-np.stack(rows) / lengths)
