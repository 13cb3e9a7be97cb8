"""Loading a sequence classifier with transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headspex.errors import UsageError, argument
from headspex.settings import AUTO


def load_classifier(
    model: str, *, revision: str | None = None, device: str = AUTO, dtype: str = AUTO
) -> tuple[Any, Any]:
    """A classifier in eval mode without gradients, and its tokenizer.

    Args:
        model: a folder or a Hub name; weights are read from safetensors only.
        revision, device, dtype: as in `headspex.hooks.load_model`.

    Raises:
        UsageError: it cannot be loaded, or its classification head is not in the files.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    from headspex.hooks.placement import DTYPES, check_dtype, choose_device, choose_dtype
    from headspex.hooks.sources import TINY

    if model == TINY:
        raise UsageError(
            f"a class needs a sequence classifier, but {TINY} is a language model; name another "
            f"{argument('model')}, or explain an answer"
        )
    device = choose_device(device)
    if dtype != AUTO:
        check_dtype(dtype)
    folder = Path(model).expanduser()
    name = str(folder) if folder.is_dir() else model
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
        config = AutoConfig.from_pretrained(name, revision=revision)
        loaded, report = AutoModelForSequenceClassification.from_pretrained(
            name,
            revision=revision,
            dtype=DTYPES[choose_dtype(dtype, device, config)],
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UsageError(
            f"{model!r} cannot be loaded as a sequence classifier ({first}); name its folder, or "
            "check the Hub name and the network"
        ) from error
    # transformers would silently fill these with random numbers.
    if missing := sorted(report["missing_keys"]):
        raise UsageError(
            f"{model} is not a trained sequence classifier: {missing[0]} is not in its files; "
            "name a trained classifier"
        )
    return loaded.to(device).eval().requires_grad_(False), tokenizer
