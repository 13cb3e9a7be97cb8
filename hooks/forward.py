"""The log-likelihood of every answer for many (question, mask) pairs: the hot loop of a study."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headspex.errors import UsageError
from headspex.hooks.ablation import ablation_hooks, check_masks, check_options
from headspex.hooks.batching import Batch, plan
from headspex.hooks.fingerprint import plain_state
from headspex.hooks.llama import Llama, llama_weights, logits_at
from headspex.tasks.prompts import EncodedQuestion

BATCH_TOKENS_CPU = 4_096
BATCH_TOKENS_GPU = 65_536

PATHS = ("auto", "bridge", "fast")


@torch.no_grad()
def answer_log_probs(
    model: Any,
    encoded: Sequence[EncodedQuestion],
    keep_masks: Any = None,
    *,
    ablation: str = "zero",
    fill: Any = None,
    rescale: bool = False,
    batch_tokens: int | None = None,
    path: str = "auto",
    progress: Callable[[int], None] | None = None,
) -> Float[np.ndarray, "rows choices"]:
    """Log-likelihood in nats of each choice, one row per (question, mask) pair.

    Args:
        model: a LoadedModel or a TransformerBridge.
        encoded: one question per row; give the same object again to ask it under another mask,
            what the masks leave untouched is then computed once.
        keep_masks: bool [rows, n_layers, n_heads], or [n_layers, n_heads] for all rows, or None
            for the whole model. True = the head stays on.
        ablation, fill, rescale: as in `ablation_hooks`.
        batch_tokens: tokens (with padding) in one forward pass. The last bits of a result depend
            on which rows share a batch; the same call repeats exactly.
        path: "bridge" runs the bridge with hooks; "fast" an equal forward pass for Llama, equal to
            float rounding; "auto" the fast one where it applies and nobody's hooks would be missed.
        progress: called after every batch with the number of rows done.

    Returns:
        float64; questions with fewer choices than the largest have -inf at the end. The softmax
        is over the whole vocabulary, in the model's own type, as in lm-eval.

    Raises:
        UsageError: shapes or options that do not fit, or a "fast" path that does not apply.
    """
    bridge = getattr(model, "bridge", model)
    plain = bridge.original_model
    shape = (int(bridge.cfg.n_layers), int(bridge.cfg.n_heads), int(bridge.cfg.d_head))
    means = check_options(ablation, fill, rescale, shape)
    masks = None if keep_masks is None else _rows(keep_masks, len(encoded), shape)
    if batch_tokens is None:
        batch_tokens = BATCH_TOKENS_CPU if plain.device.type == "cpu" else BATCH_TOKENS_GPU
    if batch_tokens < 1:
        raise UsageError(f"batch_tokens must be 1 or more, but got {batch_tokens}")
    fast = _fast(bridge, path)
    work = plan(encoded, int(plain.config.max_position_embeddings))
    # Added up in the model's own type, as lm-eval adds the tokens of an answer.
    result = torch.zeros((len(encoded), work.n_choices), dtype=plain.dtype)
    passes_left = np.array([len(found) for found in work.of_row])
    for batch in work.batches(batch_tokens):
        keep = None if masks is None else masks[torch.from_numpy(batch.rows)].to(plain.device)
        if fast is not None:
            logits = _fast_logits(fast, batch, keep, means, rescale)
        else:
            hooks = [] if keep is None else ablation_hooks(
                bridge, keep, ablation=ablation, fill=fill, rescale=rescale
            )  # fmt: skip
            logits = _bridge_logits(bridge, batch, hooks)
        _add(result, torch.log_softmax(logits, dim=-1).cpu(), batch)
        np.subtract.at(passes_left, batch.rows, 1)  # a row may stand in a batch twice
        if progress is not None:
            progress(int((passes_left == 0).sum()))
    for row, question in enumerate(encoded):
        result[row, len(question.continuations) :] = -torch.inf
    return result.double().numpy()


def _rows(keep_masks: Any, rows: int, shape: tuple[int, int, int]) -> Tensor:
    masks = check_masks(keep_masks, *shape[:2])
    if len(masks) not in (1, rows):
        raise UsageError(
            f"keep_masks hold {len(masks)} masks for {rows} questions; "
            "give one mask for all, or one per question"
        )
    return masks.expand(rows, -1, -1)


def _fast(bridge: Any, path: str) -> Llama | None:
    if path not in PATHS:
        raise UsageError(f"no path {path!r}; known: {', '.join(PATHS)}")
    if path == "bridge":
        return None
    hooked = any(point.fwd_hooks for point in bridge.hook_dict.values())
    # Compatibility mode folds norms into the weights: the bridge alone knows how.
    folded = bool(getattr(bridge, "compatibility_mode", False))
    plain = bridge.original_model
    llama = None if hooked or folded else llama_weights(plain, plain_state(plain))
    if path == "fast" and llama is None:
        raise UsageError(
            f"the fast path is for Llama models without hooks of their own, but this is "
            f"{type(plain).__name__}{' with hooks' if hooked else ''}; use path='auto'"
        )
    return llama


def _fast_logits(
    llama: Llama, batch: Batch, keep: Tensor | None, means: Tensor | None, rescale: bool
) -> Tensor:
    tokens, inputs, positions = _tensors(batch, llama.embedding.device)
    return logits_at(llama, tokens, inputs, positions, keep, means, rescale)


def _bridge_logits(bridge: Any, batch: Batch, hooks: list[tuple[str, Any]]) -> Tensor:
    tokens, inputs, positions = _tensors(batch, bridge.original_model.device)

    def only_wanted(x: Tensor, hook: Any) -> Tensor:
        return x.gather(1, positions[..., None].expand(-1, -1, x.shape[-1]))

    # The vocabulary is large: unembed nothing but the positions that are read.
    hooks = [*hooks, ("unembed.hook_in", only_wanted)]
    # Padding stands on the right, where no real token sees it: nothing is masked but the future.
    logits: Tensor = bridge.run_with_hooks(tokens[inputs], fwd_hooks=hooks)
    return logits


def _tensors(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    tokens, inputs, positions = (
        torch.from_numpy(array).to(device)
        for array in (batch.tokens, batch.inputs, batch.positions)
    )
    return tokens, inputs, positions


def _add(result: Tensor, log_probs: Tensor, batch: Batch) -> None:
    place, column, token, choice = torch.from_numpy(batch.reads).T
    rows = torch.from_numpy(batch.rows)[place]
    result.index_put_((rows, choice), log_probs[place, column, token], accumulate=True)
