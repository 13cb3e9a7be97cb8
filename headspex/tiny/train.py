"""Train the shipped model: `python -m headspex.tiny.train --out DIR`.

The same seed on the same machine with one thread gives the same bytes. In the last 40 % of the
steps heads drop out at random, so the model learns to work without some of them: backup heads form,
and heads interact.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
import transformers
from einops import rearrange
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from headspex.tiny.questions import LETTERS, SUBJECTS
from headspex.tiny.scaffold import Scaffold
from headspex.tiny.sequences import ANSWER, Batch, Stream
from headspex.tiny.tokenizer import build_tokenizer


@dataclass(frozen=True)
class Recipe:
    """All hyperparameters of the training."""

    steps: int = 5_000
    rows: int = 20  # about 105 answered questions a step
    length: int = 112  # tokens of a row
    learning_rate: float = 2e-3  # peak of a one-cycle schedule
    layers: int = 6
    heads: int = 8
    kv_heads: int = 4
    width: int = 128
    mlp_width: int = 256
    # In the order of SUBJECTS; two hops take longest to learn.
    subject_weights: tuple[float, ...] = (0.8, 1.2, 2.4, 1.2, 0.8)
    all_tokens_weight: float = 0.05  # of the ordinary language-model loss
    scaffold_until: float = 0.55  # share of the steps; it fades out over the next fifth of them
    dropout_from: float = 0.6  # share of the steps; it grows over the next 15 % of them
    dropout: float = 0.4  # a row loses each head with a probability drawn from 0..dropout
    seed: int = 0


class HeadDropout:
    """Zeroes random heads before `o_proj`, different ones for each row."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        self.keep: Tensor | None = None  # [rows, layers, heads]
        for number, layer in enumerate(model.model.layers):
            layer.self_attn.o_proj.register_forward_pre_hook(self._hook(number))

    def draw(self, rows: int, recipe: Recipe, *, done: float) -> None:
        """Draw new masks; `done` is the finished share of the training."""
        most = recipe.dropout * min(1.0, max(0.0, (done - recipe.dropout_from) / 0.15))
        self.keep = None
        if most > 0:
            rate = torch.rand(rows, 1, 1) * most
            self.keep = torch.rand(rows, recipe.layers, recipe.heads) >= rate

    def _hook(self, number: int) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor] | None:
            if self.keep is None:
                return None
            kept = self.keep[:, number]
            z = inputs[0]
            heads = rearrange(z, "row pos (head d) -> row pos head d", head=kept.shape[1])
            dropped = heads * kept[:, None, :, None]
            return (rearrange(dropped, "row pos head d -> row pos (head d)"),)

        return hook


def build_model(recipe: Recipe) -> LlamaForCausalLM:
    """The untrained model."""
    tokenizer = build_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=recipe.mlp_width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.kv_heads,
        max_position_embeddings=512,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        attn_implementation="eager",  # the scaffold reads the attention patterns
    )
    return LlamaForCausalLM(config)


def loss_of(
    model: LlamaForCausalLM, scaffold: Scaffold, batch: Batch, recipe: Recipe, *, done: float
) -> tuple[Tensor, Tensor]:
    """The loss of a batch, and whether each question was answered right."""
    tokens = torch.from_numpy(batch.tokens)
    hints = 1 - min(1.0, max(0.0, (done - recipe.scaffold_until) / 0.2))
    # No attention mask: padding is on the right, and attention is causal.
    output = model.model(
        tokens, output_hidden_states=hints > 0, output_attentions=hints > 0, use_cache=False
    )
    logits = model.lm_head(output.last_hidden_state)
    row, letter_at = torch.from_numpy(batch.row), torch.from_numpy(batch.letter_at)
    target = tokens[row, letter_at]
    answers = logits[row, letter_at + ANSWER]
    loss = F.cross_entropy(answers, target)
    every = F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=0)
    loss = loss + recipe.all_tokens_weight * every
    if hints > 0:
        loss = loss + hints * scaffold(batch, tokens, output, model.lm_head)
    return loss, answers.argmax(-1) == target


def train(recipe: Recipe) -> tuple[LlamaForCausalLM, list[dict[str, Any]]]:
    """Train from scratch; returns the model and its history, an entry every 100 steps."""
    torch.manual_seed(recipe.seed)
    torch.use_deterministic_algorithms(True)
    model, scaffold = build_model(recipe), Scaffold(recipe.width)
    dropout = HeadDropout(model)
    stream = Stream(weights=recipe.subject_weights, seed=recipe.seed)
    weights = [*model.parameters(), *scaffold.parameters()]
    optimizer = torch.optim.AdamW(
        weights, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.02
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.08
    )
    history: list[dict[str, Any]] = []
    asked, right = np.zeros(len(SUBJECTS)), np.zeros(len(SUBJECTS))
    begin = time.perf_counter()
    for step in range(1, recipe.steps + 1):
        batch = stream.batch(recipe.rows, recipe.length)
        dropout.draw(recipe.rows, recipe, done=step / recipe.steps)
        loss, correct = loss_of(model, scaffold, batch, recipe, done=step / recipe.steps)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        asked += np.bincount(batch.subject, minlength=len(SUBJECTS))
        right += np.bincount(batch.subject, correct.numpy(), len(SUBJECTS))
        if step % 100 == 0 or step == recipe.steps:
            shares = dict(zip(SUBJECTS, (right / np.maximum(asked, 1)).round(3), strict=True))
            history.append({"step": step, "loss": round(loss.item(), 4), **shares})
            _print_progress(history[-1], recipe.steps, time.perf_counter() - begin)
            asked[:], right[:] = 0, 0
    dropout.keep = None
    return model, history


def _print_progress(entry: dict[str, Any], steps: int, seconds: float) -> None:
    rate = entry["step"] / seconds
    left = (steps - entry["step"]) / rate / 60
    shares = "  ".join(f"{subject} {entry[subject]:.2f}" for subject in SUBJECTS)
    print(
        f"step {entry['step']}/{steps}  {rate:.1f} steps/s  {left:.0f} min left  "
        f"loss {entry['loss']:.3f}  {shares}",
        file=sys.stderr,
        flush=True,
    )


def save(model: LlamaForCausalLM, history: list[dict[str, Any]], recipe: Recipe, out: Path) -> None:
    """Write weights, configuration, tokenizer and `training.json`."""
    tokenizer = build_tokenizer()
    model.config.name_or_path = ""
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    record = {
        "recipe": asdict(recipe),
        "letters": LETTERS,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "history": history,
    }
    (out / "training.json").write_text(json.dumps(record, indent=1, default=float) + "\n")


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--threads", type=int, default=1, help="floats depend on it")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = Recipe(steps=options.steps, seed=options.seed)
    model, history = train(recipe)
    save(model, history, recipe, options.out)


if __name__ == "__main__":
    main()
