"""The model inputs that a set of questions needs, and the prefixes they share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from headspex.errors import UsageError
from headspex.tasks.prompts import EncodedQuestion


@dataclass(frozen=True)
class Pass:
    """One input of the model, and the answers read from its logits.

    `reads` holds (choice, position of the logits, token whose log-probability counts); `~token`
    counts 1 if another token is likelier than `token`, else 0.

    Attributes:
        kl: the choice to which the KL divergence at each of these positions is added; None: none.
        corrupted: takes the place of `tokens` where resample ablation reads heads' outputs.
    """

    tokens: tuple[int, ...]
    reads: tuple[tuple[int, int, int], ...]
    kl: int | None = None
    corrupted: tuple[int, ...] | None = None

    @cached_property
    def positions(self) -> tuple[int, ...]:
        """The positions of the logits that are read, ascending."""
        return tuple(sorted({position for _, position, _ in self.reads}))


def passes(question: EncodedQuestion, n_ctx: int) -> tuple[Pass, ...]:
    """The distinct inputs of a question: one if each answer's input is a prefix of the longest.

    Inputs longer than the context lose tokens on the left, as in lm-eval's
    `(context + continuation)[-(n_ctx + 1):][:-1]`.

    Raises:
        UsageError: an answer alone is longer than the context.
    """
    reads: dict[tuple[int, ...], list[tuple[int, int, int]]] = {}
    corrupted: dict[tuple[int, ...], tuple[int, ...]] = {}
    answers = zip(question.continuations, question.counted, strict=True)
    for choice, (continuation, counted) in enumerate(answers):
        if counted > n_ctx:
            raise UsageError(
                f"an answer of {counted} tokens is longer than the model's context of "
                f"{n_ctx}; shorten it"
            )
        tokens = (question.context + continuation)[-(n_ctx + 1) :][:-1]
        first = len(tokens) - counted
        if first < 0:
            raise UsageError("a prompt must have at least one token; add text to the question")
        own = [(first + n, token) for n, token in enumerate(continuation[-counted:])]
        if question.corrupted is not None:
            corrupted[tokens] = (question.corrupted + continuation)[-(n_ctx + 1) :][:-1]
        found = reads.setdefault(tokens, [])
        found += [(choice, position, token) for position, token in own]
        if question.greedy:
            missed = len(question.continuations) + choice
            found += [(missed, position, ~token) for position, token in own]
    # Attention is causal: an input that is a prefix of a longer one is read from the longer one.
    for tokens in sorted(reads, key=len):
        longer = (other for other in reads if len(other) > len(tokens))
        host = next((other for other in longer if other[: len(tokens)] == tokens), None)
        if host is not None:
            reads[host].extend(reads.pop(tokens))
    kl = question.width - 1 if question.kl else None
    return tuple(
        Pass(tokens, tuple(found), kl, corrupted.get(tokens)) for tokens, found in reads.items()
    )


def padded(rows: Sequence[Sequence[int]]) -> Int[Tensor, "rows pos"]:
    """Tokens of several inputs, padded on the right."""
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True)


def padded_inputs(
    questions: Sequence[EncodedQuestion], n_ctx: int
) -> tuple[Int[Tensor, "inputs pos"], Int[Tensor, " inputs"]]:
    """The tokens of all questions' inputs, padded on the right, and their lengths.

    Raises:
        UsageError: as `passes`.
    """
    rows = [one.tokens for each in questions for one in passes(each, n_ctx)]
    return padded(rows), torch.tensor([len(row) for row in rows])


@dataclass(frozen=True, eq=False)
class Inputs:
    """The inputs of a set of questions.

    `shared[i]` counts the leading tokens, usually of worked examples, that `passes[i]` shares with
    other inputs; see `shared_beginnings`.
    """

    passes: tuple[Pass, ...]  # all different
    of_question: tuple[tuple[int, ...], ...]
    shared: tuple[int, ...]
    n_choices: int

    @cached_property
    def lengths(self) -> Int[np.ndarray, " inputs"]:
        """Tokens of each input."""
        return np.array([len(one.tokens) for one in self.passes], dtype=np.int64)

    @cached_property
    def own_lengths(self) -> Int[np.ndarray, " inputs"]:
        """Tokens of each input after its shared prefix."""
        return self.lengths - np.array(self.shared, dtype=np.int64)

    def beginning(self, index: int) -> tuple[int, ...]:
        """The shared prefix of an input."""
        return self.passes[index].tokens[: self.shared[index]]

    def places(self, index: int) -> tuple[int, ...]:
        """Positions of the logits to read, counted from the first token after the shared prefix."""
        return tuple(position - self.shared[index] for position in self.passes[index].positions)

    def places_of(self, question: int) -> int:
        """The number of positions whose logits are read, in all inputs of a question."""
        return sum(len(self.passes[index].positions) for index in self.of_question[question])


def plan_inputs(questions: Sequence[EncodedQuestion], n_ctx: int) -> Inputs:
    """The inputs of these questions; equal questions share their inputs.

    Raises:
        UsageError: as `passes`.
    """
    index: dict[Pass, int] = {}
    of_question = tuple(
        tuple(index.setdefault(one, len(index)) for one in passes(question, n_ctx))
        for question in questions
    )
    choices = max((question.width for question in questions), default=0)
    return Inputs(tuple(index), of_question, shared_beginnings(tuple(index)), choices)


def shared_beginnings(found: Sequence[Pass]) -> tuple[int, ...]:
    """Length in tokens of the prefix that each input shares with its neighbours in sorted order.

    Inputs with a corrupted one share none: what replaces their heads' outputs differs.
    Neighbours share at least an eighth of the shorter one; computing a shorter prefix separately
    does not pay. A prefix ends before the first position whose logits are read.
    """
    order = sorted(
        (i for i, one in enumerate(found) if one.corrupted is None), key=lambda i: found[i].tokens
    )
    alike = [_alike(found[left], found[right]) for left, right in pairwise(order)]
    shared, start = [0] * len(found), 0
    for end in range(1, len(order) + 1):
        near = order[end - 1 : end + 1]
        if len(near) == 2 and 8 * alike[end - 1] >= min(len(found[i].tokens) for i in near):
            continue
        common = min(alike[start : end - 1], default=0)
        for i in order[start:end]:
            shared[i] = common
        start = end
    return tuple(shared)


def _alike(left: Pass, right: Pass) -> int:
    limit = min(position for one in (left, right) for _, position, _ in one.reads)
    pairs = zip(left.tokens[:limit], right.tokens[:limit], strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), limit)
