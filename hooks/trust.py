"""Whether the fast path may replace the bridge: a check of the model, and a comparison of both.

In float64 rounding is negligible, so any difference is an error of the arithmetic or of a weight.
In the model's own dtype both paths round, more with fewer heads on, and are compared by their
distance from float64.
"""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from headspex.errors import UsageError
from headspex.hooks.ablation import Ablation
from headspex.hooks.batching import Work, plan_work
from headspex.hooks.decoder import Decoder, decoder_of
from headspex.hooks.exact import can_be_exact, exactly
from headspex.hooks.fast import FastPath
from headspex.hooks.inputs import Inputs
from headspex.hooks.load_in import is_quantised
from headspex.hooks.plain import PlainPath, has_hooks
from headspex.hooks.token_budget import Path, TokenBudget, scores
from headspex.support.notice import say_once
from headspex.support.seeds import stream

KEEPS = (1.0, 0.8, 0.5, 0.1)  # share of heads and MLPs that each mask keeps
# Nats. SmolLM2's paths agree to 1e-12 in float64, and adding 1e-3 to one of its 135 million weights
# changes the log-probabilities of a text by 4e-7 or more.
EXACT = 1e-8
# The fast path may be this many times as far from float64 as the bridge: fused attention sums in
# another order, and with one head in ten of SmolLM2 on it was nine times as far.
ROUNDING = 32
# Nats that are always allowed, for models so small that the bridge hardly rounds; the only check on
# devices without float64. In half precision both paths round at every step.
TOLERANCE = {torch.float32: 1e-3, torch.float16: 1e-1, torch.bfloat16: 5e-1}

_compared: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def trusted_decoder(bridge: Any, inputs: Inputs, batch_tokens: int) -> tuple[Decoder | None, str]:
    """A bridge's model in parts, or None and the reason why it does not replace the bridge.

    They are compared once per bridge, on two short questions under four masks of heads and MLPs.

    Args:
        bridge: a TransformerBridge.
        inputs: all inputs of later calls.
        batch_tokens: of one forward pass.
    """
    if has_hooks(bridge):
        return None, "it has hooks already"
    decoder, reason = decoder_of(bridge, max(len(one.tokens) for one in inputs.passes))
    if decoder is None:
        return None, reason
    if bridge not in _compared:
        work = _sample(inputs, int(bridge.cfg.n_layers), int(bridge.cfg.n_heads))
        plain = PlainPath(bridge, inputs)

        def fast() -> Path:  # a decoder stores positions in the precision it runs in
            return FastPath(Decoder(bridge), inputs, batch_tokens)

        _compared[bridge] = _compare(bridge, fast(), fast, plain, work, batch_tokens) or ""
    return (None, _compared[bridge]) if _compared[bridge] else (decoder, "")


def say_slower(reason: str) -> None:
    """Print once why the bridge runs instead of the fast path."""
    say_once(f"no fast forward pass for this model: {reason}; its bridge is used, more slowly")


def _compare(
    bridge: Any,
    fast: Path,
    exact: Callable[[], Path],
    plain: Path,
    work: Work,
    batch_tokens: int,
) -> str | None:
    model = bridge.original_model

    def ask(path: Path, dtype: torch.dtype, tokens: int) -> torch.Tensor:
        return scores(path, work, Ablation(), TokenBudget(tokens), dtype=dtype)

    found, expected = (ask(path, torch.float32, batch_tokens) for path in (fast, plain))
    if not can_be_exact(model):
        # Products of quantised layers round at every step, whatever the dtype around them.
        rough = TOLERANCE[torch.float16] if is_quantised(model) else 0.0
        apart, allowed = _apart(found, expected), max(rough, TOLERANCE[model.dtype])
    else:
        half = max(1, batch_tokens // 2)
        try:
            with exactly():
                truth = ask(plain, torch.float64, half)
                error = _apart(ask(exact(), torch.float64, half), truth)
        except UsageError:
            return "there is too little memory to compare it with the bridge in float64"
        # Negated, so that NaN is refused too.
        if not error <= EXACT:
            return f"its log-probabilities differ by {error:.1e} from the bridge's, in float64"
        apart = _apart(found, truth)
        allowed = max(TOLERANCE[model.dtype], ROUNDING * _apart(expected, truth))
    if not apart <= allowed:
        return f"its log-probabilities are off by {apart:.1e}; rounding allows {allowed:.1e}"
    return None


def _apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.double() - expected.double()).abs().max())


def _sample(inputs: Inputs, layers: int, heads: int) -> Work:
    def length(question: int) -> int:
        return max(len(inputs.passes[index].tokens) for index in inputs.of_question[question])

    short = sorted(range(len(inputs.of_question)), key=lambda n: (length(n), n))[:2]
    drawn = stream(0, "trust").random((len(KEEPS), layers, heads + 1))
    masks = drawn < np.array(KEEPS)[:, None, None]
    return plan_work(inputs, [short[n % len(short)] for n in range(len(KEEPS))], masks)
