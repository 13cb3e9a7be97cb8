"""A model's output as a function of the pieces of its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from headspex.errors import UsageError
from headspex.features.scorers import Scorer
from headspex.features.text import Prompt, repeat_word
from headspex.players import Values, check_masks
from headspex.support.progress import progress

REMOVALS = ("drop", "replace", "mask")
AT_ONCE = 256  # masks per batch of texts


class TextValue:
    """Masks over the pieces of a prompt to the score of a model.

        value = TextValue(cut(text, "word", after=" It was"), scorer)
        spectrum = headspex.explain(value, value.n_players, budget=2000)

    Args:
        prompt: with its players.
        scorer: model and output, see `AnswerScorer` and `ClassScorer`.
        removal: "drop" leaves the piece out, "replace" puts a fill in its place, "mask" hides its
            tokens from attention and keeps all positions.
        fills: for "replace", one or more lists with a text for each player; the value is the mean
            over the lists. By default each word becomes the tokenizer's mask token or, if it has
            none, its unknown token.

    Raises:
        UsageError: an unknown removal, fills that do not match it or the prompt, or no token to
            replace words with.
    """

    def __init__(
        self,
        prompt: Prompt,
        scorer: Scorer,
        *,
        removal: str = "drop",
        fills: Sequence[Sequence[str]] | None = None,
    ) -> None:
        if removal not in REMOVALS:
            raise UsageError(f"no removal {removal!r}; known: {', '.join(REMOVALS)}")
        if fills is not None and removal != "replace":
            raise UsageError(f"fills are for the removal replace, but it is {removal}")
        if removal == "replace" and fills is None:
            fills = [repeat_word(prompt, _blank_token(scorer))]
        if fills is not None and (not fills or any(len(fill) != len(prompt) for fill in fills)):
            raise UsageError(
                f"fills hold a text for each of {len(prompt)} players, but their lengths are "
                f"{[len(fill) for fill in fills]}"
            )
        self.prompt, self.scorer, self.removal, self.fills = prompt, scorer, removal, fills

    @property
    def n_players(self) -> int:
        """Pieces of the prompt."""
        return len(self.prompt)

    @property
    def fingerprints(self) -> dict[str, str]:
        """sha256 of the model's weights, of its tokenizer, and of the prompt with its fills."""
        text = repr((self.prompt, self.fills))
        prompt = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return {**self.scorer.fingerprints, "prompt": prompt}

    def __call__(self, masks: npt.ArrayLike) -> Values:
        """The value of each mask."""
        masks = check_masks(masks, self.n_players)
        values = np.empty(len(masks))
        with progress(len(masks), "score prompts", unit="masks") as done:
            for start in range(0, len(masks), AT_ONCE):
                part = masks[start : start + AT_ONCE]
                values[start : start + AT_ONCE] = self._score(part)
                done(len(part))
        return values

    def _score(self, masks: np.ndarray) -> Values:
        if self.removal == "mask":
            return self.scorer.hidden(self.prompt, masks)
        lists: Sequence[Sequence[str] | None] = self.fills or [None]
        texts = [self.prompt.with_only(mask, fill) for mask in masks for fill in lists]
        different = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        found = self.scorer.texts(list(different))
        values = found[[different[text] for text in texts]].reshape(len(masks), len(lists))
        return np.asarray(values.mean(axis=1))


def _blank_token(scorer: Scorer) -> str:
    tokenizer = scorer.tokenizer
    token = getattr(tokenizer, "mask_token", None) or getattr(tokenizer, "unk_token", None)
    if token is None:
        raise UsageError(
            "words are replaced by the mask or unknown token, but this tokenizer has neither; "
            "give the texts to put in their place, or drop the players"
        )
    return str(token)
