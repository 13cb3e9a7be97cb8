"""Which inputs a set of questions needs, and in which batches they are run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from headspex.errors import UsageError
from headspex.tasks.prompts import EncodedQuestion


@dataclass(frozen=True)
class Pass:
    """One input of the model, and the answers that are read off it.

    `reads` holds (choice, position of the logits, token whose log-probability counts).
    """

    tokens: tuple[int, ...]
    reads: tuple[tuple[int, int, int], ...]


def passes(question: EncodedQuestion, n_ctx: int) -> tuple[Pass, ...]:
    """The different inputs that a question needs: one, where all answers begin alike.

    Inputs longer than the context lose tokens on the left, as in lm-eval's
    `(context + continuation)[-(n_ctx + 1):][:-1]`.

    Raises:
        UsageError: an answer alone is longer than the context.
    """
    reads: dict[tuple[int, ...], list[tuple[int, int, int]]] = {}
    for choice, continuation in enumerate(question.continuations):
        if len(continuation) > n_ctx:
            raise UsageError(
                f"an answer of {len(continuation)} tokens is longer than the model's context of "
                f"{n_ctx}; shorten it"
            )
        tokens = (question.context + continuation)[-(n_ctx + 1) :][:-1]
        if not question.context:
            raise UsageError("a prompt must have at least one token; add text to the question")
        first = len(tokens) - len(continuation)
        reads.setdefault(tokens, []).extend(
            (choice, first + offset, token) for offset, token in enumerate(continuation)
        )
    return tuple(Pass(tokens, tuple(found)) for tokens, found in reads.items())


@dataclass(frozen=True, eq=False)
class Batch:
    """Some (question, mask) rows to run together; all arrays are integers."""

    rows: np.ndarray  # [batch], the row of the whole job
    tokens: np.ndarray  # [inputs, pos], padded with 0 on the right; inputs all differ
    inputs: np.ndarray  # [batch], which input each row asks
    positions: np.ndarray  # [batch, answers], where its logits are wanted
    reads: np.ndarray  # [reads, 4]: place in the batch, column of `positions`, token, choice


@dataclass(frozen=True, eq=False)
class Job:
    """Every row's passes, as positions in `unique`."""

    unique: tuple[Pass, ...]
    of_row: tuple[tuple[int, ...], ...]
    n_choices: int

    def batches(self, batch_tokens: int) -> Iterator[Batch]:
        """Batches of at most `batch_tokens` tokens, or of one row.

        Long inputs come first, so that little is padded and too little memory shows at once; rows
        with equal inputs stand together.
        """
        order = sorted(
            ((row, index) for row, found in enumerate(self.of_row) for index in found),
            key=lambda pair: (-len(self.unique[pair[1]].tokens), pair[1], pair[0]),
        )
        start = 0
        while start < len(order):
            size = max(1, batch_tokens // len(self.unique[order[start][1]].tokens))
            yield self._batch(order[start : start + size])
            start += size

    def _batch(self, pairs: list[tuple[int, int]]) -> Batch:
        place = {index: n for n, index in enumerate(dict.fromkeys(index for _, index in pairs))}
        used = [self.unique[index] for index in place]
        tokens = np.zeros((len(used), max(len(one.tokens) for one in used)), dtype=np.int64)
        for n, one in enumerate(used):
            tokens[n, : len(one.tokens)] = one.tokens
        wanted = [sorted({position for _, position, _ in one.reads}) for one in used]
        width = max(map(len, wanted))
        positions = np.array([found + found[-1:] * (width - len(found)) for found in wanted])
        tables = [
            np.array([(found.index(at), token, choice) for choice, at, token in one.reads])
            for one, found in zip(used, wanted, strict=True)
        ]
        inputs = np.array([place[index] for _, index in pairs])
        counts = np.array([len(table) for table in tables])[inputs]
        reads = np.concatenate([tables[n] for n in inputs])
        where = np.repeat(np.arange(len(pairs)), counts)
        rows = np.array([row for row, _ in pairs])
        return Batch(
            rows, tokens, inputs, positions[inputs], np.concatenate([where[:, None], reads], axis=1)
        )


def plan(encoded: Sequence[EncodedQuestion], n_ctx: int) -> Job:
    """What to run for these questions, one row each; equal questions share their inputs."""
    index: dict[Pass, int] = {}
    # By identity, as hashing hundreds of token ids for each of many thousand rows would cost more.
    planned: dict[int, tuple[int, ...]] = {}
    of_row = []
    for question in encoded:
        if id(question) not in planned:
            planned[id(question)] = tuple(
                index.setdefault(one, len(index)) for one in passes(question, n_ctx)
            )
        of_row.append(planned[id(question)])
    choices = max((len(question.continuations) for question in encoded), default=0)
    return Job(tuple(index), tuple(of_row), choices)
