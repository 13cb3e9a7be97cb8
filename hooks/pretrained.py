"""Reading configuration, tokenizer and weights with transformers; failures become one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from headspex.errors import UsageError
from headspex.hooks.sources import Source


def read_config(source: Source) -> Any:
    """The model's configuration; the only step that meets the Hub's refusals first."""
    from transformers import AutoConfig

    with _explained(source, "its config.json is broken"):
        return AutoConfig.from_pretrained(source.location, revision=source.revision)


def commit_of(source: Source) -> str | None:
    """The commit that a Hub repository's cached files belong to; None for a folder."""
    from huggingface_hub import try_to_load_from_cache

    if not source.on_hub:
        return None
    cached = try_to_load_from_cache(source.location, "config.json", revision=source.revision)
    # The cache keeps files as snapshots/<commit>/config.json.
    return Path(cached).parent.name if isinstance(cached, str) else None


def read_tokenizer(source: Source) -> Any:
    """The model's tokenizer."""
    from transformers import AutoTokenizer

    with _explained(source, "its tokenizer is missing or broken (tokenizer.json)"):
        return AutoTokenizer.from_pretrained(source.location, revision=source.revision)


def read_weights(source: Source, config: Any, dtype: torch.dtype) -> Any:
    """The model on the CPU with eager attention, in eval mode, all of its weights from the file."""
    from transformers import AutoModelForCausalLM

    with _explained(source, "its weights are missing or broken (model.safetensors)"), _quiet():
        model, report = AutoModelForCausalLM.from_pretrained(
            source.location,
            revision=source.revision,
            config=config,
            dtype=dtype,
            # A bridge is always eager; another implementation would change the last bits.
            attn_implementation="eager",
            use_safetensors=True,  # the older format is a pickle, which can run code
            output_loading_info=True,
        )
    # transformers would fill these with random numbers and go on.
    if missing := sorted(report["missing_keys"]):
        raise UsageError(
            f"{source.name} is incomplete: {len(missing)} weights such as {missing[0]} are not in "
            "its files; fetch it again"
        )
    return model.eval().requires_grad_(False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the bar that counts weights, which would mix with headspex's own progress."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def _explained(source: Source, broken: str) -> Iterator[None]:
    from safetensors import SafetensorError

    # transformers and tokenizers raise these, and nothing narrower, for files that they cannot
    # read; the exception is kept as the cause.
    expected = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError)
    try:
        yield
    except (*expected, SafetensorError) as error:
        raise UsageError(_sentence(source, error, broken)) from error
    except Exception as error:
        # tokenizers' Rust code raises the bare base class.
        if type(error) is not Exception:
            raise
        raise UsageError(_sentence(source, error, broken)) from error


def _sentence(source: Source, error: BaseException, broken: str) -> str:
    if not source.on_hub:
        return f"{source.name} cannot be loaded: {broken}; save the model again"
    from huggingface_hub import errors

    place = source.location
    causes = list(_chain(error))

    def caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if caused_by(errors.GatedRepoError):
        return (
            f"{place} is gated: ask for access on https://huggingface.co/{place}, then log in with "
            "`hf auth login`, or pass a local folder"
        )
    if caused_by(errors.RevisionNotFoundError):
        return f"{place} has no revision {source.revision!r}; take a branch, tag or commit of it"
    if caused_by(errors.RepositoryNotFoundError):
        return (
            f"there is no folder and no public Hub repository {place}; check the name, or log in "
            "with `hf auth login` if it is private"
        )
    offline = (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, ConnectionError)
    if caused_by(*offline, TimeoutError) or "connect" in str(error).lower():
        return (
            f"{place} is not in the Hugging Face cache and the Hub cannot be reached; check the "
            "network (and HF_HUB_OFFLINE), log in with `hf auth login` where the model is gated, "
            "or pass a local folder"
        )
    return f"{place} cannot be loaded from the Hub: {broken}; check the repository"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
