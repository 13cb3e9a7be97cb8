"""Which log-probabilities are read from a batch, and which answer each belongs to."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headspex.hooks.batching import Work
from headspex.hooks.inputs import Inputs


@dataclass(frozen=True, eq=False)
class Asked:
    """The distinct inputs of a batch of items, and the log-probabilities read from each."""

    inputs: Int[np.ndarray, " inputs"]  # each once
    of_item: Int[np.ndarray, " items"]  # index into `inputs`
    places: Int[Tensor, "inputs answers"]  # positions of logits, from the first own token
    item: Int[Tensor, " reads"]
    column: Int[Tensor, " reads"]  # of `places`
    token: Int[Tensor, " reads"]
    choice: Int[Tensor, " reads"]


def asked(work: Work, inputs: Inputs, items: Int[np.ndarray, " items"]) -> Asked:
    """The distinct inputs and the reads of a batch."""
    distinct, of_item = np.unique(work.inputs[items], return_inverse=True)
    places = [inputs.places(int(index)) for index in distinct]
    width = max(map(len, places))
    tables = [
        np.array(
            [
                (found.index(position - inputs.shared[index]), token, choice)
                for choice, position, token in inputs.passes[index].reads
            ]
        )
        for index, found in zip(distinct, places, strict=True)
    ]
    item = np.repeat(np.arange(len(items)), [len(tables[n]) for n in of_item])
    column, token, choice = torch.from_numpy(np.concatenate([tables[n] for n in of_item])).T
    return Asked(
        inputs=distinct,
        of_item=of_item,
        places=torch.tensor([[*found, *found[-1:] * (width - len(found))] for found in places]),
        item=torch.from_numpy(item),
        column=column,
        token=token,
        choice=choice,
    )


def read_off(
    table: Float[Tensor, "*places vocabulary"], where: tuple[Tensor, ...], token: Int[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Log-probabilities of tokens; for `~token`, 1 if another token is likelier, else 0."""
    token = token.to(table.device)
    missed = token < 0
    values = table[(*where, torch.where(missed, ~token, token))]
    if missed.any():
        at = tuple(part[missed] for part in where)
        values[missed] = (table[at].argmax(dim=-1) != ~token[missed]).to(values.dtype)
    return values


@dataclass(frozen=True, eq=False)
class Answers:
    """Log-probability of each answer token, with its row and choice; tokens of an answer add up."""

    rows: Int[Tensor, " reads"]
    choices: Int[Tensor, " reads"]
    values: Float[Tensor, " reads"]
