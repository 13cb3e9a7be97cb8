"""Two-hop questions of `mini`: is the pair of facts that they need the top interaction?

    python tests/benchmarks/two_hop.py --questions 20 --figure curves.svg

"Anna follows Ben." and "Ben is in Oslo." are needed together, and neither says anything alone.
Removed sentences are left out, or swapped for those of 16 other questions. All 64 masks of six
sentences are scored, so that spectrum, LASSO and Shapley values know the same.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headspex.engine.effects import strongest
from headspex.engine.search import search
from headspex.features import Prompt, TextValue
from headspex.features.questions import explained_question, swaps
from headspex.figures.removal import removal_figure
from headspex.figures.style import save
from headspex.hooks import load_model
from headspex.schedules.removal_curve import (
    RemovalPoint,
    mean_values,
    removal_curves,
    removal_orders,
)
from headspex.tasks import Question, load_task


def needed(question: Question, prompt: Prompt) -> tuple[int, ...]:
    """The sentence about the asked person, and the one with the answer."""
    asked = re.findall(r"\w+", question.question)[-1]
    answer = question.choices[question.answer]
    first = next(i for i, piece in enumerate(prompt.labels) if piece.startswith(f"{asked} follows"))
    second = next(i for i, piece in enumerate(prompt.labels) if piece.endswith(f" {answer}."))
    return tuple(sorted((first, second)))


def mean_curve(curves: Sequence[Sequence[RemovalPoint]]) -> list[RemovalPoint]:
    """Point by point, over the questions."""
    return [
        RemovalPoint(same[0].method, same[0].n_removed, float(np.mean([p.value for p in same])))
        for same in zip(*curves, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    model = load_model("tiny")
    questions = load_task("mini", subjects=["two_hop_reasoning"]).test
    for removal in ("drop", "swap"):
        hits, curves = 0, []
        for question in questions[: options.questions]:
            prompt, scorer = explained_question(model, question)
            value = TextValue(prompt, scorer)
            if removal == "swap":
                fills = swaps(question, questions)
                value = TextValue(prompt, scorer, removal="replace", fills=fills)
            found = search(value, len(prompt), budget=2 ** len(prompt))
            (top,) = strongest(found.spectrum, 1, least_order=2)
            hits += top.players == needed(question, prompt)
            curves.append(removal_curves(value, removal_orders(found)))
        means = {name: round(x, 3) for name, x in mean_values(mean_curve(curves)).items()}
        print(f"{removal}: top interaction {hits}/{len(curves)}; mean log-odds {means}", flush=True)
    if options.figure:
        figure = removal_figure(mean_curve(curves), players="sentences", value="log-odds, nats")
        save(figure, options.figure)


if __name__ == "__main__":
    main()
