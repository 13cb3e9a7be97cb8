"""A model with its questions: scores masks, and stores the scores."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from headspex.errors import NoGradientError, UsageError
from headspex.hooks import Fill, LoadedModel
from headspex.hooks.activations import HeadStatistics, head_statistics
from headspex.hooks.fill import Parts, check_one_length
from headspex.hooks.gated import GatedModel
from headspex.hooks.gradients import GateGradients
from headspex.hooks.inputs import padded_inputs
from headspex.hooks.measuring import measure, prepare
from headspex.hooks.output_weights import column_norms, output_norms
from headspex.players import Players
from headspex.scores.block import SLOPE_BLOCK, SLOPE_PASSES, Block
from headspex.scores.evaluate import InProcess, ModelWorkers, Passes, Workers, evaluate
from headspex.scores.store import ScoreStore
from headspex.support.progress import progress
from headspex.tasks import EncodedQuestion, Question, Task, longest_input
from headspex.tasks.game import are_prompts
from headspex.tasks.scoring import DISTANCE, KL, SMOOTH
from headspex.units import RESAMPLINGS

# Names a progress bar of its own, or is told of each number of finished passes.
Reported = str | Callable[[int], object]


class Judge:
    """Scores (mask, question) pairs with a model, and stores the scores.

    Args:
        model: under hooks.
        players: the columns of a mask.
        task: defines the metrics.
        questions, encoded: in the same order; methods take positions in them.
        store: keeps every score.
        metric: that `headspex.tasks.scoring.DISTANCE` compares with the whole model's.
        ablation, fill, rescale: how parts are removed; see `headspex.hooks.ablation_hooks`.
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
        fill: Fill | None = None,
        rescale: bool = False,
        workers: ModelWorkers | None = None,
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
        self._elsewhere = workers
        self._workers: Workers = workers or InProcess(self)
        self.progress = progress

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
        what: Reported,
    ) -> dict[str, Float[np.ndarray, "masks per_mask"]]:
        """Scores of each mask on its own questions, in every metric."""
        scores = self.ask_passes(Passes.of_each(masks, asked), metrics=metrics, what=what)
        return {name: found.reshape(asked.shape) for name, found in scores.items()}

    def ask_passes(
        self, passes: Passes, *, metrics: Sequence[str], what: Reported
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
        self, blocks: Sequence[Block], *, total: int, what: Reported
    ) -> Float[np.ndarray, "passes width"]:
        """The model's values for each pass, measured where they are not stored.

        Args:
            blocks: (mask, question) pairs.
            total: passes in all blocks.
            what: names a progress bar, or is told of each block's passes.
        """
        with self._reporting(total, what) as report:
            return evaluate(self._workers, blocks, store=self._store, progress=report)

    def _reporting(
        self, total: int, what: Reported
    ) -> AbstractContextManager[Callable[[int], object]]:
        return self.progress(total, what) if isinstance(what, str) else nullcontext(what)

    def ask_all(
        self,
        masks: Bool[np.ndarray, "masks players"],
        questions: Int[np.ndarray, " questions"],
        *,
        metrics: Sequence[str],
        what: Reported,
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
        what: Reported,
    ) -> Float[np.ndarray, "rows players"]:
        """First-order change of a score when each player is switched off.

        Args:
            masks, questions: row i is `questions[i]` under `masks[i]`.
            metric: of the score.
            store: a store for slopes only.
            what: as in `measure`; a slope counts as `SLOPE_PASSES`.
        """

        levels = np.where(masks, 255, 0).astype(np.uint8)
        with self._reporting(SLOPE_PASSES * len(questions), what) as report:
            return -self.stored_gradients(
                levels, questions, metric=metric, store=store, progress=report
            )

    def stored_gradients(
        self,
        levels: UInt8[np.ndarray, "rows players"],
        questions: Int[np.ndarray, " rows"],
        *,
        metric: str,
        store: ScoreStore,
        progress: Callable[[int], object],
    ) -> Float[np.ndarray, "rows players"]:
        """As `gate_gradients`, for gates in 255ths, taken from the store where they are known.

        Args:
            levels: the gates. A store keeps the eight bits of each as columns of a mask.
            questions: by their position in the judge.
            metric: of the score.
            store: a store for these gradients only.
            progress: is told of each block's passes, of which a gradient counts `SLOPE_PASSES`.
        """
        bits = np.unpackbits(levels, axis=1).astype(bool)
        if self._elsewhere is None:
            workers: Workers = InProcess(partial(self.gradients_of_bits, metric=metric))
        else:
            workers = self._elsewhere.gradients(metric)
        return evaluate(
            workers, Passes.of_each(bits, questions[:, None], SLOPE_BLOCK), store=store,
            progress=lambda done: progress(SLOPE_PASSES * done),
        )  # fmt: skip

    def gradients_of_bits(
        self,
        masks: Bool[np.ndarray, "rows bits"],
        questions: Int[np.ndarray, " rows"],
        *,
        metric: str,
    ) -> Float[np.ndarray, "rows players"]:
        """As `gate_gradients`, for gates in 255ths, eight bits of each."""
        return self.gate_gradients(np.packbits(masks, axis=1) / 255, questions, metric=metric)

    def gate_gradients(
        self,
        gates: Float[np.ndarray, "rows players"],
        questions: Int[np.ndarray, " rows"],
        *,
        metric: str,
        through: GatedModel | None = None,
    ) -> Float[np.ndarray, "rows players"]:
        """d score / d gate, summed over a player's parts; row i is `questions[i]` under `gates[i]`.

        Args:
            gates: 1 keeps a player, 0 ablates it; see `headspex.hooks.gated`.
            questions: by their position in the judge.
            metric: of the score.
            through: another model with gates; None: the run's own.

        Raises:
            NoGradientError: the metric has none.
            UsageError: some gradients are not finite.
        """
        if not self._task.has_gradient(metric):
            raise NoGradientError(
                f"gradients need a smooth metric ({', '.join(SMOOTH)}), but this one is {metric}; "
                "choose another"
            )
        gradients = self._gradients if through is None else self._gradients_of(through)
        found = gradients.of(
            # Next tokens of the whole model are compared with only where they count.
            [self._gated_question(number, metric) for number in questions.tolist()],
            self.players.gates(np.asarray(gates, dtype=np.float64)),
            lambda values, rows: self._derivatives(metric, values, questions[rows]),
        )
        if not np.isfinite(found.by_gate).all():
            raise UsageError(
                f"gradients of the {metric} must be finite, but some are NaN or infinite; load the "
                "model with dtype float32"
            )
        return self.players.sums(found.by_gate)

    def _gated_question(self, number: int, metric: str) -> EncodedQuestion:
        question = self._encoded[number]
        return question if metric == KL or not question.kl else replace(question, kl=False)

    def _derivatives(
        self, metric: str, values: Float[np.ndarray, "rows width"], asked: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows width"]:
        own = self._metric if metric == DISTANCE else metric
        questions = [self._questions[number] for number in asked]
        encoded = [self._gated_question(number, own) for number in asked.tolist()]
        found = self._task.derivatives(own, values, questions, encoded)
        if metric == DISTANCE:
            apart = self._task.scores(own, values, questions, encoded) - self._whole[asked]
            found = -2 * apart[:, None] * found
        return found

    @cached_property
    def _gradients(self) -> GateGradients:
        prepared = self._prepared
        return self._gradients_of(GatedModel(prepared.bridge, prepared.decoder))

    def _gradients_of(self, model: GatedModel) -> GateGradients:
        units, resampled = self.players.units, None
        if self._ablation["ablation"] in RESAMPLINGS:
            resampled = Parts(heads=bool(set(units) - {"mlp"}), mlps="mlp" in units)
        return GateGradients(model, fill=Fill.of(self._ablation["fill"]), resampled=resampled)

    @property
    def bridge(self) -> Any:
        """The model under hooks, a TransformerBridge."""
        return self._model.bridge

    def head_statistics(self, questions: Int[np.ndarray, " questions"]) -> HeadStatistics:
        """Of the whole model, over the tokens of these questions; see `HeadStatistics`."""
        asked = [self._encoded[number] for number in questions]
        tokens, lengths = padded_inputs(asked, self._model.n_ctx)
        with self.progress(len(tokens), "activations") as report:
            return head_statistics(self.bridge, tokens, lengths, progress=report)

    def column_norms(self, order: float) -> Float[np.ndarray, "layers heads d_head"]:
        """As `headspex.hooks.output_weights.column_norms`."""
        return column_norms(self.bridge, order)

    def output_norms(self) -> Float[np.ndarray, "layers switches"]:
        """As `headspex.hooks.output_weights.output_norms`."""
        return output_norms(self.bridge)


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
    if ablation == "mean-position":
        check_one_length(encoded, model.n_ctx)
    if ablation in RESAMPLINGS or are_prompts(encoded):
        keep = np.ones((model.n_layers, model.n_heads), dtype=bool)
        keep[0, 0] = False
        options = {"ablation": ablation} if ablation in RESAMPLINGS else {}
        measure(prepare(model, encoded), encoded[:2], keep, **options)
