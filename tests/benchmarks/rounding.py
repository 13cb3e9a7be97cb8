"""What float32 rounding does to a real model under masks, by each way to score it.

    OMP_NUM_THREADS=1 python tests/benchmarks/rounding.py smollm2-135m

Heads and MLPs are kept with probability 1, .8, .5 and .1. Printed is the largest distance from the
bridge in float64, in nats: of the log-probabilities of next tokens after prompts, and of whole
texts of 128 tokens (all their tokens together). The zeroed checkpoint is transformers' own model
with fused attention, the columns of `o_proj` of heads that are off, and `down_proj` of MLPs, set to
zero.

The fast path must be trusted throughout. Then one weight of a layer in the middle is off by 1e-3 in
the fast path alone, in each of its matrices and norms in turn, and the path must be refused.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from headspex.errors import UsageError
from headspex.hooks import answer_log_probs, load_model
from headspex.hooks.ablation import Ablation
from headspex.hooks.batching import plan_work
from headspex.hooks.exact import exactly
from headspex.hooks.inputs import plan_inputs
from headspex.hooks.plain import PlainPath
from headspex.hooks.stock import Stock
from headspex.hooks.token_budget import TokenBudget, scores
from headspex.hooks.trust import KEEPS, _compared
from headspex.tasks import EncodedQuestion

PROMPTS = (
    "The capital of France is",
    "When Mary and John went to the store, John gave a drink to",
    "Two and two are four, and four and four are",
    "The keys to the old wooden cabinet in the hall",
)
TEXT = Path(__file__).resolve().parents[2] / "docs" / "guides" / "own-model.md"
TOKENS = 128
MIDDLE = 15


def questions(tokenizer: Any) -> dict[str, list[EncodedQuestion]]:
    """Prompts with four next tokens each, and texts as one long answer each."""
    nexts = [tuple(tokenizer(word).input_ids[-1:]) for word in (" Paris", " Mary", " eight", " is")]
    prompts = [EncodedQuestion(tuple(tokenizer(one).input_ids), tuple(nexts)) for one in PROMPTS]
    tokens = tokenizer(TEXT.read_text(), verbose=False).input_ids
    parts = [tokens[start : start + TOKENS] for start in (0, TOKENS)]
    texts = [EncodedQuestion((part[0],), (tuple(part[1:]),)) for part in parts]
    return {"prompts": prompts, "texts": texts}


def truth(bridge: Any, asked: list[EncodedQuestion], mask: np.ndarray) -> np.ndarray:
    """By the bridge, in float64."""
    inputs = plan_inputs(asked, int(bridge.original_model.config.max_position_embeddings))
    work = plan_work(inputs, range(len(asked)), np.stack([mask] * len(asked)))
    with exactly():
        path = PlainPath(bridge, inputs)
        return scores(path, work, Ablation(), TokenBudget(2048), dtype=torch.float64).numpy()


@torch.no_grad()
def zeroed(plain: Any, asked: list[EncodedQuestion], mask: np.ndarray) -> np.ndarray:
    """By transformers alone, with weights set to zero."""
    layers, saved = plain.model.layers, []
    for layer, kept in zip(layers, torch.from_numpy(mask), strict=True):
        out, down = layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight
        saved.append((out.clone(), down.clone()))
        out *= kept[:-1].repeat_interleave(out.shape[1] // (len(kept) - 1))
        down *= kept[-1]
    rows = []
    for question in asked:
        row = []
        for answer in question.continuations:
            tokens = torch.tensor([question.context + answer])
            table = torch.log_softmax(plain(tokens[:, :-1]).logits[0, -len(answer) :], dim=-1)
            row.append(table.gather(1, torch.tensor(answer)[:, None]).sum())
        rows.append(torch.stack(row))
    for layer, (out, down) in zip(layers, saved, strict=True):
        layer.self_attn.o_proj.weight.copy_(out)
        layer.mlp.down_proj.weight.copy_(down)
    return torch.stack(rows).double().numpy()


def table(model: Any) -> None:
    """Print the distances."""
    bridge, rng = model.bridge, np.random.default_rng(0)
    plain = Stock(bridge.original_model).model
    for module in plain.modules():
        if "config" in vars(module):
            module.config._attn_implementation = "sdpa"
    ways = ("fast path", "bridge", "zeroed checkpoint")
    print(f"{'':<10}{'keep':>6}" + "".join(f"{way:>20}" for way in ways))
    for name, asked in questions(model.tokenizer).items():
        for keep in KEEPS:
            mask = rng.random((model.n_layers, model.n_heads + 1)) < keep
            exact = truth(bridge, asked, mask)
            how: dict[str, Any] = {"keep_masks": mask[:, :-1], "keep_mlps": mask[:, -1]}
            found = [
                answer_log_probs(model, asked, path="fast", **how),
                answer_log_probs(model, asked, path="bridge", **how),
                zeroed(plain, asked, mask),
            ]
            apart = "".join(f"{np.abs(one - exact).max():>20.1e}" for one in found)
            print(f"{name:<10}{keep:>6}{apart}", flush=True)


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Inside the block a weight of the fast path is off."""

    class Planted(Stock):
        def __init__(self, model: Any) -> None:
            super().__init__(model)
            path, _, parameter = name.rpartition(".")
            module = self.model.get_submodule(path)
            weight = module._parameters[parameter].detach().clone()
            weight.view(-1)[7] += 1e-3
            wrong = torch.nn.Parameter(weight, requires_grad=False)
            module.__dict__["_parameters"] = {**module._parameters, parameter: wrong}

    with patch("headspex.hooks.decoder.Stock", Planted):
        yield


def main() -> None:
    """Print the table, and what is said of each planted error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a Llama")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(wanted.model, device="cpu", dtype="float32")
    table(model)
    asked = questions(model.tokenizer)["prompts"]
    layer = Stock(model.bridge.original_model).model.model.layers[MIDDLE]
    for name, _ in layer.named_parameters():
        _compared.pop(model.bridge, None)  # the comparison is made once for a model
        with planted(f"model.layers.{MIDDLE}.{name}"):
            try:
                answer_log_probs(model, asked, path="fast")
                said = "NOT REFUSED"
            except UsageError as error:
                said = str(error)
        print(f"{name:<34} off by 1e-3: {said}", flush=True)


if __name__ == "__main__":
    main()
