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
    kl: "Divergences | None" = None


@dataclass(frozen=True, eq=False)
class Divergences:
    """The KL divergences that a batch asks for: at each place of some of its items."""

    item: Int[Tensor, " asked"]
    column: Int[Tensor, " asked"]  # of `Asked.places`
    choice: Int[Tensor, " asked"]


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
        kl=_divergences(distinct, of_item, inputs),
    )


def _divergences(
    distinct: Int[np.ndarray, " inputs"], of_item: Int[np.ndarray, " items"], inputs: Inputs
) -> Divergences | None:
    found = [
        (item, column, kl)
        for item, index in enumerate(distinct[of_item].tolist())
        if (kl := inputs.passes[index].kl) is not None
        for column in range(len(inputs.passes[index].positions))
    ]
    return Divergences(*torch.tensor(found).T) if found else None


def exact_log_probs(
    logits: Float[Tensor, "*places vocabulary"],
) -> Float[Tensor, "*places vocabulary"]:
    """Log-probabilities in float32: in half precision small divergences are lost."""
    return torch.log_softmax(logits.float(), dim=-1)


def divergence(
    whole: Float[Tensor, "*places vocabulary"], masked: Float[Tensor, "*places vocabulary"]
) -> Float[Tensor, " *places"]:
    """KL divergence in nats from the whole model's next tokens to a masked model's.

    Args:
        whole, masked: log-probabilities.
    """
    # Rounding may leave a little less than 0.
    return (whole.exp() * (whole - masked)).sum(dim=-1).clamp(min=0)


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
    """Log-probability of each answer token, with its row and choice; tokens of an answer add up.

    So do the KL divergences of a question.
    """

    rows: Int[Tensor, " reads"]
    choices: Int[Tensor, " reads"]
    values: Float[Tensor, " reads"]

    @classmethod
    def of(
        cls,
        rows: Int[Tensor, " items"],
        question: Asked,
        values: Float[Tensor, " reads"],
        kl: Float[Tensor, "items places"] | None,
    ) -> "Answers":
        """What a batch asked for.

        Args:
            rows: of the batch's items.
            question: what was asked.
            values: log-probabilities.
            kl: divergences at all places, where some are asked.
        """
        item, choice = question.item, question.choice
        if question.kl is not None and kl is not None:
            own = question.kl
            item, choice = torch.cat((item, own.item)), torch.cat((choice, own.choice))
            values = torch.cat((values, kl[own.item, own.column].to(values)))
        return cls(rows[item], choice, values)
