"""PEFT adapters, merged into the weights they were trained on."""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from headspex.errors import UsageError, argument
from headspex.hooks.extras import need
from headspex.support.notice import first_cause

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_PICKLED = "adapter_model.bin"
# peft raises these, and nothing narrower, for an adapter that does not fit the model.
_MISFITS = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, alone or beside a model."""
    return (folder / CONFIG).is_file()


def check_adapter(folder: Path) -> None:
    """Refuse an adapter that cannot be merged, without reading any weights.

    Raises:
        UsageError: not an adapter, or peft is not installed.
    """
    if not is_adapter(folder):
        raise UsageError(
            f"{argument('adapter')} is a folder that peft wrote, but {folder} has no {CONFIG}; "
            "check the path"
        )
    content = _content(folder)
    if not (folder / WEIGHTS).is_file():
        raise UsageError(
            f"the adapter {folder} has pickled weights ({_PICKLED}), which headspex does not read; "
            "load it with peft and save it again as safetensors"
            if (folder / _PICKLED).is_file()
            else f"the adapter {folder} has no {WEIGHTS}; fetch it again"
        )
    task = content.get("task_type")
    if task not in (None, "CAUSAL_LM"):
        raise UsageError(
            f"headspex needs an adapter of a language model, but {folder} was trained for {task}; "
            "take another"
        )
    need("peft", f"the adapter {folder} is merged")


def base_of(folder: Path) -> tuple[str, str | None]:
    """Name and revision of an adapter's base model, from its configuration.

    Raises:
        UsageError: the configuration names no base model.
    """
    content = _content(folder)
    base, revision = content.get("base_model_name_or_path"), content.get("revision")
    if not isinstance(base, str) or not base:
        raise UsageError(
            f"{folder} is an adapter whose {CONFIG} names no base model; give the base as "
            f"{argument('model')}, and {folder} as {argument('adapter')}"
        )
    return base, revision if isinstance(revision, str) and revision else None


def merged(model: Any, folder: Path) -> Any:
    """Merge an adapter into a transformers model, in place and in the weights' own dtype.

    Raises:
        UsageError: the adapter does not fit the model, or cannot be merged.
    """
    import peft
    from safetensors import SafetensorError

    try:
        config = peft.PeftConfig.from_pretrained(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"the installed peft does not know this kind of adapter: {folder} "
            f"({first_cause(error)}); save it again, or update peft"
        ) from error
    _check_mergeable(config, str(folder))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft warns of misfits, which are refused below
            wrapped = peft.PeftModel(model, config)
            found = wrapped.load_adapter(str(folder), "default", torch_device="cpu")
    except (*_MISFITS, SafetensorError) as error:
        raise UsageError(_misfit(folder, first_cause(error))) from error
    _check_untied(model, wrapped, config, folder)
    if unmatched := [*found.missing_keys, *found.unexpected_keys]:
        owner = "it" if found.unexpected_keys else "the model"
        raise UsageError(_misfit(folder, f"{unmatched[0]} is only in {owner}"))
    return _unloaded(wrapped, str(folder))


def is_adapted(model: Any) -> bool:
    """Whether an object is a peft.PeftModel; does not import peft."""
    module = sys.modules.get("peft")
    return module is not None and isinstance(model, module.PeftModel)


def merged_object(model: Any) -> Any:
    """The transformers model in a peft.PeftModel, its adapter merged in place.

    Raises:
        UsageError: it cannot be merged.
    """
    _check_mergeable(model.active_peft_config, "the PeftModel")
    return _unloaded(model, "the PeftModel")


def refuse_injected(model: Any) -> None:
    """Refuse a transformers model with an adapter loaded into its own layers.

    Raises:
        UsageError: it has one.
    """
    if getattr(model, "_hf_peft_config_loaded", False):
        raise UsageError(
            "headspex needs plain weights, but an adapter was loaded into this model; pass the "
            "plain model, and the adapter as adapter=FOLDER"
        )


def _content(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder / CONFIG} is broken; save the adapter again") from error
    if not isinstance(content, dict):
        raise UsageError(f"{folder / CONFIG} is broken; save the adapter again")
    return content


def _check_mergeable(config: Any, name: str) -> None:
    if config.is_prompt_learning:
        kind = getattr(config.peft_type, "value", config.peft_type)
        raise UsageError(
            f"the adapter of {name} ({kind}) adds inputs instead of changing weights, so it cannot "
            "be merged; use LoRA or another adapter of weights"
        )


def _check_untied(model: Any, wrapped: Any, config: Any, folder: Path) -> None:
    if not getattr(model.config, "tie_word_embeddings", False):
        return
    ends = {"embed_tokens", "lm_head", "wte", "embed_in", "embed_out"}
    touched = {*wrapped.base_model.targeted_module_names, *(config.modules_to_save or ())}
    if both := sorted(name for name in touched if name.rsplit(".", 1)[-1] in ends):
        raise UsageError(
            f"the adapter {folder} changes {both[0]}, but this model ties its input and output "
            "embeddings, so merging would change both; merge it with peft into an untied model, "
            "and give that"
        )


def _unloaded(wrapped: Any, name: str) -> Any:
    try:
        return wrapped.merge_and_unload(safe_merge=True)
    except (ValueError, AttributeError, NotImplementedError, TypeError, RuntimeError) as error:
        raise UsageError(
            f"the adapter of {name} cannot be merged ({first_cause(error)}); merge it with peft, "
            "save the model, and give that"
        ) from error


def _misfit(folder: Path, reason: str) -> str:
    return (
        f"the adapter {folder} does not fit this model ({reason}); give the model that it was "
        "trained on"
    )
