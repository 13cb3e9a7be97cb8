"""Which models have a short name, and which architectures the tests cover."""

from dataclasses import dataclass

ALIASES: dict[str, str] = {
    "llama-2-7b": "meta-llama/Llama-2-7b-hf",
    "llama-2-13b": "meta-llama/Llama-2-13b-hf",
    "llama-3-8b": "meta-llama/Meta-Llama-3-8B",
    "llama-3-8b-instruct": "meta-llama/Meta-Llama-3-8B-Instruct",
    "llama-3-70b": "meta-llama/Meta-Llama-3-70B",
    "llama-3-70b-instruct": "meta-llama/Meta-Llama-3-70B-Instruct",
    "llama-3.1-8b": "meta-llama/Llama-3.1-8B",
    "llama-3.1-8b-instruct": "meta-llama/Llama-3.1-8B-Instruct",
    "llama-3.1-70b": "meta-llama/Llama-3.1-70B",
    "llama-3.1-70b-instruct": "meta-llama/Llama-3.1-70B-Instruct",
    "llama-3.1-405b": "meta-llama/Llama-3.1-405B",
    "llama-3.1-405b-instruct": "meta-llama/Llama-3.1-405B-Instruct",
    "llama-3.2-1b": "meta-llama/Llama-3.2-1B",
    "llama-3.2-1b-instruct": "meta-llama/Llama-3.2-1B-Instruct",
    "llama-3.2-3b": "meta-llama/Llama-3.2-3B",
    "llama-3.2-3b-instruct": "meta-llama/Llama-3.2-3B-Instruct",
    "llama-3.3-70b-instruct": "meta-llama/Llama-3.3-70B-Instruct",
    "gpt2": "openai-community/gpt2",
    "gpt2-medium": "openai-community/gpt2-medium",
    "gpt2-large": "openai-community/gpt2-large",
    "gpt2-xl": "openai-community/gpt2-xl",
    "pythia-70m": "EleutherAI/pythia-70m-deduped",
    "pythia-160m": "EleutherAI/pythia-160m-deduped",
    "pythia-410m": "EleutherAI/pythia-410m-deduped",
    "pythia-1b": "EleutherAI/pythia-1b-deduped",
    "pythia-1.4b": "EleutherAI/pythia-1.4b-deduped",
    "pythia-2.8b": "EleutherAI/pythia-2.8b-deduped",
    "pythia-6.9b": "EleutherAI/pythia-6.9b-deduped",
    "pythia-12b": "EleutherAI/pythia-12b-deduped",
    "smollm2-135m": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "smollm2-360m": "HuggingFaceTB/SmolLM2-360M-Instruct",
    "smollm2-1.7b": "HuggingFaceTB/SmolLM2-1.7B-Instruct",
    "smollm3-3b": "HuggingFaceTB/SmolLM3-3B",
    "mistral-7b": "mistralai/Mistral-7B-v0.3",
    "mistral-7b-instruct": "mistralai/Mistral-7B-Instruct-v0.3",
    "qwen2-0.5b": "Qwen/Qwen2-0.5B",
    "qwen2-1.5b": "Qwen/Qwen2-1.5B",
    "qwen2-7b": "Qwen/Qwen2-7B",
    "qwen2-7b-instruct": "Qwen/Qwen2-7B-Instruct",
    "qwen2.5-0.5b": "Qwen/Qwen2.5-0.5B",
    "qwen2.5-1.5b": "Qwen/Qwen2.5-1.5B",
    "qwen2.5-7b": "Qwen/Qwen2.5-7B",
    "qwen2.5-7b-instruct": "Qwen/Qwen2.5-7B-Instruct",
    "qwen3-0.6b": "Qwen/Qwen3-0.6B",
    "qwen3-1.7b": "Qwen/Qwen3-1.7B",
    "qwen3-4b": "Qwen/Qwen3-4B",
    "qwen3-8b": "Qwen/Qwen3-8B",
    "gemma-2-2b": "google/gemma-2-2b",
    "gemma-2-2b-it": "google/gemma-2-2b-it",
    "gemma-2-9b": "google/gemma-2-9b",
    "gemma-2-9b-it": "google/gemma-2-9b-it",
    "gemma-3-270m": "google/gemma-3-270m",
    "gemma-3-1b": "google/gemma-3-1b-pt",
    "gemma-3-1b-it": "google/gemma-3-1b-it",
    "olmo-2-1b": "allenai/OLMo-2-0425-1B",
    "olmo-2-7b": "allenai/OLMo-2-1124-7B",
    "olmo-2-13b": "allenai/OLMo-2-1124-13B",
}


@dataclass(frozen=True)
class Family:
    """A family of models that the tests cover.

    Attributes:
        title: as people call it.
        shrinks: whether a checkpoint with fewer heads can be loaded by stock transformers.
    """

    title: str
    shrinks: bool = False


# By architecture. Each has tests, on a small random model, that hooks and zeroed weights give equal
# logits, and that the fast path equals the bridge. Other decoders that TransformerLens has a bridge
# for are taken as well, after the check of `headspex.hooks.hook_check`.
FAMILIES: dict[str, Family] = {
    "LlamaForCausalLM": Family("Llama, SmolLM2", shrinks=True),
    "MistralForCausalLM": Family("Mistral", shrinks=True),
    "MixtralForCausalLM": Family("Mixtral"),
    "Qwen2ForCausalLM": Family("Qwen 2, Qwen 2.5", shrinks=True),
    "Qwen3ForCausalLM": Family("Qwen 3", shrinks=True),
    "Qwen3MoeForCausalLM": Family("Qwen 3 MoE"),
    "GemmaForCausalLM": Family("Gemma"),
    "Gemma2ForCausalLM": Family("Gemma 2", shrinks=True),
    "Gemma3ForCausalLM": Family("Gemma 3"),
    "GPT2LMHeadModel": Family("GPT-2"),
    "GPTNeoXForCausalLM": Family("GPT-NeoX, Pythia"),
    "GptOssForCausalLM": Family("GPT-OSS"),
    "GraniteForCausalLM": Family("Granite"),
    "OlmoForCausalLM": Family("OLMo"),
    "Olmo2ForCausalLM": Family("OLMo 2"),
    "Olmo3ForCausalLM": Family("OLMo 3"),
    "PhiForCausalLM": Family("Phi"),
    "Phi3ForCausalLM": Family("Phi-3, Phi-4"),
    "SmolLM3ForCausalLM": Family("SmolLM3"),
}
ARCHITECTURES = frozenset(FAMILIES)
