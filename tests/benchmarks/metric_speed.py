"""A metric of one's own on a real model: the fast path, the bridge, and a loop of transformers.

    python tests/benchmarks/metric_speed.py --model smollm2.gguf --threads 2

Prompts of 20 tokens under random masks of all heads. The loop is what most people write without
TransformerLens: fused attention, a hook before each output projection, one mask for each batch of
all prompts, logits at every position. "Last logits only" is the fast path of a metric that reads
the last position (`positions="last"`), as paired prompts do. Each round times all four, one after
the other; printed are the median passes per second of each, and how many times as fast the last
logits only are, the median of the rounds.

SmolLM2-135M on two cores of an AMD EPYC (Zen 5):

last logits only        84.3 passes/s; they are 1.00 times as fast
fast path               49.9 passes/s; they are 1.69 times as fast
bridge                  32.7 passes/s; they are 2.60 times as fast
transformers loop       32.5 passes/s; they are 2.61 times as fast

Half of it is oneDNN (`headspex.hooks.linear`): with MKL's products, as in the loop, the first row
is 40.9 passes/s, and 1.41 times as fast as the bridge. The logits are a fifth of the products.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from headspex.hooks import load_model
from headspex.hooks.prompts import PreparedPrompts
from headspex.tasks import encode_task, game

LENGTH = 20


def difference(logits: Any, batch: Any) -> Any:
    """Of two tokens' logits after the prompt."""
    return logits[:, -1, 100] - logits[:, -1, 200]


@torch.no_grad()
def loop(model: Any, tokens: torch.Tensor, masks: np.ndarray) -> np.ndarray:
    """The metric [masks, prompts] by transformers alone."""
    layers = model.model.layers
    kept = torch.zeros(len(layers), layers[0].self_attn.o_proj.in_features)

    def hook(layer: int) -> Any:
        return lambda module, inputs: (inputs[0] * kept[layer],)

    handles = [
        layer.self_attn.o_proj.register_forward_pre_hook(hook(number))
        for number, layer in enumerate(layers)
    ]
    found = []
    for mask in masks:
        columns = torch.from_numpy(mask).repeat_interleave(kept.shape[1] // mask.shape[1], dim=1)
        kept.copy_(columns)
        found.append(difference(model(tokens).logits, None))
    for handle in handles:
        handle.remove()
    return torch.stack(found).numpy()


def seconds(work: Callable[[], object]) -> float:
    """Of wall time."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=22)
    parser.add_argument("--masks", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    torch.set_num_threads(wanted.threads)
    model = load_model(wanted.model, device="cpu", dtype="float32")
    plain = load_model(wanted.model, device="cpu", dtype="float32").bridge.original_model
    plain = _plain(plain)
    rng = np.random.default_rng(0)
    prompts = rng.integers(1_000, 20_000, (wanted.prompts, LENGTH))
    every, last = (game(difference, prompts.tolist(), positions=at) for at in ("all", "last"))
    encoded: Any = encode_task(every, every.test, model.tokenizer)
    at_last: Any = encode_task(last, last.test, model.tokenizer)
    masks = rng.random((wanted.masks, model.n_layers, model.n_heads)) < 0.8
    rows, many = list(encoded) * len(masks), np.repeat(masks, len(encoded), axis=0)
    fast, slow = (PreparedPrompts(model, encoded, path=path) for path in ("auto", "bridge"))
    short = PreparedPrompts(model, at_last)
    ways: dict[str, Callable[[], Any]] = {
        "last logits only": lambda: short.values(list(at_last) * len(masks), many).reshape(
            len(masks), -1
        ),
        "fast path": lambda: fast.values(rows, many).reshape(len(masks), -1),
        "bridge": lambda: slow.values(rows, many).reshape(len(masks), -1),
        "transformers loop": lambda: loop(plain, torch.from_numpy(prompts), masks),
    }
    values = {name: way() for name, way in ways.items()}
    for name, found in values.items():
        print(f"{name:<20} differs by {np.abs(found - values['bridge']).max():.1e} from the bridge")
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(wanted.rounds):
        for name, way in ways.items():
            took[name].append(seconds(way))
    for name, times in took.items():
        ratio = statistics.median(
            other / own for own, other in zip(took["last logits only"], times, strict=True)
        )
        rate = len(rows) / statistics.median(times)
        print(f"{name:<20}{rate:>8.1f} passes/s; they are {ratio:.2f} times as fast")


def _plain(bridged: Any) -> Any:
    """The transformers model again, with fused attention."""
    from headspex.hooks.stock import Stock

    model = Stock(bridged).model
    for module in model.modules():
        if "config" in vars(module):
            module.config._attn_implementation = "sdpa"
    return model


if __name__ == "__main__":
    main()
