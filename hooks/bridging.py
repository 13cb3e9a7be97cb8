"""TransformerLens bridges around transformers models; nothing else imports TransformerLens."""

import copy
import sys
from typing import Any

from headspex.errors import UsageError
from headspex.hooks.catalogue import ARCHITECTURES
from headspex.hooks.switches import hook_name

ENCODERS = ("ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForPreTraining",
            "ForQuestionAnswering")  # fmt: skip
ENCODER_TYPES = ("bert", "roberta", "electra", "deberta", "distilbert", "modernbert", "albert",
                 "xlm-roberta", "deberta-v2", "camembert", "mpnet")  # fmt: skip


def check_config(config: Any, name: str) -> str:
    """The architecture's class name.

    Raises:
        UsageError: not a decoder, or an architecture without tested ablation.
    """
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
    for architecture in sorted(ARCHITECTURES):
        if architecture == listed or (
            not listed and architecture.lower() == f"{kind.replace('_', '')}forcausallm"
        ):
            return architecture
    raise UsageError(
        f"headspex knows {', '.join(sorted(ARCHITECTURES))}, but {name} is {shown}; "
        "take a model of a known architecture"
    )


def is_bridge(model: Any) -> bool:
    """Whether an object is a TransformerBridge; does not import TransformerLens."""
    module = sys.modules.get("transformer_lens.model_bridge")
    return module is not None and isinstance(model, module.TransformerBridge)


def bridge_from_model(model: Any, architecture: str, name: str) -> Any:
    """A TransformerBridge around a transformers model, which is edited in place.

    Raises:
        UsageError: the bridge has no `hook_z` in every layer.
    """
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    model.set_attn_implementation("eager")
    bridge = build_bridge_from_module(
        model, architecture, hf_config=copy.deepcopy(model.config), model_name=name
    )
    layers = range(int(bridge.cfg.n_layers))
    if absent := [hook_name(k) for k in layers if hook_name(k) not in bridge.hook_dict]:
        raise UsageError(
            f"{name} cannot be ablated: its bridge has no {absent[0]}; "
            "take a model of a known architecture"
        )
    return bridge
