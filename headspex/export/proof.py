"""Does an exported folder do what the mask does? Its tokens and its logits against the model's.

Both models compute in float64 from what they store, where rounding is nothing: what differs is an
error. They are asked a long text, and a short one whose tokens stand far apart, up to the end of
the context, where rotations that are scaled show.
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
# Of the long text: at most so many multiplications and additions, and logits that are kept. An 8B
# model reads all of it in minutes, a 70B one a tenth.
WORK, LOGITS = 1.7e13, 2**27
# Share of the largest logit. Zeros change no other weight: only the order of sums is another.
EXACT = 1e-9
# What splits digits, blanks, capitals, accents and apostrophes is what tokenizers differ in.
TEXT = "I'm 12345 days\n\n  OLD, don't—Ω"

Logits = Float[torch.Tensor, "pos vocab"]


def hooked_logits(model: LoadedModel, removal: Removal) -> list[Logits]:
    """What the whole model says to random tokens with hooks in place of what is removed."""
    mean = removal.fill is not None
    with ablated(
        model.bridge, removal.heads, keep_mlps=removal.mlps, fill=removal.fill,
        ablation="mean" if mean else "zero", rescale=removal.rescale,
    ) as masked:  # fmt: skip
        return _asked(
            model.bridge.original_model, lambda tokens, at: masked(tokens, position_ids=at)
        )


def check_exported(
    model: Any, expected: Sequence[Logits], removal: Removal, dtype: torch.dtype
) -> float:
    """The largest difference of a logit; logits differ by the rounding of weights alone.

    Args:
        model: the exported one, read back by transformers, in float32.
        expected: of the hooked model, in float32.
        removal: what was taken out; where weights were changed by it, they were rounded.
        dtype: in which the weights are stored.

    Raises:
        UsageError: the two are different models.
    """
    answers = _asked(model, lambda tokens, at: model(tokens, position_ids=at).logits)
    pairs = list(zip(answers, expected, strict=True))
    found = max(float((ours - theirs).abs().max()) for ours, theirs in pairs)
    largest = max(1.0, *(float(theirs.abs().max()) for theirs in expected))
    rounded = removal.rescale or removal.fill is not None or not can_be_exact(model.device)
    # Written so that NaN is refused too.
    if not found <= largest * (TOLERANCE[dtype] if rounded else EXACT):
        raise UsageError(
            f"the exported model must answer as the hooked one, but logits differ by {found:.2g}; "
            "nothing was written: please report the model"
        )
    return found


def check_tokens(source: Source, folder: Path) -> None:
    """Refuse a folder whose tokenizer reads a text in another way than the model's own.

    Raises:
        UsageError: it does.
    """
    exported = Source(str(folder), str(folder), None, on_hub=False)
    ours, theirs = (read_tokenizer(each)(TEXT)["input_ids"] for each in (source, exported))
    if ours != theirs:
        place = next(
            (n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
            min(len(ours), len(theirs)),
        )
        raise UsageError(
            f"the exported folder must read text as {source.name} does, but token {place} of "
            f"{TEXT!r} is another one; nothing was written: please report the model"
        )


def read_back(folder: Path, dtype: torch.dtype) -> Any:
    """The model as a stranger reads it, with every weight known and used.

    Raises:
        UsageError: it cannot be read.
    """
    source = Source(str(folder), str(folder), None, on_hub=False)
    return read_weights(source, read_config(source), dtype)


def _asked(model: Any, answer: Any) -> list[Logits]:
    """The answers to both texts, in float64 where the device has it."""
    device, found = model.device, []
    for tokens, positions in texts(model.config, int(model.num_parameters())):
        given = tokens[None].to(device), positions[None].to(device)
        if can_be_exact(device):
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
    """Tokens of the long and the short text, and the positions at which they stand.

    Args:
        config: of the model.
        parameters: of it; the more there are, the shorter is the long text.
    """
    context, vocabulary = int(config.max_position_embeddings), int(config.vocab_size)
    payable = int(min(WORK / (2 * parameters), LOGITS / vocabulary))
    short = min(SHORT, context)
    long = max(short, min(LONG, context, payable))
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(vocabulary, (long + short,), generator=generator)
    spread = torch.linspace(0, context - 1, short, dtype=torch.float64).long()
    return [(tokens[:long], torch.arange(long)), (tokens[long:], spread)]
