"""Train the shipped model: `python -m headspex.tiny.train --out DIR`.

The same arguments on the same machine with the same number of threads give the same bytes. Reading
a passage and then giving a letter is a chain that hardly forms from the letters' loss alone, so two
linear probes, thrown away afterwards, also ask for its links: the right word at the question's last
word, and at each choice whether it is the right one. In the second part of the training whole
heads are switched off at random, so that the model works, more or less well, under many masks.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import transformers
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from headspex.tiny.sequences import NO_TARGET, Batch, Stream
from headspex.tiny.tokenizer import build_tokenizer, vocabulary


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, besides the machine."""

    steps: int = 6_000
    seed: int = 0
    threads: int = 1
    layers: int = 5
    heads: int = 8
    kv_heads: int = 4
    width: int = 128
    mlp_width: int = 256
    tokens_per_step: int = 2_560
    short_row: int = 40  # tokens: one or two questions
    long_row: int = 160  # tokens: up to seven questions, the first ones being shots
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    warm_up: float = 0.03  # share of the steps
    decay_from: float = 0.6  # share of the steps after which the rate falls to zero
    few_shot_from: float = 0.5  # share of the steps after which every fourth step has long rows
    dropout_from: float = 0.45  # share of the steps after which heads are switched off ...
    dropout_full: float = 0.65  # ... and after which they are so at the full rate
    dropout_max: float = 0.4  # a row's rate is uniform between 0 and this
    text_weight: float = 0.1  # loss on all tokens, beside the letters' loss of weight 1
    probe_weight: float = 0.5  # each probe's, until `dropout_from`; then falling to a tenth
    word_probe_layer: int = 3  # layers below the probe of the right word
    match_probe_layer: int = 4  # layers below the probe of the right choice


def build_model(recipe: Recipe) -> LlamaForCausalLM:
    """A fresh model; its weights depend on torch's seed."""
    tokenizer = build_tokenizer()
    config = LlamaConfig(
        vocab_size=len(vocabulary()),
        hidden_size=recipe.width,
        intermediate_size=recipe.mlp_width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.kv_heads,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.05,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        dtype="float32",
    )
    return LlamaForCausalLM(config)


class Probes(nn.Module):
    """Linear read-outs of the residual stream that only the training needs."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.word = nn.Linear(recipe.width, len(vocabulary()))
        self.match = nn.Linear(recipe.width, 2)


def ramp(progress: float, start: float, end: float) -> float:
    """0 before `start`, 1 after `end`, a straight line between."""
    return min(max((progress - start) / (end - start), 0.0), 1.0)


@contextmanager
def random_heads_off(
    model: LlamaForCausalLM, rows: int, rate: float, generator: torch.Generator
) -> Iterator[None]:
    """Zero random heads before `o_proj`; each row has a rate of its own, uniform in 0..`rate`."""
    if rate == 0:
        yield
        return
    config = model.config
    heads = config.num_attention_heads
    rates = rate * torch.rand(rows, 1, 1, 1, generator=generator)
    drawn = torch.rand(rows, config.num_hidden_layers, 1, heads, generator=generator)
    kept = (drawn >= rates).float().repeat_interleave(config.hidden_size // heads, dim=-1)
    handles = [
        layer.self_attn.o_proj.register_forward_pre_hook(
            lambda _, inputs, keep=kept[:, index]: (inputs[0] * keep,)
        )
        for index, layer in enumerate(model.model.layers)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass
class Tally:
    """Right and asked, by the subject of the row, since the last report."""

    right: Tensor
    asked: Tensor


def losses(
    model: LlamaForCausalLM, probes: Probes, batch: Batch, recipe: Recipe, probe_weight: float
) -> tuple[Float[Tensor, ""], Int[Tensor, " questions"], Int[Tensor, " questions"]]:
    """The weighted loss of one batch, with the predicted and the right letter of each question."""
    tokens = torch.from_numpy(batch.tokens)
    letters, words, matches = map(torch.from_numpy, (batch.letters, batch.words, batch.matches))
    asked, known, chosen = letters != NO_TARGET, words != NO_TARGET, matches != NO_TARGET
    output = model.model(input_ids=tokens, use_cache=False, output_hidden_states=True)
    last, hidden = output.last_hidden_state, output.hidden_states
    answers = model.lm_head(last[asked])
    text = tokens[:, 1:] != 0
    loss = cross_entropy(answers, letters[asked])
    loss = loss + recipe.text_weight * cross_entropy(
        model.lm_head(last[:, :-1][text]), tokens[:, 1:][text]
    )
    word = probes.word(hidden[recipe.word_probe_layer][known])
    match = probes.match(hidden[recipe.match_probe_layer][chosen])
    loss = loss + probe_weight * cross_entropy(word, words[known])
    loss = loss + probe_weight * cross_entropy(match, matches[chosen])
    return loss, answers.argmax(-1), letters[asked]


def optimizers(
    model: LlamaForCausalLM, probes: Probes, recipe: Recipe
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the rest."""
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    inside = {id(p) for p in matrices}
    rest = [p for p in [*model.parameters(), *probes.parameters()] if id(p) not in inside]
    return [
        torch.optim.Muon(
            matrices,
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(rest, lr=recipe.learning_rate, weight_decay=0.0, betas=(0.9, 0.98)),
    ]


def train(recipe: Recipe, out: Path) -> None:
    """Train by `recipe` and save model, tokenizer and `training.json` in `out`."""
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    model, probes = build_model(recipe), Probes(recipe)
    stream = Stream(weights=(1, 1.5, 2, 1, 1), seed=recipe.seed)
    optims = optimizers(model, probes, recipe)
    curve, began = [], time.monotonic()
    total, right, asked = 0.0, {}, {}
    for step in range(recipe.steps):
        progress = step / recipe.steps
        rate = recipe.learning_rate * min(
            ramp(progress, -1e-9, recipe.warm_up) + 1e-3, 1 - ramp(progress, recipe.decay_from, 1)
        )
        for optim in optims:
            optim.param_groups[0]["lr"] = rate
        long = progress >= recipe.few_shot_from and step % 4 == 3
        length = recipe.long_row if long else recipe.short_row
        batch = stream.batch(recipe.tokens_per_step // length, length)
        off = ramp(progress, recipe.dropout_from, recipe.dropout_full)
        with random_heads_off(model, len(batch.tokens), off * recipe.dropout_max, generator):
            loss, said, letters = losses(
                model, probes, batch, recipe, recipe.probe_weight * (1 - 0.9 * off)
            )
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optim in optims:
            optim.step()
            optim.zero_grad()
        total += loss.item()
        rows = (torch.from_numpy(batch.letters) != NO_TARGET).nonzero()[:, 0]
        for s, ok in zip(batch.tokens[rows.numpy(), 1], (said == letters).tolist()):
            right[s] = right.get(s, 0) + ok
            asked[s] = asked.get(s, 0) + 1
        if (step + 1) % 100 == 0:
            names = vocabulary()
            acc = {names[s]: round(right[s] / asked[s], 2) for s in sorted(asked)}
            spent = time.monotonic() - began
            left = spent / (step + 1) * (recipe.steps - step - 1)
            print(f"step {step + 1} loss {total / 100:.3f} {acc} {(step + 1) / spent:.2f}/s left {left / 60:.0f} min", file=sys.stderr, flush=True)
            curve.append([step + 1, round(total / 100, 4)])
            total, right, asked = 0.0, {}, {}
        if (step + 1) % 500 == 0 or step + 1 == recipe.steps:
            model.save_pretrained(out)
            build_tokenizer().save_pretrained(out)
    (out / "training.json").write_text(json.dumps({"recipe": asdict(recipe), "curve": curve, "seconds": time.monotonic() - began}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    for name, value in asdict(Recipe()).items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value)
    o = vars(parser.parse_args())
    train(Recipe(**{k: v for k, v in o.items() if k != "out"}), o["out"])


if __name__ == "__main__":
    main()
