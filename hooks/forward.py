"""Log-likelihoods of answers for many (question, mask) pairs: the hot loop of a study."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from headspex.errors import UsageError
from headspex.hooks.ablation import Ablation, check_ablation
from headspex.hooks.batching import plan_work
from headspex.hooks.decoder import Decoder
from headspex.hooks.fast import FastPath
from headspex.hooks.inputs import plan_inputs
from headspex.hooks.plain import PlainPath, has_hooks
from headspex.hooks.switches import check_switches
from headspex.hooks.token_budget import Path, TokenBudget, scores, tokens_of
from headspex.hooks.trust import say_slower, trusted_decoder
from headspex.tasks.prompts import EncodedQuestion

PATHS = ("auto", "bridge", "fast")


class Prepared:
    """A model with all the questions it will be asked; `answer_log_probs` takes it as its model.

    Calls share a cache of what no mask changes, so the weights must not change between them.

    Args:
        model: a LoadedModel or a TransformerBridge.
        encoded: the questions; calls pass these objects, in any order and number.
        batch_tokens: tokens (with padding) in one forward pass; halved for good when memory runs
            out. The last bits of a result depend on which rows share a batch; the same call
            repeats exactly.
        path: "bridge" runs the bridge with hooks; "fast" runs the model's own layers with
            masks, equal up to float rounding; "auto" takes the fast one if it applies, agrees with
            the bridge on a few masks, and would skip no hooks of others. If not, the reason is
            printed once on standard error.
    """

    def __init__(
        self,
        model: Any,
        encoded: Sequence[EncodedQuestion],
        *,
        batch_tokens: int | None = None,
        path: str = "auto",
    ) -> None:
        self.bridge = getattr(model, "bridge", model)
        plain = self.bridge.original_model
        if path not in PATHS:
            raise UsageError(f"no path {path!r}; known: {', '.join(PATHS)}")
        if batch_tokens is None:
            batch_tokens = tokens_of(plain.device)
        if batch_tokens < 1:
            raise UsageError(f"batch_tokens must be 1 or more, but got {batch_tokens}")
        # By identity: hashing hundreds of token ids for each of many thousand rows would cost more.
        # The objects are kept, so no other object gets their id.
        self._questions = {id(question): question for question in encoded}
        self._number = {key: number for number, key in enumerate(self._questions)}
        self._inputs = plan_inputs(
            list(self._questions.values()), int(plain.config.max_position_embeddings)
        )
        self._path, self._budget = path, TokenBudget(batch_tokens)
        self._plain = PlainPath(self.bridge, self._inputs)

    def log_probs(
        self,
        encoded: Sequence[EncodedQuestion],
        masks: torch.Tensor,
        ablation: Ablation,
        progress: Callable[[int], None] | None,
    ) -> Float[np.ndarray, "rows choices"]:
        """See `answer_log_probs`; `masks` is bool [rows, n_layers, n_heads + 1], MLPs last.

        Raises:
            UsageError: a question is not one of those prepared, or the "fast" path does not apply.
        """
        for row, question in enumerate(encoded):
            if id(question) not in self._number:
                raise UsageError(
                    f"row {row} asks a question that was not prepared; pass the objects that "
                    "Prepared was made with"
                )
        if not encoded:
            return np.zeros((0, self._inputs.n_choices))
        asked = [self._number[id(question)] for question in encoded]
        work = plan_work(self._inputs, asked, masks.cpu().numpy())
        result = scores(
            self._chosen(), work, ablation, self._budget, dtype=torch.float32, progress=progress
        )
        places = [self._inputs.places_of(number) for number in asked]
        # lm-eval adds the tokens of an answer like this: in float32, then rounded.
        rounded = result.to(self.bridge.original_model.dtype).double()
        for row, question in enumerate(encoded):
            if not question.rounded:
                rounded[row] = result[row]
            if question.kl:
                rounded[row, question.width - 1] = result[row, question.width - 1] / places[row]
            rounded[row, question.width :] = -torch.inf
        return rounded.numpy()

    @property
    def decoder(self) -> Decoder | None:
        """The model in parts, where it replaces the bridge."""
        path = self._chosen()
        return path.decoder if isinstance(path, FastPath) else None

    def _chosen(self) -> Path:
        if self._path == "bridge":
            return self._plain
        fast, reason = (None, "it has hooks already") if has_hooks(self.bridge) else self._fast
        if fast is not None:
            return fast
        if self._path == "fast":
            raise UsageError(
                f"the fast path does not apply to this model: {reason}; use path='auto'"
            )
        say_slower(reason)
        return self._plain

    @cached_property
    def _fast(self) -> tuple[FastPath | None, str]:
        """The fast path, or None and the reason why it does not apply."""
        tokens = self._budget.batch_tokens
        decoder, reason = trusted_decoder(self.bridge, self._inputs, tokens)
        return (None if decoder is None else FastPath(decoder, self._inputs, tokens)), reason


@torch.no_grad()
def answer_log_probs(
    model: Any,
    encoded: Sequence[EncodedQuestion],
    keep_masks: Any = None,
    *,
    keep_mlps: Any = None,
    ablation: str = "zero",
    fill: Any = None,
    rescale: bool = False,
    batch_tokens: int | None = None,
    path: str = "auto",
    progress: Callable[[int], None] | None = None,
) -> Float[np.ndarray, "rows choices"]:
    """Log-likelihood in nats of each choice, one row per (question, mask) pair.

    Args:
        model: a LoadedModel or a TransformerBridge; or `Prepared` for several calls, with its own
            `batch_tokens` and `path`.
        encoded: one question per row; pass the same object again to ask it under another mask, so
            that layers below the masks are computed once.
        keep_masks: bool [rows, n_layers, n_heads], or [n_layers, n_heads] for all rows, or None
            for all heads. True = the head stays on.
        keep_mlps: bool [rows, n_layers], or [n_layers] for all rows, or None for all MLPs.
        ablation, fill, rescale: as in `ablation_hooks`.
        batch_tokens, path: as in `Prepared`.
        progress: called after every batch with the number of rows done.

    Returns:
        float64; rows of questions with fewer choices end in -inf. The softmax is over the whole
        vocabulary, in the model's own dtype, as in lm-eval.

    Raises:
        UsageError: shapes or options that do not fit, a "fast" path that does not apply, or a
            prompt too long for the memory.
    """
    prepared: Prepared = (
        model
        if isinstance(model, Prepared)
        else Prepared(model, encoded, batch_tokens=batch_tokens, path=path)
    )
    masks = check_switches(prepared.bridge, keep_masks, keep_mlps)
    how = check_ablation(prepared.bridge, masks, ablation, fill, rescale, encoded)
    if len(masks) not in (1, len(encoded)):
        raise UsageError(
            f"keep_masks hold {len(masks)} masks for {len(encoded)} questions; "
            "give one mask for all, or one per question"
        )
    return prepared.log_probs(encoded, masks.expand(len(encoded), -1, -1), how, progress)
