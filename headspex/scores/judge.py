"""A model with its questions: scores masks, and stores the scores."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.errors import UsageError
from headspex.hooks import LoadedModel, mean_activations
from headspex.hooks.measuring import are_prompts, measure, prepare
from headspex.players import Players
from headspex.scores.block import SLOPE_PASSES, Block
from headspex.scores.evaluate import InProcess, Passes, Workers, evaluate
from headspex.scores.store import ScoreStore
from headspex.support.progress import progress
from headspex.tasks import EncodedQuestion, Question, Task, longest_input
from headspex.tasks.scoring import DISTANCE, SMOOTH


class Judge:
    """Scores (mask, question) pairs with a model, and stores the scores.

    Args:
        model: under hooks.
        players: the columns of a mask.
        task: defines the metrics.
        questions, encoded: in the same order; methods take positions in them.
        store: keeps every score.
        metric: that `headspex.tasks.scoring.DISTANCE` compares with the whole model's.
        ablation, fill, rescale: how heads are removed; see `headspex.hooks.ablation_hooks`.
        workers: measure elsewhere; None measures in this process.
        progress: reports progress.
    """

    def __init__(
        self,
        model: LoadedModel,
        players: Players,
        task: Task,
        questions: Sequence[Question],
        encoded: Sequence[EncodedQuestion],
        *,
        store: ScoreStore,
        metric: str | None = None,
        ablation: str = "zero",
        fill: Any = None,
        rescale: bool = False,
        workers: Workers | None = None,
        progress: Callable[[int, str], AbstractContextManager[Callable[[int], object]]] = progress,
    ) -> None:
        self.players = players
        self._model = model
        self._task = task
        self._questions = questions
        self._encoded = encoded
        self._store = store
        self._metric = metric or task.metric
        self._ablation = {"ablation": ablation, "fill": fill, "rescale": rescale}
        self._workers = workers or InProcess(self)
        self._progress = progress

    def __call__(
        self, masks: Bool[np.ndarray, "rows players"], questions: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows width"]:
        """Measure rows without the store; see `headspex.scores.evaluate.Scorer`."""
        asked = [self._encoded[number] for number in questions]
        return measure(
            self._prepared, asked, self.players.grid(masks),
            keep_mlps=self.players.mlps(masks), **self._ablation,
        )  # fmt: skip

    @cached_property
    def _prepared(self) -> Any:
        # Only when something is measured: a run whose scores are all stored needs no model inputs.
        return prepare(self._model, self._encoded)

    def ask(
        self,
        masks: Bool[np.ndarray, "masks players"],
        asked: Int[np.ndarray, "masks per_mask"],
        *,
        metrics: Sequence[str],
        what: str,
    ) -> dict[str, Float[np.ndarray, "masks per_mask"]]:
        """Scores of each mask on its own questions, in every metric."""
        scores = self.ask_passes(Passes.of_each(masks, asked), metrics=metrics, what=what)
        return {name: found.reshape(asked.shape) for name, found in scores.items()}

    def ask_passes(
        self, passes: Passes, *, metrics: Sequence[str], what: str
    ) -> dict[str, Float[np.ndarray, " passes"]]:
        """Scores of passes, in every metric."""
        values = self.measure(passes, total=len(passes.questions), what=what)
        return {name: self._scores(name, values, passes.questions) for name in metrics}

    def _scores(
        self, metric: str, values: Float[np.ndarray, "rows width"], asked: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, " rows"]:
        if metric == DISTANCE:
            apart = self._scores(self._metric, values, asked) - self._whole[asked]
            closeness: Float[np.ndarray, " rows"] = -(apart**2)
            return closeness
        questions = [self._questions[number] for number in asked]
        encoded = [self._encoded[number] for number in asked]
        return self._task.scores(metric, values, questions, encoded)

    @cached_property
    def _whole(self) -> Float[np.ndarray, " questions"]:
        """The whole model's score of every question."""
        whole = np.ones((1, len(self.players)), dtype=bool)
        everything = np.arange(len(self._questions))[None]
        scored = self.ask(whole, everything, metrics=[self._metric], what="whole model")
        whole_scores: Float[np.ndarray, " questions"] = scored[self._metric][0]
        return whole_scores

    def measure(
        self, blocks: Sequence[Block], *, total: int, what: str
    ) -> Float[np.ndarray, "passes width"]:
        """The model's values for each pass, measured where they are not stored.

        Args:
            blocks: (mask, question) pairs.
            total: passes in all blocks.
            what: for the progress bar.
        """
        with self._progress(total, what) as report:
            return evaluate(self._workers, blocks, store=self._store, progress=report)

    def ask_all(
        self,
        masks: Bool[np.ndarray, "masks players"],
        questions: Int[np.ndarray, " questions"],
        *,
        metrics: Sequence[str],
        what: str,
    ) -> dict[str, Float[np.ndarray, "masks questions"]]:
        """Scores of each mask on the same questions, in every metric."""
        asked = np.tile(questions, (len(masks), 1))
        return self.ask(masks, asked, metrics=metrics, what=what)

    def slopes(
        self,
        masks: Bool[np.ndarray, "rows players"],
        questions: Int[np.ndarray, " rows"],
        *,
        metric: str,
        store: ScoreStore,
        what: str,
    ) -> Float[np.ndarray, "rows players"]:
        """First-order change of a score when each player is switched off.

        Args:
            masks, questions: row i is `questions[i]` under `masks[i]`.
            metric: one of `headspex.tasks.scoring.SMOOTH`.
            store: a store for slopes only.
            what: for the progress bar, where a slope counts as `SLOPE_PASSES`.
        """

        def rows(
            masks: Bool[np.ndarray, "rows players"], questions: Int[np.ndarray, " rows"]
        ) -> Float[np.ndarray, "rows players"]:
            return -self.gate_gradients(masks, questions, metric=metric)

        passes = Passes.of_each(masks, questions[:, None])
        with self._progress(SLOPE_PASSES * len(questions), what) as report:
            return evaluate(
                InProcess(rows), passes, store=store,
                progress=lambda done: report(SLOPE_PASSES * done),
            )  # fmt: skip

    def gate_gradients(
        self,
        masks: Bool[np.ndarray, "rows players"],
        questions: Int[np.ndarray, " rows"],
        *,
        metric: str,
    ) -> Float[np.ndarray, "rows players"]:
        """d score / d gate, summed over a player's parts.

        See `headspex.hooks.gradients.gate_gradients`; row i is `questions[i]` under `masks[i]`.

        Raises:
            UsageError: the task has no such metric, the metric is not smooth, or heads are
                resampled.
        """
        from headspex.hooks.gradients import gate_gradients

        if metric not in SMOOTH or metric not in self._task.kind.metrics:
            raise UsageError(
                f"gradients need a smooth metric ({', '.join(SMOOTH)}), but the task "
                f"{self._task.name} is scored in {', '.join(self._task.kind.metrics)}"
            )
        if self._ablation["ablation"] == "resample":
            raise UsageError("gradients by gates go with zero or mean ablation, not with resample")
        # Gradients are of the answers alone.
        asked = [replace(self._encoded[number], kl=False) for number in questions]
        rows = [self._questions[number] for number in questions]

        def derivatives(values: np.ndarray, part: slice) -> np.ndarray:
            return self._task.derivatives(metric, values, rows[part], asked[part])

        found = gate_gradients(
            self._model.bridge, asked, derivatives, keep_masks=self.players.grid(masks),
            keep_mlps=self.players.mlps(masks), fill=self._ablation["fill"],
        )  # fmt: skip
        if not np.isfinite(found).all():
            raise UsageError(
                f"gradients of the {metric} must be finite, but some are NaN or infinite; load the "
                "model with dtype float32"
            )
        return self.players.sums(found)

    def output_norms(self) -> Float[np.ndarray, "layers switches"]:
        """As `headspex.hooks.output_weights.output_norms`."""
        from headspex.hooks.output_weights import output_norms

        return output_norms(self._model.bridge)


def say_what_is_cut(encoded: Sequence[EncodedQuestion], n_ctx: int) -> None:
    """Warn on standard error how many prompts are too long and lose their beginning."""
    cut = sum(longest_input(question) > n_ctx for question in encoded)
    if cut:
        print(
            f"headspex: {cut} of {len(encoded)} prompts are longer than the model's context of "
            f"{n_ctx} tokens and lose their beginning",
            file=sys.stderr,
        )


def try_out(model: LoadedModel, encoded: Sequence[EncodedQuestion], ablation: str) -> None:
    """Ask two questions with one head off, so that an impossible run fails early.

    Raises:
        UsageError: the metric fails, or the questions do not allow the ablation.
    """
    if ablation == "resample" or are_prompts(encoded):
        keep = np.ones((model.n_layers, model.n_heads), dtype=bool)
        keep[0, 0] = False
        options = {"ablation": ablation} if ablation == "resample" else {}
        measure(prepare(model, encoded), encoded[:2], keep, **options)


def mean_fill(
    model: LoadedModel, encoded: Sequence[EncodedQuestion]
) -> Float[np.ndarray, "layers heads d_head"]:
    """Mean output of every head over the real tokens of the questions, cut to the context."""
    import torch

    rows = [question.context[-model.n_ctx :] for question in encoded]
    lengths = torch.tensor([len(row) for row in rows])
    tokens = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
    for line, row in zip(tokens, rows, strict=True):
        line[: len(row)] = torch.tensor(row)
    return np.asarray(mean_activations(model.bridge, tokens, lengths).cpu().numpy())
