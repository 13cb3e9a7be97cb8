"""Scores of one model on questions of a task, whole or under a mask: `headspex eval`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from headspex.errors import UsageError, argument
from headspex.hooks.lm_eval_order import harness_log_probs
from headspex.hooks.measuring import measure, prepare
from headspex.mask_file import MaskFile
from headspex.runs.run_folder import RunFolder, read_run
from headspex.scores.fill import read_fill
from headspex.scores.judge import say_what_is_cut
from headspex.setup import Setup
from headspex.support.progress import progress
from headspex.tasks import Question, averages, interval
from headspex.tasks.game import are_prompts


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The results of an evaluation.

    Attributes:
        metric: of the scores.
        questions: in the order of the rows.
        scores: of each question.
        values: log-likelihoods of choices, -inf where a question has fewer; None for a custom
            metric.
        widths: numbers in each row of `values` that belong to the question.
        summary: results as lm-eval reports them, for its tasks; else None.
        model: what identifies the model's weights.
    """

    metric: str
    questions: Sequence[Question]
    scores: Float[np.ndarray, " questions"]
    values: Float[np.ndarray, "questions width"] | None
    widths: Sequence[int]
    summary: dict[str, Any] | None
    model: Mapping[str, str | None]

    @property
    def score(self) -> float:
        """The mean over questions."""
        return float(self.scores.mean())

    @property
    def bounds(self) -> tuple[float, float]:
        """95 % interval of `score`."""
        return interval(self.metric, self.scores)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        low, high = self.bounds
        content: dict[str, Any] = {
            "score": self.score,
            "low": low,
            "high": high,
            "n_questions": len(self.questions),
            "metric": self.metric,
            "ids": [question.id for question in self.questions],
            "scores": self.scores.tolist(),
            "averages": averages(self.questions, self.scores),
            "model": dict(self.model),
        }
        if self.metric == "accuracy":
            content["correct"] = self.scores.astype(int).tolist()
        if self.values is not None:
            rows = zip(self.values, self.widths, strict=True)
            content["log_likelihoods"] = [row[:width].tolist() for row, width in rows]
        if self.summary is not None:
            content["lm_eval"] = self.summary
        return content

    def __str__(self) -> str:
        low, high = self.bounds
        return f"{self.metric} {self.score:.3f} [{low:.3f}, {high:.3f}]"

    def parts(self) -> Iterator[str]:
        """Lines with the score of each category and subject, and lm-eval's own results."""
        found = averages(self.questions, self.scores)
        if len(found["subjects"]) > 1:
            yield f"{'mean over subjects (macro)':<36} {found['macro']:.3f}"
            for name, mean in (*found["categories"].items(), *found["subjects"].items()):
                yield f"{name:<36} {mean['score']:.3f}  ({mean['n_questions']})"
        for name, results in (self.summary or {}).items():
            listed = ", ".join(f"{metric} {value:.4f}" for metric, value in results.items())
            yield f"lm-eval {name}: {listed}"


def check_held_out(mask: Path, protocol: str | None) -> None:
    """Refuse a mask if the search of its run may have used questions that are held out here.

    A mask file does not record how its run split the questions; run.json beside it does.

    Raises:
        UsageError: only one of the two uses the paper's split, or run.json is damaged.
    """
    run = mask.parent.parent
    if mask.parent.name != "masks" or not RunFolder(run).run.is_file():
        return
    its = read_run(run)["identity"]["protocol"]
    if (its == "paper") != (protocol == "paper"):
        way = "add" if its == "paper" else "leave out"
        raise UsageError(
            f"the search of {run} may have seen questions that are held out here, as "
            f"{argument('protocol')} paper splits them differently; {way} {argument('protocol')} "
            "paper"
        )


def evaluation(
    setup: Setup,
    questions: Sequence[Question],
    *,
    mask: MaskFile | None = None,
    mask_path: Path | None = None,
    batch_size: int | None = 1,
) -> Evaluation:
    """Score questions of a setup's task.

    Args:
        setup: model, task and settings.
        questions: of the task.
        mask, mask_path: the mask, and the file it was read from.
        batch_size: to score in lm-eval's order and batches; None: as in a search, and so are
            questions of a kind that lm-eval does not have.

    Raises:
        UsageError: a mask of another model, or with an ablation that the task does not allow.
    """
    model, how = setup.model, {}
    grid, keep_mlps = None, None
    if mask is not None:
        mask.check_fits(
            model.fingerprint, setup.settings.model, n_layers=model.n_layers, n_heads=model.n_heads
        )
        grid, keep_mlps = mask.keep_grid(), mask.keep_mlps()
        fill = None if mask_path is None else read_fill(mask, mask_path)
        how = {"ablation": mask.ablation, "fill": fill, "rescale": mask.rescale}
    metric = setup.metric
    ablation = "zero" if mask is None else mask.ablation
    encoded = setup.encode(questions, ablation)
    say_what_is_cut(encoded, model.n_ctx)
    # lm-eval has neither prompts with a metric, nor divergences, nor corrupted prompts.
    beyond = are_prompts(encoded) or any(one.kl or one.corrupted for one in encoded)
    if batch_size is None or beyond or ablation == "mean-position":
        with progress(len(encoded), "questions", unit="questions") as tell:
            values = measure(
                prepare(model, encoded),
                encoded,
                grid,
                keep_mlps=keep_mlps,
                progress=_steps(tell),
                **how,
            )
    else:
        answers = sum(len(one.continuations) for one in encoded)
        with progress(answers, "answers", unit="answers") as tell:
            values = harness_log_probs(
                model,
                encoded,
                grid,
                keep_mlps=keep_mlps,
                batch_size=batch_size,
                progress=tell,
                **how,
            )
    summary = setup.task.kind.summary
    return Evaluation(
        metric=metric,
        questions=questions,
        scores=setup.task.scores(metric, values, questions, encoded),
        values=None if are_prompts(encoded) else values,
        widths=[one.width - one.kl for one in encoded],
        summary=None if summary is None else summary(questions, values),
        model=model.described(),
    )


def _steps(tell: Any) -> Any:
    """Turn a callback for increments into one for totals."""
    done = [0]

    def step(now: int) -> None:
        tell(now - done[0])
        done[0] = now

    return step
