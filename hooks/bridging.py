"""TransformerLens bridges around transformers models; nothing else imports TransformerLens."""

import copy
import sys
from typing import Any

from headspex.errors import UsageError
from headspex.hooks.hook_check import check_hooks
from headspex.hooks.load_in import keep_codes
from headspex.support.notice import first_line

ENCODERS = ("ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForPreTraining",
            "ForQuestionAnswering")  # fmt: skip
ENCODER_TYPES = ("bert", "roberta", "electra", "deberta", "distilbert", "modernbert", "albert",
                 "xlm-roberta", "deberta-v2", "camembert", "mpnet")  # fmt: skip


def check_config(config: Any, name: str) -> str:
    """The architecture's class name.

    Raises:
        UsageError: not a decoder, or one that TransformerLens has no bridge for.
    """
    from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES

    listed = (getattr(config, "architectures", None) or [""])[0]
    kind = getattr(config, "model_type", "")
    shown = listed or kind or "an unnamed architecture"
    if (
        getattr(config, "is_encoder_decoder", False)
        or listed.endswith(ENCODERS)
        or kind in ENCODER_TYPES
    ):
        raise UsageError(
            f"headspex needs a decoder-only language model, but {name} is {shown}; "
            "take a Llama-style model"
        )
    named = listed or _causal_class(config)
    if named not in SUPPORTED_ARCHITECTURES:
        raise UsageError(
            f"headspex ablates with TransformerLens, which has no bridge for {named or shown}, the "
            f"architecture of {name}; take a model of another family (headspex models)"
        )
    return named


def _causal_class(config: Any) -> str:
    """The class that transformers would load this configuration as; "" if it has none."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return str(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(getattr(config, "model_type", ""), ""))


def is_bridge(model: Any) -> bool:
    """Whether an object is a TransformerBridge; does not import TransformerLens."""
    module = sys.modules.get("transformer_lens.model_bridge")
    return module is not None and isinstance(model, module.TransformerBridge)


def bridge_from_model(model: Any, architecture: str, name: str) -> Any:
    """A TransformerBridge around a transformers model, which is edited in place.

    Raises:
        UsageError: TransformerLens cannot build it, or its hooks do not ablate; see
            `headspex.hooks.hook_check`.
    """
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    model.set_attn_implementation("eager")
    keep_codes(model)
    try:
        bridge = build_bridge_from_module(
            model, architecture, hf_config=copy.deepcopy(model.config), model_name=name
        )
    except Exception as error:
        raise UsageError(
            f"TransformerLens cannot build its bridge of {name} ({first_line(error)}); take a "
            "model of another family (headspex models)"
        ) from error
    bridge.eval()
    check_hooks(bridge, name)
    return bridge
