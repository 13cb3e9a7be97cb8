"""Compare the tokens and logits of an exported folder with those of the model with hooks.

Both models compute in float64 from their stored weights, where rounding is negligible, so any
difference is an error. They get a long text, and a short one with positions spread over the whole
context, where a wrong scaling of rotary embeddings shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int

from headspex.errors import UsageError
from headspex.export.checkpoint import Removal
from headspex.hooks.ablation import ablated
from headspex.hooks.exact import can_be_exact, exactly
from headspex.hooks.loading import LoadedModel
from headspex.hooks.pretrained import read_config, read_tokenizer, read_weights
from headspex.hooks.sources import Source
from headspex.hooks.trust import TOLERANCE

LONG, SHORT = 1_024, 48  # random tokens
# Limits on the long text: floating-point operations, and logits in memory. An 8B model reads all of
# it in minutes, a 70B one a tenth.
WORK, LOGITS = 1.7e13, 2**27
# Share of the largest logit. Zeros change no other weight; only the order of sums differs.
EXACT = 1e-9
# Tokenizers differ in how they split digits, white space, capitals, accents and apostrophes.
TEXT = "I'm 12345 days\n\n  OLD, don't—Ω"

Logits = Float[torch.Tensor, "pos vocab"]


def hooked_logits(model: LoadedModel, removal: Removal) -> list[Logits]:
    """Logits of the whole model with hooks, on random tokens."""
    mean = removal.fill is not None
    with ablated(
        model.bridge,
        removal.heads,
        keep_mlps=removal.mlps,
        fill=removal.fill,
        ablation="mean" if mean else "zero",
        rescale=removal.rescale,
    ) as masked:
        return _asked(
            model.bridge.original_model, lambda tokens, at: masked(tokens, position_ids=at)
        )


def check_exported(
    model: Any, expected: Sequence[Logits], removal: Removal, dtype: torch.dtype
) -> float:
    """The largest difference of a logit, which must come from the rounding of weights alone.

    Args:
        model: the exported model, read back by transformers, in float32.
        expected: logits of the hooked model, in float32.
        removal: what was removed; means and rescaling change weights, which are then rounded.
        dtype: of the stored weights.

    Raises:
        UsageError: logits differ by more.
    """
    answers = _asked(model, lambda tokens, at: model(tokens, position_ids=at).logits)
    pairs = list(zip(answers, expected, strict=True))
    found = max(float((ours - theirs).abs().max()) for ours, theirs in pairs)
    largest = max(1.0, *(float(theirs.abs().max()) for theirs in expected))
    rounded = removal.rescale or removal.fill is not None or not can_be_exact(model)
    # Negated, so that NaN is refused too.
    if not found <= largest * (TOLERANCE[dtype] if rounded else EXACT):
        raise UsageError(
            f"the exported model must equal the hooked one, but logits differ by {found:.2g}; "
            "nothing was written: please report the model"
        )
    return found


def check_tokens(source: Source, folder: Path) -> None:
    """Refuse a folder whose tokenizer splits a text differently from the model's own.

    Raises:
        UsageError: the tokens differ.
    """
    exported = Source(str(folder), str(folder), None, on_hub=False)
    ours, theirs = (read_tokenizer(place)(TEXT)["input_ids"] for place in (source, exported))
    if ours != theirs:
        place = next(
            (n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
            min(len(ours), len(theirs)),
        )
        raise UsageError(
            f"the exported tokenizer must split text as {source.name} does, but token {place} of "
            f"{TEXT!r} differs; nothing was written: please report the model"
        )


def read_back(folder: Path, dtype: torch.dtype) -> Any:
    """The exported model, read by transformers; every weight must be known and used.

    Raises:
        UsageError: it cannot be read.
    """
    source = Source(str(folder), str(folder), None, on_hub=False)
    return read_weights(source, read_config(source), dtype)


def _asked(model: Any, answer: Any) -> list[Logits]:
    """The logits of both texts, in float64 if the device has it."""
    device, found = model.device, []
    for tokens, positions in texts(model.config, int(model.num_parameters())):
        given = tokens[None].to(device), positions[None].to(device)
        if can_be_exact(model):
            with exactly():
                logits = answer(*given)
        else:
            with torch.no_grad():
                logits = answer(*given)
        found.append(logits[0].cpu())
    return found


def texts(
    config: Any, parameters: int
) -> list[tuple[Int[torch.Tensor, " pos"], Int[torch.Tensor, " pos"]]]:
    """Tokens and positions of the long and the short text.

    Args:
        config: of the model.
        parameters: of the model; more parameters shorten the long text.
    """
    context, vocabulary = int(config.max_position_embeddings), int(config.vocab_size)
    affordable = int(min(WORK / (2 * parameters), LOGITS / vocabulary))
    short = min(SHORT, context)
    long = max(short, min(LONG, context, affordable))
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(vocabulary, (long + short,), generator=generator)
    spread = torch.linspace(0, context - 1, short, dtype=torch.float64).long()
    return [(tokens[:long], torch.arange(long)), (tokens[long:], spread)]
