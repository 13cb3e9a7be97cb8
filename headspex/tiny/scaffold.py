"""An auxiliary loss that helps the circuits of the shipped model to form, early in training.

With the letter as the only target, passage reading stayed at chance for thousands of steps. Two
hints make it form within a thousand: some heads are trained to attend to given positions, and the
answer's word is decoded from a middle layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from jaxtyping import Float
from torch import Tensor, nn

from headspex.tiny.sequences import ANSWER, FIRST_CHOICE, LAST_WORD, NOWHERE, Batch

# Layers and heads with trained attention: heads 0-3 share KV heads 0 and 1, 4-7 share 2 and 3.
PREVIOUS_LAYER, FIRST_HOP_LAYER, SECOND_HOP_LAYER, MATCH_LAYER = 0, 1, 2, 4
LOWER, UPPER = slice(0, 4), slice(4, 8)
# Layers after which a word is decoded: the person who is followed, and the answer.
LEADER_AFTER, WORD_AFTER = 2, 4


class Scaffold(nn.Module):
    """The loss of the hints; `norm` holds its only weights."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width)

    def forward(self, batch: Batch, tokens: Tensor, output: Any, lm_head: nn.Module) -> Tensor:
        """The loss of one batch.

        Args:
            batch: positions of the questions.
            tokens: the batch's rows.
            output: of the decoder, with hidden states and attentions.
            lm_head: the (tied) unembedding.
        """
        columns = batch.row, batch.letter_at, batch.answer, batch.first_hop, batch.second_hop
        row, letter_at, answer, first, second = map(torch.from_numpy, columns)
        right_at = letter_at + FIRST_CHOICE + 2 * answer
        last_word, answer_at = letter_at + LAST_WORD, letter_at + ANSWER
        looks = output.attentions
        one, two = first != NOWHERE, second != NOWHERE
        behind = torch.arange(1, tokens.shape[1])
        where = [
            (0.1, looks[PREVIOUS_LAYER][:, LOWER][:, :, behind, behind - 1]),
            (0.3, looks[FIRST_HOP_LAYER][row[one], UPPER, last_word[one], first[one]]),
            (0.3, looks[SECOND_HOP_LAYER][row[two], UPPER, last_word[two], second[two]]),
            (0.3, looks[MATCH_LAYER][row, LOWER, answer_at, right_at]),
        ]
        hidden = self.norm(output.hidden_states[WORD_AFTER])
        word = tokens[row, right_at]
        at_answer = F.cross_entropy(lm_head(hidden[row, answer_at]), word)
        at_question = F.cross_entropy(lm_head(hidden[row, last_word]), word)
        loss = _missed(where) + 0.5 * at_answer + 0.25 * at_question
        if bool(two.any()):
            early = self.norm(output.hidden_states[LEADER_AFTER][row[two], last_word[two]])
            loss = loss + 0.25 * F.cross_entropy(lm_head(early), tokens[row[two], first[two]])
        return loss


def _missed(where: Sequence[tuple[float, Float[Tensor, "..."]]]) -> Tensor:
    """Weighted sum of mean -log attention to the right positions."""
    losses = [weight * -torch.log(p + 1e-6).mean() for weight, p in where if p.numel()]
    return torch.stack(losses).sum()
