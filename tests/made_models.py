"""Small random models, and copies of them that differ in one thing."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch


def copy_of(folder: Path, tmp_path: Path, **config: Any) -> Path:
    """A copy of the model whose config.json is changed."""
    target = shutil.copytree(folder, tmp_path / "copy")
    file = target / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return target


def logits_of(model: Any) -> torch.Tensor:
    """What a model or a bridge says to twenty tokens."""
    with torch.no_grad():
        found = model(torch.arange(3, 23)[None])
    logits: torch.Tensor = getattr(found, "logits", found)
    return logits


def save_random_llama(folder: Path, *, layers: int, tokenizer: Any = None, **config: Any) -> Path:
    """A random Llama, with the tokenizer of the shipped model by default, written to `folder`."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from headspex.tiny.tokenizer import build_tokenizer

    tokenizer = tokenizer or build_tokenizer()
    torch.manual_seed(0)
    fields = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
        "initializer_range": 0.3, **config,
    }  # fmt: skip
    LlamaForCausalLM(LlamaConfig(num_hidden_layers=layers, **fields)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def byte_tokenizer(
    texts: Sequence[str] = ("I'm old, don't say 12345 days\n\n OLD",), vocab_size: int = 320
) -> Any:
    """A byte-level BPE, as Llama 3 has: it splits digits in threes, and reads any text.

    Words of `texts` are single tokens where the vocabulary has room.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE(ignore_merges=True))
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    raw.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=["<s>", "</s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    raw.train_from_iterator([*texts] * 3, trainer)
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", raw.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>")
