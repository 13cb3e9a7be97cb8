"""Gradients of scores with respect to gates on heads and MLPs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from headspex.errors import NoGradientError, RoomError, argument
from headspex.hooks.answers import divergence, exact_log_probs
from headspex.hooks.corrupted import Corrupted
from headspex.hooks.fill import Fill, Parts
from headspex.hooks.gated import GatedModel, Gates, Logits
from headspex.hooks.inputs import Pass, passes
from headspex.hooks.kept import Kept, limit_of
from headspex.hooks.own_metric import metric_values
from headspex.hooks.token_budget import out_of_memory
from headspex.tasks.game import EncodedPrompt, are_prompts
from headspex.tasks.prompts import EncodedQuestion

TOKENS = 2_048  # per backward pass, to begin with: it needs all activations

Values = Float[np.ndarray, "questions width"]
# (measured values of some questions, which these are among all) -> derivatives of their scores
# with respect to the values.
Derivatives = Callable[[Values, Int[np.ndarray, " questions"]], Values]


@dataclass(frozen=True, eq=False)
class Gradients:
    """Measured values, and the gradients of scores that are computed from them.

    Attributes:
        values: as `headspex.hooks.measuring.measure` returns them.
        by_gate: d score / d gate of every head and, as the last switch, of the layer's MLP.
    """

    values: Values
    by_gate: Float[np.ndarray, "questions layers switches"]


class GateGradients:
    """Gradients of questions' scores; what no gate changes is kept between calls.

    Args:
        model: whose parts are scaled.
        fill: replaces parts' outputs, as tensors; None: zeros.
        resampled: parts whose outputs on the corrupted prompts replace them; None: the fill does.
    """

    def __init__(
        self, model: GatedModel, *, fill: Fill | None = None, resampled: Parts | None = None
    ) -> None:
        self._model, self._fill, self._resampled = model, fill, resampled
        self._whole: Kept[Pass, Tensor] = Kept(limit_of(model.device))
        self._corrupted = Corrupted(model.outputs, model.device)
        self._tokens = TOKENS

    def of(
        self,
        encoded: Sequence[EncodedQuestion],
        gates: Float[np.ndarray, "questions layers switches"],
        derivatives: Derivatives,
    ) -> Gradients:
        """The gradient of each question's score under its gates.

        Args:
            encoded: questions, none of them `greedy`; all of them ask for the KL divergence, or
                none.
            gates: 1 keeps a part, 0 ablates it.
            derivatives: of scores with respect to measured values; absent ones are -inf.

        Raises:
            NoGradientError: a metric of one's own that torch cannot differentiate.
            RoomError: a single question does not fit into memory.
        """
        width = max((one.width for one in encoded), default=0)
        found = Gradients(np.full((len(encoded), width), -np.inf), np.zeros(gates.shape))
        lengths = np.array([_length(one) for one in encoded], dtype=np.int64)
        left = np.argsort(-lengths, kind="stable")
        while len(left):
            rows = left[: max(1, self._tokens // int(lengths[left[0]]))]
            if are_prompts(encoded):  # a metric of one's own gets prompts of one length
                rows = rows[lengths[rows] == lengths[rows[0]]]
            try:
                self._fill_in(found, rows, [encoded[row] for row in rows], gates, derivatives)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                if len(rows) == 1:
                    raise RoomError(
                        "the gradient of a single prompt does not fit into memory beside the "
                        f"model; take a smaller dtype ({argument('dtype')} bfloat16), another "
                        "device, or shorter prompts"
                    ) from error
                self._tokens = len(rows) // 2 * int(lengths[rows[0]])
            else:
                left = left[len(rows) :]
        return found

    def _fill_in(
        self,
        found: Gradients,
        rows: Int[np.ndarray, " rows"],
        asked: Sequence[EncodedQuestion],
        gates: Float[np.ndarray, "questions layers switches"],
        derivatives: Derivatives,
    ) -> None:
        own = torch.from_numpy(gates[rows]).float().to(self._model.device).requires_grad_()
        values = self._measured(asked, own)
        known = values.detach().double().cpu().numpy()
        for row, one, numbers in zip(rows, asked, known, strict=True):
            found.values[row, : one.width] = numbers[: one.width]
        weights = derivatives(found.values[rows], rows)[:, : values.shape[1]]
        present = np.where(np.isfinite(found.values[rows][:, : values.shape[1]]), weights, 0.0)
        total = (values * torch.from_numpy(present).to(values)).sum()
        (gradient,) = torch.autograd.grad(total, own)
        found.by_gate[rows] = gradient.double().cpu().numpy()

    def _measured(
        self, asked: Sequence[EncodedQuestion], gates: Gates
    ) -> Float[Tensor, "questions width"]:
        if are_prompts(asked):
            return self._metric(cast("Sequence[EncodedPrompt]", asked), gates)
        lines = [(row, one) for row, question in enumerate(asked) for one in self._passes(question)]
        inputs = [one for _, one in lines]
        places = [torch.tensor(one.positions) for one in inputs]
        of_row = torch.tensor([row for row, _ in lines], device=self._model.device)
        logits = self._logits(inputs, gates[of_row], pad_sequence(places, batch_first=True))
        log_probs = exact_log_probs(logits)
        where, what = zip(*_reads(lines), strict=True)
        line, column, token = torch.tensor(what).T.to(log_probs.device)
        at = tuple(torch.tensor(where).T.to(log_probs.device))
        values = torch.zeros(len(asked), max(one.width for one in asked), device=log_probs.device)
        values = values.index_put(at, log_probs[line, column, token], accumulate=True)
        if not asked[0].kl:
            return values
        read = pad_sequence([torch.ones(len(at)) for at in places], batch_first=True).to(values)
        apart = divergence(self._log_probs(inputs), log_probs) * read
        sums, counts = (
            torch.zeros(len(asked)).to(values).index_add(0, of_row.to(one.device), one.sum(dim=1))
            for one in (apart, read)
        )
        at = torch.arange(len(asked)), torch.tensor([one.width - 1 for one in asked])
        return values.index_put(tuple(one.to(values.device) for one in at), sums / counts)

    def _metric(self, asked: Sequence[EncodedPrompt], gates: Gates) -> Float[Tensor, "questions 1"]:
        inputs = [Pass(one.context, (), corrupted=one.corrupted) for one in asked]
        last = torch.full((len(asked), 1), len(asked[0].context) - 1)
        logits = self._logits(inputs, gates, last if asked[0].last_only else None)
        values = metric_values(asked, logits)
        if not values.requires_grad:
            raise NoGradientError(
                f"gradients need a metric that torch can differentiate, but {asked[0].called} "
                "returns numbers without a gradient; compute it by torch operations"
            )
        return values[:, None]

    def _logits(
        self,
        inputs: Sequence[Pass],
        gates: Gates | None,
        places: Int[Tensor, "lines places"] | None,
    ) -> Logits:
        fill = self._fill
        if self._resampled is not None and gates is not None:
            fill = self._corrupted.fill(inputs, self._resampled)
        return self._model.of_inputs(inputs, gates, places, fill)

    def _log_probs(self, inputs: Sequence[Pass]) -> Float[Tensor, "lines places vocabulary"]:
        """The whole model's, at the places that are read."""

        def computed(new: list[Pass]) -> list[Tensor]:
            places = [torch.tensor(one.positions) for one in new]
            with torch.no_grad():
                logits = self._logits(new, None, pad_sequence(places, batch_first=True))
            return [own[: len(at)] for own, at in zip(exact_log_probs(logits), places, strict=True)]

        found = self._whole.all(inputs, computed)
        return pad_sequence([found[one] for one in inputs], batch_first=True)

    def _passes(self, question: EncodedQuestion) -> tuple[Pass, ...]:
        return passes(question, self._model.n_ctx)


def _reads(
    lines: Sequence[tuple[int, Pass]],
) -> list[tuple[tuple[int, int], tuple[int, int, int]]]:
    """((row, choice), (line, column, token)) of every token that is read."""
    return [
        ((row, choice), (line, one.positions.index(position), token))
        for line, (row, one) in enumerate(lines)
        for choice, position, token in one.reads
    ]


def _length(question: EncodedQuestion) -> int:
    return len(question.context) + max(map(len, question.continuations), default=1)
