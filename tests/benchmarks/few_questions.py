"""Is R² from a few questions a mask that of all questions, and does its interval cover it?

    python tests/benchmarks/few_questions.py [--runs 20] [--first 0] [--bank FILE.npz]

Spectra of searches on `mini`, by the shipped model, predict masks that were asked every question.
Each is judged as a run judges it, by a few random questions a mask: once on the very masks that
all answers are known for (the difference is the error of few questions alone, and its mean over
many draws of questions is the bias), and many times on masks drawn from them, for the coverage of
the R² over all of them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from headspex.budget.allocation import spend
from headspex.budget.sample import draw_sample
from headspex.engine.faithfulness import Faithfulness, Measured, faithfulness
from headspex.engine.fit import fit_spectrum
from headspex.engine.sampling import draw_masks
from headspex.runs.findings import search_scores
from headspex.scores.spread import assign_questions, sampled_values
from headspex.scores.store import ScoreStore
from headspex.study import Study
from headspex.support.seeds import stream

KEEP, METRIC = 0.7, "accuracy"
FRESH, QUESTIONS = 300, 38  # as a default run of `mini` asks


def bank(masks: int, questions: int, file: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Masks with all their answers, from the file where it holds them."""
    if file is not None and file.is_file():
        found = np.load(file)
        return found["masks"], found["answers"]
    study = Study("tiny", "mini")
    drawn = draw_masks(masks, len(study.players), keep=KEEP, seed=stream(12_345, "bank"))
    with (
        tempfile.TemporaryDirectory() as folder,
        ScoreStore(Path(folder) / "bank.sqlite", study.scored_by(None)) as store,
    ):
        judge = study.judge(store)
        answers = judge.ask_all(drawn, np.arange(questions), metrics=[METRIC], what="bank")
    if file is not None:
        np.savez_compressed(file, masks=drawn, answers=answers[METRIC])
    return drawn, answers[METRIC]


def predicted(seed: int, passes: int, masks: np.ndarray) -> np.ndarray:
    """What the spectrum of a search of so many passes says of the masks."""
    study = Study(
        "tiny", "mini", seed=seed, budget=passes, keep=KEEP, questions_per_mask=2, threads=1
    )
    sample = draw_sample(study.plan, spend(study.plan, KEEP, 2), seed=seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        ScoreStore(Path(folder) / "search.sqlite", study.scored_by(None)) as store,
    ):
        data = sample.observed(search_scores(study.judge(store), sample, [METRIC])[METRIC])
    spectrum = fit_spectrum(data.masks, data.values, keep=KEEP, weights=data.weights, seed=seed)
    return np.asarray(spectrum.predict(masks))


def judged(
    answers: np.ndarray, said: np.ndarray, chosen: np.ndarray, rng: np.random.Generator
) -> Faithfulness:
    """The R² of a few answers of the chosen masks."""
    n_questions = answers.shape[1]
    asked = assign_questions(len(chosen), n_questions, QUESTIONS, rng=rng)
    scores = answers[chosen[:, None], asked]
    measured = sampled_values(scores, asked, n_questions, expected=said[chosen])
    found = faithfulness(measured, said[chosen], seed=int(rng.integers(1 << 31)))
    assert found is not None
    return found


def main() -> None:
    """Print a line for each run, and what they come to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="seed of the first run")
    parser.add_argument("--redraws", type=int, default=100)
    parser.add_argument("--bank", type=Path, help="where all answers are kept")
    options = parser.parse_args()
    masks, answers = bank(500, 400, options.bank)
    values = answers.mean(axis=1)
    gaps, means, hits, widths = [], [], [], []
    for seed in range(options.first, options.first + options.runs):
        rng = np.random.default_rng(seed)
        said = predicted(seed, int(2_000 * 1.12 ** (seed % 20)), masks)
        truth = faithfulness(Measured.exactly(values), said)
        chosen = rng.permutation(len(masks))[:FRESH]
        full = faithfulness(Measured.exactly(values[chosen]), said[chosen])
        few = judged(answers, said, chosen, rng)
        assert truth is not None
        assert full is not None
        gaps.append(few.r2 - full.r2)
        again = [judged(answers, said, chosen, rng).r2 for _ in range(options.redraws)]
        means.append(np.mean(again) - full.r2)
        drawn = [
            judged(answers, said, rng.integers(len(masks), size=FRESH), rng)
            for _ in range(options.redraws)
        ]
        hits += [one.low <= truth.r2 <= one.high for one in drawn]
        widths += [one.high - one.low for one in drawn]
        print(f"run {seed}: all questions R² {full.r2:.3f}, few {few}", flush=True)
    for title, found in (("one draw of questions", gaps), ("mean of all draws", means)):
        error = np.std(found, ddof=1) / np.sqrt(len(found))
        print(f"few less all, {title}: {np.mean(found):+.4f} ± {error:.4f} (standard error)")
    print(
        f"coverage {np.mean(hits):.1%} of {len(hits)} intervals, mean width {np.mean(widths):.3f}"
    )


if __name__ == "__main__":
    main()
