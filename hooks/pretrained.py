"""Reading configuration, tokenizer and weights with transformers; failures become one sentence."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from headspex.errors import UsageError
from headspex.hooks import adapters, gguf_file
from headspex.hooks.quantised import refuse_quantised
from headspex.hooks.sources import Source
from headspex.support.notice import first_cause, say_once

SAFE = ("model.safetensors", "model.safetensors.index.json")
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
# transformers applies what lies beside the weights, where peft is installed; so it looks elsewhere.
_NO_ADAPTER = {"subfolder": "no-adapter-is-applied-unasked"}


def read_config(source: Source) -> Any:
    """The model's configuration; the only step that meets the Hub's refusals first.

    Raises:
        UsageError: it cannot be read, or says that the weights are quantised.
    """
    from transformers import AutoConfig

    if source.gguf is not None:
        gguf_file.check_readable(source.name)
    with _explained(source, "its config.json is broken"):
        config = AutoConfig.from_pretrained(
            source.location, revision=source.revision, **_file_of(source)
        )
    refuse_quantised(config, source.name)
    return config


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

    source = tokenizer_source(source)
    with _explained(source, "its tokenizer is missing or broken (tokenizer.json)"):
        return AutoTokenizer.from_pretrained(
            source.location, revision=source.revision, **_file_of(source)
        )


def tokenizer_source(source: Source) -> Source:
    """Where the tokenizer is: beside the adapter, where it was saved with one."""
    own = source.adapter
    if own is None or not (own / "tokenizer_config.json").is_file():
        return source
    return replace(source, location=str(own), revision=None, on_hub=False, gguf=None, adapter=None)


def read_weights(source: Source, config: Any, dtype: torch.dtype) -> Any:
    """The model on the CPU with eager attention, in eval mode, all of its weights from its files.

    An adapter is merged in the type that the weights are stored in, so that the model is the same
    one as if it had been merged and saved before.

    Raises:
        UsageError: files are missing or broken, or hold more than weights.
    """
    if source.adapter is None:
        return _stored(source, config, dtype)
    kept = getattr(config, "dtype", None) or torch.float32
    return (
        adapters.merged(_stored(source, config, kept), source.adapter)
        .to(dtype)
        .eval()
        .requires_grad_(False)
    )


def _file_of(source: Source) -> dict[str, Any]:
    return {} if source.gguf is None else {"gguf_file": source.gguf}


def _stored(source: Source, config: Any, dtype: torch.dtype) -> Any:
    """The model without its adapter."""
    from transformers import AutoModelForCausalLM

    pickled = _only_pickled(source)
    reading = _explained(source, "its weights are missing or broken (model.safetensors)")
    with reading if pickled is None else _unpickling(source, pickled), _quiet():
        model, report = AutoModelForCausalLM.from_pretrained(
            source.location,
            revision=source.revision,
            config=config,
            dtype=dtype,
            # A bridge is always eager; another implementation would change the last bits.
            attn_implementation="eager",
            use_safetensors=pickled is None,
            weights_only=True,  # a pickle can run code; anything but weights is refused
            ignore_mismatched_sizes=True,  # they are refused below, in words
            output_loading_info=True,
            adapter_kwargs=_NO_ADAPTER,
            **_file_of(source),
            **({} if source.gguf is None else gguf_file.reading(source.gguf)),
        )
    _check_complete(source, report)
    if pickled is not None:
        say_once(
            f"the weights of {source.name} were pickled ({pickled}): weights alone were read, and "
            "no code was run; safetensors, as save_pretrained writes them, load faster"
        )
    if source.gguf is not None:
        gguf_file.forget_blocks(model)
    return model.eval().requires_grad_(False)


def _check_complete(source: Source, report: dict[str, Any]) -> None:
    """Refuse weights that are absent or of another shape; tell of those that were left out.

    Raises:
        UsageError: transformers would fill some with random numbers and go on.
    """
    if wrong := sorted(report["mismatched_keys"]):
        name, stored, wanted = wrong[0]
        raise UsageError(
            f"{source.name} cannot be loaded: {name} is {list(stored)} in its files, and "
            f"{list(wanted)} by its config.json; mend the one, or fetch the other again"
        )
    if missing := sorted(report["missing_keys"]):
        raise UsageError(
            f"{source.name} is incomplete: {len(missing)} weights such as {missing[0]} are not in "
            "its files; fetch it again"
        )
    if unknown := sorted(report["unexpected_keys"]):
        say_once(
            f"{len(unknown)} weights of {source.name}, such as {unknown[0]}, have no place in its "
            "architecture and are left out"
        )


def _only_pickled(source: Source) -> str | None:
    """The file of weights that are there as pickles alone; None for all others."""
    if source.gguf is not None or any(_has(source, name) for name in SAFE):
        return None
    return next((name for name in PICKLED if _has(source, name)), None)


def _has(source: Source, name: str) -> bool:
    from transformers.utils import cached_file

    if not source.on_hub:
        return (Path(source.location) / name).is_file()
    # It is fetched, as it is needed in a moment.
    found = cached_file(
        source.location, name, revision=source.revision,
        _raise_exceptions_for_missing_entries=False, _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_connection_errors=False,
    )  # fmt: skip
    return found is not None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without bars, which would mix with headspex's own, and without reports that are read here.

    Nor is the Hub asked to convert a repository to safetensors.
    """
    import transformers.modeling_gguf_pytorch_utils as gguf_reader
    from transformers.utils import logging

    shown, told = logging.is_progress_bar_enabled(), logging.get_verbosity()
    bar, asked = gguf_reader.tqdm, os.environ.get("DISABLE_SAFETENSORS_CONVERSION")
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    gguf_reader.tqdm = logging.tqdm  # which the switch above switches
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
        logging.set_verbosity(told)
        gguf_reader.tqdm = bar
        if asked is None:
            del os.environ["DISABLE_SAFETENSORS_CONVERSION"]
        else:
            os.environ["DISABLE_SAFETENSORS_CONVERSION"] = asked


@contextmanager
def _unpickling(source: Source, file: str) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on versions of the format
        try:
            yield
        except Exception as error:
            raise UsageError(
                f"{source.name} cannot be loaded: {file} holds more than weights, or is broken, "
                "and nothing of it was run; get the model as safetensors"
            ) from error


@contextmanager
def _explained(source: Source, broken: str) -> Iterator[None]:
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    # transformers and tokenizers raise these, and nothing narrower, for files that they cannot
    # read; the exception is kept as the cause.
    expected = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError)
    # A file that is not GGUF raises whatever its bytes spell.
    known = (*expected, SafetensorError, StrictDataclassError) if source.gguf is None else Exception
    try:
        yield
    except known as error:
        raise UsageError(_sentence(source, error, broken)) from error
    except Exception as error:
        # tokenizers' Rust code raises the bare base class.
        if type(error) is not Exception:
            raise
        raise UsageError(_sentence(source, error, broken)) from error


def _sentence(source: Source, error: BaseException, broken: str) -> str:
    said = _reason(source, error, broken)
    if source.adapter is None or source.adapter != Path(source.name).expanduser():
        return said
    return f"{source.name} is an adapter of {source.location}: {said}"


def _reason(source: Source, error: BaseException, broken: str) -> str:
    if source.gguf is not None:
        return (
            f"{source.name} cannot be loaded: {source.gguf} is broken, or of a kind that "
            f"transformers cannot read ({first_cause(error)}); get the model as safetensors"
        )
    if not source.on_hub:
        return (
            f"{source.name} cannot be loaded: {broken}: {first_cause(error)}; mend it, or save the "
            "model again"
        )
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
    if caused_by(errors.EntryNotFoundError) and not caused_by(errors.LocalEntryNotFoundError):
        return (
            f"{place} cannot be loaded from the Hub: {first_cause(error)}; where it is an adapter "
            "or holds a .gguf file, fetch it (`hf download`) and name the folder or the file"
        )
    offline = (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, ConnectionError)
    if caused_by(*offline, TimeoutError) or "connect" in str(error).lower():
        return (
            f"{place} is not in the Hugging Face cache and the Hub cannot be reached; check the "
            "network (and HF_HUB_OFFLINE), log in with `hf auth login` where the model is gated, "
            "or pass a local folder"
        )
    return (
        f"{place} cannot be loaded from the Hub: {broken}: {first_cause(error)}; check the "
        "repository"
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
