"""The fast forward pass against the naive TransformerLens loop, side by side on one thread.

    OMP_NUM_THREADS=1 python tests/benchmarks/scoring.py --repeats 5

With `--threads 2` (and OMP_NUM_THREADS=2) wall time is counted, which wants a quiet machine.

The naive loop runs one mask per `run_with_hooks` on a padded batch and takes the logits of the
whole vocabulary at every position. Each line gives (mask, question) pairs per CPU second of both,
the median ratio of CPU times over alternated repeats, the largest difference of a log-probability,
and, where nothing is shared, the share of the matmul peak (a 2048 x 2048 float32 product): the
arithmetic of whole prompts over the time the fast path took.

One core of an AMD EPYC (Zen 5), three repeats:

                                                         pairs/CPU s
                                              pairs    naive     fast  ratio       diff    peak
all layers, no prefix                           384     35.1    101.7  x2.8     2.0e-05     60%
middle layers 3-5, no prefix                    384     33.4    152.8  x4.6     1.9e-05
last quarter 6-7, no prefix                   1,536     34.7    524.1  x15.3    2.3e-05
all layers, prefix of 700                       384      2.5     97.9  x39.2    1.5e-05
layers 5-7, prefix of 700                       768      2.5    276.1  x109.9   2.5e-05
tiny: all layers, 0 shots                       640    633.4   2138.7  x3.4     3.9e-06     31%
tiny: layers 2-3, 0 shots                       640    625.4   2949.0  x4.6     6.2e-06
tiny: last layer, 0 shots                     2,560    639.8  25671.2  x38.7    6.9e-06
tiny: all layers, 5 shots                       320    150.6   1110.1  x7.4     4.2e-06
tiny: last 3 layers, 5 shots                    640    149.0   1985.7  x13.4    3.8e-06
Llama: all layers, 150-700 tokens                48      3.4     23.5  x7.0     1.4e-05     47%
Qwen2: all layers, 150-700 tokens                48      3.6     23.6  x6.6     2.0e-05
Gemma2: all layers, 150-700 tokens               48      2.2     11.3  x5.1     5.7e-06
Gemma3Text: all layers, 150-700 tokens           48      3.4     20.4  x6.0     6.7e-06
GPT2: all layers, 150-700 tokens                 48      3.4     19.8  x5.7     4.8e-06
30 layers: last 3, 80-160 tokens                192     10.2    174.3  x17.1    9.0e-05

With two threads the five rows of 150-700 tokens were x4.7, x4.6, x3.4, x4.6 and x4.2 before oneDNN.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch

from headspex.hooks import ablation_hooks, answer_log_probs, load_model
from headspex.hooks.bridging import bridge_from_model
from headspex.hooks.linear import use_onednn
from headspex.tasks import EncodedQuestion, encode_task, load_task

NAIVE_TOKENS = 4_096  # of one padded batch


@dataclass(frozen=True)
class Setting:
    """Which masks ask which questions; every mask asks all of them."""

    name: str
    layers: range  # whose heads are switched
    questions: Sequence[EncodedQuestion]
    masks: int
    peak: bool = False  # whether to print the share of it: nothing is shared, and it is a Llama


def random_bridge(family: str, **config: Any) -> Any:
    """A bridge around 8 layers, 8 heads on 4 KV heads, width 256, vocabulary 2,048.

    Args:
        family: such as "Llama", as transformers names its classes.
        config: what is different.
    """
    import transformers

    torch.manual_seed(0)
    sizes = {
        "vocab_size": 2048, "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 8,
        "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 2048,
        "initializer_range": 0.1, **config,
    }  # fmt: skip
    # The loop's attention, as TransformerLens loads models.
    fields = getattr(transformers, f"{family}Config")(**sizes, attn_implementation="eager")
    model = transformers.AutoModelForCausalLM.from_config(fields).eval().requires_grad_(False)
    return bridge_from_model(model, type(model).__name__, "random").eval()


def random_questions(count: int, prefix: int, low: int, high: int) -> list[EncodedQuestion]:
    """Questions of `low` to `high` tokens behind the same `prefix` tokens."""
    rng = np.random.default_rng(1)
    shots = rng.integers(3, 2048, prefix).tolist()
    return [
        EncodedQuestion(
            (*shots, *rng.integers(3, 2048, rng.integers(low, high + 1)).tolist()),
            ((10,), (11,), (12,), (13,)),
        )
        for _ in range(count)
    ]


def draw_masks(setting: Setting, n_layers: int, n_heads: int) -> np.ndarray:
    """Bool [masks, layers, heads] at keep 0.5."""
    masks = np.ones((setting.masks, n_layers, n_heads), dtype=bool)
    rng = np.random.default_rng(2)
    for layer in setting.layers:
        masks[:, layer] = rng.random((setting.masks, n_heads)) < 0.5
    return masks


@torch.no_grad()
def naive(bridge: Any, questions: Sequence[EncodedQuestion], masks: np.ndarray) -> np.ndarray:
    """The loop most people write: [masks x questions, choices]."""
    rows = []
    longest = max(len(question.context) for question in questions)
    size = max(1, NAIVE_TOKENS // longest)
    for mask in masks:
        hooks = ablation_hooks(bridge, mask)
        for start in range(0, len(questions), size):
            part = questions[start : start + size]
            tokens = torch.zeros(len(part), max(len(q.context) for q in part), dtype=torch.long)
            for line, question in zip(tokens, part, strict=True):
                line[: len(question.context)] = torch.tensor(question.context)
            logits = bridge.run_with_hooks(tokens, fwd_hooks=hooks)
            for line, question in zip(logits, part, strict=True):
                answers = [answer[0] for answer in question.continuations]
                rows.append(torch.log_softmax(line[len(question.context) - 1], -1)[answers])
    return torch.stack(rows).numpy()


def fast(bridge: Any, questions: Sequence[EncodedQuestion], masks: np.ndarray) -> np.ndarray:
    """The same numbers by the fast path."""
    asked = [question for _ in masks for question in questions]
    rows = np.repeat(masks, len(questions), axis=0)
    return answer_log_probs(bridge, asked, rows, path="fast")


def seconds(work: Callable[[], object]) -> float:
    """Of CPU time with one thread; of wall time with several, which also count as they wait."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    work()
    return clock() - start


def peak() -> float:
    """Floating-point operations a second of a 2048 x 2048 product, as headspex multiplies."""
    a = torch.randn(2048, 2048)
    layer = torch.nn.Sequential(torch.nn.Linear(2048, 2048, bias=False).requires_grad_(False))
    use_onednn(layer)
    return 2 * 2048**3 / seconds(lambda: layer(a))


def arithmetic(bridge: Any, questions: Sequence[EncodedQuestion]) -> float:
    """Floating-point operations that one mask needs for all questions, nothing shared.

    The last layer's queries, MLP and logits count at one position only; causal attention counts
    half of the square.
    """
    config = bridge.original_model.config
    width, inner, d_head = config.hidden_size, config.intermediate_size, config.head_dim
    q, kv = config.num_attention_heads * d_head, 2 * config.num_key_value_heads * d_head
    per_token = 2 * (width * (2 * q + kv) + 3 * width * inner)
    total = 0
    for question in questions:
        length = len(question.context)
        full = length * per_token + 2 * q * length * (length + 1)
        last = length * 2 * width * kv + (per_token - 2 * width * kv) + 4 * q * length
        total += (config.num_hidden_layers - 1) * full + last + 2 * width * config.vocab_size
    return float(total)


def compare(bridge: Any, setting: Setting, repeats: int) -> str:
    """One line of the table."""
    masks = draw_masks(setting, int(bridge.cfg.n_layers), int(bridge.cfg.n_heads))
    pairs = len(masks) * len(setting.questions)
    # The naive loop's time is proportional, so that a sample of the pairs will do.
    step = max(1, len(setting.questions) // 6)
    few, some = masks[:2], setting.questions[::step]
    found = fast(bridge, setting.questions, masks).reshape(len(masks), len(setting.questions), -1)
    expected = naive(bridge, some, few).reshape(len(few), len(some), -1)
    difference = np.abs(found[:2, ::step] - expected).max()
    slow, quick, peaks = [], [], []
    for _ in range(repeats):
        slow.append(seconds(lambda: naive(bridge, some, few)) / expected[..., 0].size)
        quick.append(seconds(lambda: fast(bridge, setting.questions, masks)) / pairs)
        peaks.append(peak())
    ratio = statistics.median(a / b for a, b in zip(slow, quick, strict=True))
    rates = [1 / statistics.median(times) for times in (slow, quick)]
    shown = ""
    if setting.peak:
        work = arithmetic(bridge, setting.questions) / len(setting.questions)
        shown = f"{statistics.median(work / b / p for b, p in zip(quick, peaks, strict=True)):.0%}"
    return (
        f"{setting.name:<44}{pairs:>7,}{rates[0]:>9.1f}{rates[1]:>9.1f}  x{ratio:<6.1f}"
        f"{difference:>9.1e}{shown:>8}"
    )


def settings_of_random() -> list[Setting]:
    """The settings that the design names, on the random Llama."""
    short = random_questions(24, 0, 80, 160)
    shots = random_questions(48, 700, 30, 60)
    return [
        Setting("all layers, no prefix", range(8), short, 16, peak=True),
        Setting("middle layers 3-5, no prefix", range(3, 6), short, 16),
        Setting("last quarter 6-7, no prefix", range(6, 8), short, 64),
        Setting("all layers, prefix of 700", range(8), shots, 8),
        Setting("layers 5-7, prefix of 700", range(5, 8), shots, 16),
    ]


# Sizes of a family where those of `random_bridge` are not its own.
FAMILIES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Qwen2": {},
    "Gemma2": {"head_dim": 32, "sliding_window": 256},
    "Gemma3Text": {"head_dim": 32, "sliding_window": 256},
    "GPT2": {"n_inner": 1024, "num_key_value_heads": None, "intermediate_size": None},
}


def settings_of_families() -> Iterator[tuple[Callable[[], Any], Setting]]:
    """Prompts as long as those of MMLU, all layers; and the last tenth of a deep Llama."""
    long = random_questions(12, 0, 150, 700)
    for family, sizes in FAMILIES.items():
        peak = family == "Llama"
        setting = Setting(f"{family}: all layers, 150-700 tokens", range(8), long, 4, peak=peak)
        yield partial(random_bridge, family, **sizes), setting
    short = random_questions(12, 0, 80, 160)
    deep = Setting("30 layers: last 3, 80-160 tokens", range(27, 30), short, 16)
    yield partial(random_bridge, "Llama", num_hidden_layers=30), deep


def settings_of_tiny() -> list[Setting]:
    """The same on the shipped model and task."""
    task, tokenizer = load_task("mini"), tiny().tokenizer
    asked = task.test[::30]

    def encoded(shots: int) -> list[EncodedQuestion]:
        return encode_task(task, asked, tokenizer, shots=shots)

    return [
        Setting("tiny: all layers, 0 shots", range(6), encoded(0), 16, peak=True),
        Setting("tiny: layers 2-3, 0 shots", range(2, 4), encoded(0), 16),
        Setting("tiny: last layer, 0 shots", range(5, 6), encoded(0), 64),
        Setting("tiny: all layers, 5 shots", range(6), encoded(5), 8),
        Setting("tiny: last 3 layers, 5 shots", range(3, 6), encoded(5), 16),
    ]


@cache
def tiny() -> Any:
    """The shipped model."""
    return load_model("tiny", device="cpu", dtype="float32")


def table() -> Iterator[tuple[Callable[[], Any], Setting]]:
    """Settings, each with what makes its bridge."""
    yield from ((partial(random_bridge, "Llama"), setting) for setting in settings_of_random())
    yield from ((lambda: tiny().bridge, setting) for setting in settings_of_tiny())
    yield from settings_of_families()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="settings whose name contains this")
    wanted = parser.parse_args()
    torch.set_num_threads(wanted.threads)
    clock = "CPU s" if wanted.threads == 1 else "s"
    print(f"{'pairs/' + clock:>68}")
    print(f"{'':<44}{'pairs':>7}{'naive':>9}{'fast':>9}  {'ratio':<7}{'diff':>9}{'peak':>8}")
    for make, setting in table():
        if wanted.only in setting.name:
            print(compare(make(), setting, wanted.repeats), flush=True)


if __name__ == "__main__":
    main()
