"""Pruning schedules on the loss of stories260k, at a tenth of true greedy's forward passes.

    python tests/benchmarks/story_schedules.py MODEL --seeds 3 --out runs/stories

samples stories from the model (temperature 1), for each seed its own, searches on 32 of them, or on
`--stories`, and judges on 128 others: mean loss in nats per token when 4 to 28 of 40 heads are
removed. True greedy tries every remaining head on all stories of the search at every step, 26,240
passes of 32; every fitted method gets a tenth of them. A pass is one story under one mask; a
backward pass counts two. Intervals are clustered by seed.
"""

import argparse
from pathlib import Path

import numpy as np
from schedules import GREEDY, UNREFINED, print_table, true_greedy

from headspex.comparison.known import Known
from headspex.comparison.methods import OURS
from headspex.comparison.orders import ORDERS
from headspex.engine.fit import fit_spectrum
from headspex.engine.methods.baselines import BASELINES
from headspex.engine.observations import observe
from headspex.engine.sampling import draw_masks
from headspex.hooks import load_model
from headspex.players import Players
from headspex.runs.findings import random_schedules
from headspex.schedules.schedule import Schedule, prune_schedule, schedule_from_scores
from headspex.scores.block import SLOPE_PASSES
from headspex.scores.judge import Judge
from headspex.scores.spread import mask_values
from headspex.scores.store import ScoreStore
from headspex.tasks import EncodedQuestion, Question, Task
from headspex.tasks.scoring import unit_of
from headspex.walk.walk import CANDIDATES, walk

HELDOUT = 128
TOKENS = 128
SIZES = (4, 8, 12, 16, 20, 24, 28)
KEEP = 0.8
N_SLOPES = 15


def stories(model: str, count: int, *, seed: int) -> list[EncodedQuestion]:
    """Texts of the model's own."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    start = torch.full((count, 1), 1)
    options = {"max_new_tokens": TOKENS - 1, "min_new_tokens": TOKENS - 1, "pad_token_id": 0}
    plain = AutoModelForCausalLM.from_pretrained(model)
    rows = plain.generate(start, do_sample=True, **options).tolist()
    return [EncodedQuestion((row[0],), (tuple(row[1:]),)) for row in rows]


def schedules_of(
    judge: Judge, slopes: ScoreStore, search: np.ndarray, *, budget: int, seed: int
) -> dict[str, list[Schedule]]:
    """Every method's schedule, for `budget` passes; what comes from the model takes what it takes.

    Ours is almost all walk, more than half of it for slopes; two passes of each story are left for
    a spectrum.
    """
    n, per_candidate = len(judge.players), len(search) // 4
    walked = SIZES[-1] * CANDIDATES * per_candidate + SLOPE_PASSES * len(search) * N_SLOPES
    masks = draw_masks(budget, n, keep=KEEP, seed=seed)
    rng = np.random.default_rng(seed)
    asked = np.concatenate(
        [rng.permutation(search) for _ in range(budget // len(search) + 1)]
    )[:budget]  # fmt: skip
    scores = judge.ask(masks, asked[:, None], metrics=["logprob"], what="search")["logprob"][:, 0]

    def values(count: int) -> np.ndarray:
        return mask_values(
            scores[:count], np.arange(count), asked[:count], len(search), masks[:count]
        )

    def measure(some: np.ndarray, questions: np.ndarray) -> np.ndarray:
        return judge.ask_all(some, questions, metrics=["logprob"], what="walk")["logprob"]

    def sloped(some: np.ndarray, questions: np.ndarray) -> np.ndarray:
        return judge.slopes(some, questions, metric="logprob", store=slopes, what="slopes")

    first = budget - walked
    spectrum = fit_spectrum(masks[:first], values(first), keep=KEEP, seed=seed)
    found = walk(
        spectrum, measure, len(search), steps=SIZES[-1], per_candidate=per_candidate,
        slopes=sloped, n_slopes=N_SLOPES, rng=rng,
    )  # fmt: skip
    assert first + found.passes(SLOPE_PASSES) <= budget
    whole = fit_spectrum(masks, values(budget), keep=KEEP, seed=seed)
    data = observe(masks, values(budget), keep=KEEP)
    unit = unit_of("logprob", float(np.abs(values(budget)).mean()))
    known = Known(judge, search, "logprob", "logprob", "logprob", unit, whole, budget, slopes, seed)
    result = {OURS: [found.schedule], UNREFINED: [prune_schedule(whole)]}
    for name, baseline in BASELINES.items():
        if name != "random":
            result[name] = [prune_schedule(baseline(data, seed=seed))]
    for name, order in ORDERS.items():
        result[name] = [schedule_from_scores(order.importance(known))]
    result["random"] = random_schedules(n, seed=seed)
    return result


def main() -> None:
    """Run all seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--stories", type=int, default=32, help="to search on")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    model = load_model(options.model)
    players = Players.heads(model.n_layers, model.n_heads)
    search, heldout = np.arange(options.stories), options.stories + np.arange(HELDOUT)
    questions = [Question("", str(i), ("",), 0) for i in range(options.stories + HELDOUT)]
    task = Task("stories", test=tuple(questions))
    n = len(players)
    passes = sum(range(n + 1)) * len(search)
    kept: dict[str, list[np.ndarray]] = {}
    wholes: list[float] = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        path = options.out / f"seed{seed}.sqlite"
        with ScoreStore(path) as store, ScoreStore(path.with_suffix(".slopes")) as slopes:
            texts = stories(options.model, len(questions), seed=seed)
            judge = Judge(model, players, task, questions, texts, store=store)

            def ask(masks: np.ndarray, which: np.ndarray, judge: Judge = judge) -> np.ndarray:
                return judge.ask_all(masks, which, metrics=["logprob"], what="stories")["logprob"]

            greedy = true_greedy(lambda masks: ask(masks, search).mean(axis=1), n, SIZES[-1])
            found = schedules_of(judge, slopes, search, budget=passes // 10, seed=seed)
            found[GREEDY] = [greedy]
            for method, several in found.items():
                rows = [-ask(one.masks(SIZES), heldout) / (TOKENS - 1) for one in several]
                kept.setdefault(method, []).append(np.mean(rows, axis=0))
            wholes.append(-ask(np.ones((1, n), dtype=bool), heldout).mean() / (TOKENS - 1))
    print(
        f"whole model {np.mean(wholes):.4f} nats per token; {passes // 10:,} passes of {passes:,}"
    )
    pooled = {method: np.concatenate(parts, axis=1) for method, parts in kept.items()}
    cluster = np.repeat(np.arange(options.seeds), HELDOUT)  # a seed's stories share schedules
    print("removed" + " " * 21 + "".join(f"{size:8d} " for size in SIZES))
    # Losses, so that - says that ours is lower.
    print_table(
        SIZES, pooled, dict.fromkeys(pooled, (cluster,)), options.out / "stories.csv",
        of=dict.fromkeys(pooled, pooled[OURS]),
    )  # fmt: skip
    relative = pooled[OURS].mean(axis=1) / pooled[GREEDY].mean(axis=1) - 1
    print("ours less true greedy, relative:", " ".join(f"{x:+.2%}" for x in relative))


if __name__ == "__main__":
    main()
