"""What `--dry-run` says against the run that follows: `python tests/benchmarks/dry_run.py`.

Four runs in processes of their own, each right after its estimate: the shipped model and task; of
these, two layers of six; five-shot MMLU with a random Llama of 0.1 B parameters; a metric of one's
own on prompts. An estimate should be within 0.7 and 1.4 of the run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHARED = Path(__file__).resolve().parents[3] / "shared"
COMMAND = "from headspex.cli.main import main; raise SystemExit(main())"
PROMPTS = '''
from itertools import permutations

from headspex.tiny.questions import NAMES

PAIRS = list(permutations(NAMES[:9], 2))
PROMPTS = [f"What comes next in {a}, {b}, {a}, {b}, {a}?" for a, b in PAIRS]


def difference(logits, batch):
    """How much likelier the word is that comes next than the one before."""
    right, wrong = batch.tokens[:, -2], batch.tokens[:, -1]
    last = logits[:, -1]
    rows = range(len(last))
    return last[rows, right] - last[rows, wrong]
'''


def main() -> None:
    """Print estimate, wall time and their ratio, run by run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="RUN", help="default, layers, mmlu, prompts")
    parser.add_argument("--mmlu", type=Path, default=SHARED / "data" / "mmlu")
    options = parser.parse_args()
    print(f"{'run':<10}{'estimate':>10}{'took':>10}{'ratio':>8}{'load':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for name, words in runs(Path(folder), options.mmlu, options.only).items():
            load = os.getloadavg()[0]
            estimate = json.loads(_said([*words, "--dry-run", "--json"]))
            out, begin = Path(folder) / "runs" / name, time.perf_counter()
            _said([*words, "--out", str(out), "--json"])
            took = time.perf_counter() - begin
            said = estimate["seconds"]
            print(f"{name:<10}{said:>9.0f}s{took:>9.0f}s{said / took:>8.2f}{load:>8.1f}")
            seconds = json.loads((out / "timing.json").read_text())["seconds"]
            for stage in estimate["stages"]:
                was = seconds.get(stage["name"], float("nan"))
                print(f"    {stage['name']:<30}{stage['seconds']:>9.1f}s{was:>9.1f}s", flush=True)


def runs(folder: Path, mmlu: Path, only: list[str] | None) -> dict[str, list[str]]:
    """The runs that are wanted, each with its words for `headspex`."""
    found = {"default": ["prune"], "layers": ["prune", "--layers", "4-5"]}
    if not only or "mmlu" in only:
        found["mmlu"] = [
            "prune", "--model", str(_llama(folder / "llama")), "--task", "mmlu", "--data-dir",
            str(mmlu), "--subject", "anatomy", "astronomy", "--shots", "5", "--layers", "10-11",
            "--budget", "300", "--verify-budget", "2500",
        ]  # fmt: skip
    task = folder / "prompts.py"
    task.write_text(PROMPTS)
    found["prompts"] = ["prune", "--task", f"{task}:difference", "--budget", "8000"]
    return {name: words for name, words in found.items() if not only or name in only}


def _llama(folder: Path) -> Path:
    """A random Llama of 0.1 B parameters with the shipped tokenizer, which writes bytes."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from headspex.tiny.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=max(32_000, len(tokenizer)), hidden_size=768, intermediate_size=2_048,
        num_hidden_layers=12, num_attention_heads=12, num_key_value_heads=12,
        max_position_embeddings=2_048,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _said(words: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-500:])
    return done.stdout


if __name__ == "__main__":
    main()
