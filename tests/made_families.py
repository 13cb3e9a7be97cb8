"""Small random decoders of every family that the tests cover."""

from typing import Any

import torch

LAYERS, HEADS, CONTEXT, VOCABULARY = 3, 4, 96, 320
_COMMON = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48,
    "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT, "initializer_range": 0.2,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}

# Name -> class of the configuration, and what differs from `_COMMON`; None leaves a field out.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("Llama", {}),
    "Llama with biases": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "Llama with heads wider than its width": ("Llama", {"head_dim": 12}),
    "Llama, tied": ("Llama", {"tie_word_embeddings": True}),
    "Llama, llama3 rope": ("Llama", {"rope_parameters": {
        "rope_type": "llama3", "rope_theta": 1e4, "factor": 2.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 32}}),
    "Llama, yarn": ("Llama", {"rope_parameters": {
        "rope_type": "yarn", "rope_theta": 1e4, "factor": 3.0,
        "original_max_position_embeddings": 32}}),
    "Mistral": ("Mistral", {"sliding_window": None}),
    "Mistral with a window": ("Mistral", {"sliding_window": 16}),
    "Mixtral": ("Mixtral", _EXPERTS),
    "Qwen 2": ("Qwen2", {}),
    "Qwen 3": ("Qwen3", {"head_dim": 8}),
    "Qwen 3 MoE": ("Qwen3Moe", {
        "head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}),
    "Gemma": ("Gemma", {"head_dim": 8}),
    "Gemma 2": ("Gemma2", {"head_dim": 8, "sliding_window": 16}),
    "Gemma 3": ("Gemma3Text", {
        "head_dim": 8, "sliding_window": 16,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"]}),
    "GPT-2": ("GPT2", {"n_inner": 48, "num_key_value_heads": None, "intermediate_size": None}),
    "GPT-NeoX (Pythia)": ("GPTNeoX", {"num_key_value_heads": None}),
    "GPT-NeoX, one after the other": (
        "GPTNeoX", {"num_key_value_heads": None, "use_parallel_residual": False}),
    "Granite": ("Granite", {"logits_scaling": 2.0, "residual_multiplier": 0.5}),
    "OLMo": ("Olmo", {}),
    "OLMo 2": ("Olmo2", {}),
    "OLMo 3": ("Olmo3", {"sliding_window": 16}),
    "Phi": ("Phi", {"num_key_value_heads": None}),
    "Phi-3": ("Phi3", {"sliding_window": None}),
    "SmolLM3": ("SmolLM3", {}),
    "GPT-OSS": ("GptOss", {
        "head_dim": 8, "sliding_window": 16, "num_local_experts": 4, "num_experts_per_tok": 2,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}),
}  # fmt: skip


def random_model(family: str) -> Any:
    """A random model of a family, in eval mode without gradients."""
    import transformers

    name, changes = FAMILIES[family]
    fields = {k: v for k, v in {**_COMMON, **changes}.items() if v is not None or k in _NULL}
    config = getattr(transformers, f"{name}Config")(**fields, attn_implementation="eager")
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    for weight in model.parameters():
        # Biases and norms are zeros and ones by default, which would hide their use.
        if weight.ndim == 1:
            weight.add_(torch.randn_like(weight), alpha=0.1)
    return model


_NULL = ("sliding_window",)  # fields for which None is a value
