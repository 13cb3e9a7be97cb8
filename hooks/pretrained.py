"""Read configuration, tokenizer and weights with transformers; failures become one sentence."""

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
from headspex.hooks.load_in import quantisation
from headspex.hooks.quantised import refuse_quantised
from headspex.hooks.sources import Source
from headspex.hooks.spread import DeviceMap, spread_over
from headspex.support.notice import first_cause, say_once

SAFE = ("model.safetensors", "model.safetensors.index.json")
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
# If peft is installed, transformers applies an adapter beside the weights; this hides it.
_NO_ADAPTER = {"subfolder": "no-adapter-is-applied-unasked"}


def read_config(source: Source) -> Any:
    """The model's configuration; the first step that needs the Hub.

    Raises:
        UsageError: it cannot be read, or the weights are quantised.
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
    """The commit of a Hub repository's cached files; None for a folder."""
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
    """Where the tokenizer is: in the adapter's folder if it holds one."""
    own = source.adapter
    if own is None or not (own / "tokenizer_config.json").is_file():
        return source
    return replace(source, location=str(own), revision=None, on_hub=False, gguf=None, adapter=None)


def read_quantised(
    source: Source, config: Any, dtype: torch.dtype, load_in: str, where: DeviceMap
) -> Any:
    """As `read_weights`, with weights quantised on their way; see `headspex.hooks.load_in`."""
    return _stored(
        source, config, dtype,
        quantization_config=quantisation(load_in, dtype), device_map=where,
    )  # fmt: skip


def read_weights(
    source: Source, config: Any, dtype: torch.dtype, where: DeviceMap | None = None
) -> Any:
    """The model with eager attention, in eval mode, with all weights from its files.

    An adapter is merged in the dtype of the stored weights, so the result equals a model that was
    merged and saved before.

    Args:
        source: of the weights.
        config: of the model.
        dtype: of the weights.
        where: the device of each part, from `headspex.hooks.spread.placed`; None: the CPU.

    Raises:
        UsageError: files are missing or broken, or pickles hold more than weights.
    """
    if source.adapter is None and source.gguf is None:
        options = {} if where is None else {"device_map": where}
        return _stored(source, config, dtype, **options)
    if source.adapter is None:
        model = _stored(source, config, dtype)
    else:
        kept = getattr(config, "dtype", None) or torch.float32
        model = (
            adapters.merged(_stored(source, config, kept), source.adapter)
            .to(dtype)
            .eval()
            .requires_grad_(False)
        )
    return model if where is None else spread_over(model, where)


def _file_of(source: Source) -> dict[str, Any]:
    return {} if source.gguf is None else {"gguf_file": source.gguf}


def _stored(source: Source, config: Any, dtype: torch.dtype, **options: Any) -> Any:
    """The model without its adapter; options are for `from_pretrained`."""
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
            ignore_mismatched_sizes=True,  # refused below, with a better message
            output_loading_info=True,
            adapter_kwargs=_NO_ADAPTER,
            **_file_of(source),
            **({} if source.gguf is None else gguf_file.reading(source.gguf)),
            **options,
        )
    _check_complete(source, report)
    if pickled is not None:
        say_once(
            f"the weights of {source.name} are pickled ({pickled}): only weights were read, and "
            "no code was run; safetensors, as save_pretrained writes them, load faster"
        )
    if source.gguf is not None:
        gguf_file.forget_blocks(model)
    return model.eval().requires_grad_(False)


def _check_complete(source: Source, report: dict[str, Any]) -> None:
    """Refuse missing weights and wrong shapes; print a notice of unused weights.

    Raises:
        UsageError: some weights are missing or mismatched; transformers would make them random.
    """
    if mismatched := sorted(report["mismatched_keys"]):
        name, stored, expected = mismatched[0]
        raise UsageError(
            f"{source.name} cannot be loaded: {name} is {list(stored)} in its files, but "
            f"{list(expected)} by its config.json; mend config.json, or fetch the weights again"
        )
    if missing := sorted(report["missing_keys"]):
        raise UsageError(
            f"{source.name} is incomplete: {len(missing)} weights such as {missing[0]} are not in "
            "its files; fetch it again"
        )
    if unknown := sorted(report["unexpected_keys"]):
        say_once(
            f"{len(unknown)} weights of {source.name}, such as {unknown[0]}, do not belong to its "
            "architecture and are ignored"
        )


def _only_pickled(source: Source) -> str | None:
    """The file of a model's weights if they exist only as pickles, else None."""
    if source.gguf is not None or any(fetched(source, name) for name in SAFE):
        return None
    return next((name for name in PICKLED if fetched(source, name)), None)


def fetched(source: Source, name: str) -> str | None:
    """The path of a file of a model, downloaded first; None if the model has no such file."""
    from transformers.utils import cached_file

    found: str | None = cached_file(
        source.location,
        name,
        revision=source.revision,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence progress bars, which would mix with headspex's own, and reports checked here.

    Also keeps transformers from asking the Hub to convert a repository to safetensors.
    """
    import transformers.modeling_gguf_pytorch_utils as gguf_reader
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    tqdm, conversion = gguf_reader.tqdm, os.environ.get("DISABLE_SAFETENSORS_CONVERSION")
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    gguf_reader.tqdm = logging.tqdm  # this one obeys disable_progress_bar
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
    try:
        yield
    finally:
        if bars:
            logging.enable_progress_bar()
        logging.set_verbosity(verbosity)
        gguf_reader.tqdm = tqdm
        if conversion is None:
            del os.environ["DISABLE_SAFETENSORS_CONVERSION"]
        else:
            os.environ["DISABLE_SAFETENSORS_CONVERSION"] = conversion


@contextmanager
def _unpickling(source: Source, file: str) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about versions of the format
        try:
            yield
        except Exception as error:
            raise UsageError(
                f"{source.name} cannot be loaded: {file} holds more than weights, or is broken; "
                "none of its code was run; get the model as safetensors"
            ) from error


@contextmanager
def _explained(source: Source, broken: str) -> Iterator[None]:
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    # transformers and tokenizers raise these, and nothing narrower, for files they cannot read.
    expected = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError)
    # The GGUF reader may raise anything for a file that is not GGUF.
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
    reason = _reason(source, error, broken)
    if source.adapter is None or source.adapter != Path(source.name).expanduser():
        return reason
    return f"{source.name} is an adapter of {source.location}: {reason}"


def _reason(source: Source, error: BaseException, broken: str) -> str:
    if source.gguf is not None:
        return (
            f"{source.name} cannot be loaded: {source.gguf} is broken, or transformers cannot "
            f"read its kind ({first_cause(error)}); get the model as safetensors"
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
            f"{place} cannot be loaded from the Hub: {first_cause(error)}; if it is an adapter "
            "or holds a .gguf file, fetch it (`hf download`) and name the folder or the file"
        )
    offline = (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, ConnectionError)
    if caused_by(*offline, TimeoutError) or "connect" in str(error).lower():
        return (
            f"{place} is not in the Hugging Face cache and the Hub cannot be reached; check the "
            "network (and HF_HUB_OFFLINE), log in with `hf auth login` if the model is gated, "
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
