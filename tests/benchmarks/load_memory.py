"""Peak memory of loading and scoring a large checkpoint on the CPU: weights in eight shards.

    python tests/benchmarks/load_memory.py --size 3b --folder /var/tmp

Random weights in bfloat16 of the shape of Llama 3.2 3B (or, with `--size 8b`, of Llama 3.1 8B) are
written to a folder, scored on two questions of `mini` by `headspex eval --fast` in a process of its
own, which also runs the bridge, and both in float64, to compare them, and deleted. Printed is the
most memory that the process ever held (VmHWM), which counts the pages of the files that it has
mapped, over the bytes of the weights.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

SHARDS = 8
COMMAND = "from headspex.cli.main import main; raise SystemExit(main())"
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 8,
        "num_attention_heads": 8, "num_key_value_heads": 4, "tie_word_embeddings": True,
    },
    "3b": {
        "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28,
        "num_attention_heads": 24, "num_key_value_heads": 8, "tie_word_embeddings": True,
    },
    "8b": {
        "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": False,
    },
}  # fmt: skip


def write_checkpoint(folder: Path, size: str) -> int:
    """Random weights of that shape, a shard at a time; returns their bytes."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from headspex.tiny.tokenizer import build_tokenizer

    config = LlamaConfig(
        vocab_size=128_256, max_position_embeddings=8192, dtype="bfloat16",
        architectures=["LlamaForCausalLM"], **SIZES[size],
    )  # fmt: skip
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    model.tie_weights()
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    total = int(sum(2 * weight.numel() for weight in model.parameters()))
    index: dict[str, str] = {}
    torch.manual_seed(0)
    drawn = torch.empty(2**20, dtype=torch.bfloat16).normal_(std=0.02)
    for number, names in enumerate(_shards(shapes, total)):
        file = f"model-{number + 1:05}-of-{SHARDS:05}.safetensors"
        index |= dict.fromkeys(names, file)
        weights = {name: _weight(shapes[name], drawn) for name in names}
        save_file(weights, folder / file, metadata={"format": "pt"})
    listed = {"metadata": {"total_size": total}, "weight_map": index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(listed))
    config.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return total


def _shards(shapes: dict[str, tuple[int, ...]], total: int) -> Iterator[list[str]]:
    """Names of weights that follow one another, in parts of about the same bytes."""
    part: list[str] = []
    written, bound = 0, total / SHARDS
    for name, shape in shapes.items():
        part.append(name)
        written += 2 * torch.Size(shape).numel()
        if written >= bound and bound < total:
            yield part
            part, bound = [], bound + total / SHARDS
    yield part


def _weight(shape: tuple[int, ...], drawn: torch.Tensor) -> torch.Tensor:
    """A norm's ones, or the drawn numbers over and over: billions would take long to draw."""
    if len(shape) == 1:
        return torch.ones(shape, dtype=torch.bfloat16)
    count = torch.Size(shape).numel()
    return drawn.repeat(-(-count // len(drawn)))[:count].view(shape)


def peak_of(words: list[str]) -> tuple[int, float]:
    """The most bytes that `headspex` held with these words, and its seconds."""
    begin = time.perf_counter()
    child = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", COMMAND, *words])
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit(f"headspex {' '.join(words)} ended with status {status}")
    return 1024 * used.ru_maxrss, time.perf_counter() - begin


def main() -> None:
    """Print peaks and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=list(SIZES), default="3b")
    parser.add_argument("--folder", type=Path, help="where the checkpoint is written for a while")
    parser.add_argument("--threads", default="1")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=wanted.folder) as name:
        total = write_checkpoint(Path(name), wanted.size)
        print(f"{wanted.size}: weights of {total / 1e9:.2f} GB in {SHARDS} shards", flush=True)
        words = ["eval", "--model", name, "--limit", "2", "--device", "cpu", "--threads",
                 wanted.threads, "--dtype", "bfloat16", "--fast"]  # fmt: skip
        peak, took = peak_of(words)
        print(f"peak {peak / 1e9:.2f} GB, {peak / total:.3f} of the weights; {took:.0f} s")


if __name__ == "__main__":
    main()
