"""Scores of texts by a model: the log-odds of an answer, or of a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from jaxtyping import Float

from headspex.errors import UsageError, argument
from headspex.features.text import Prompt
from headspex.players import Masks, Values

if TYPE_CHECKING:
    from headspex.hooks import LoadedModel
    from headspex.tasks.prompts import EncodedQuestion

BATCH_TOKENS = 2_048  # as in headspex.hooks.forward on a CPU


class Scorer(Protocol):
    """A model and the output to explain."""

    tokenizer: Any

    @property
    def fingerprints(self) -> dict[str, str]:
        """sha256 of the model's weights and of its tokenizer."""

    def texts(self, texts: Sequence[str]) -> Values:
        """The value of each text."""

    def hidden(self, prompt: Prompt, masks: Masks) -> Values:
        """The value of the whole prompt for each mask, tokens of absent players hidden."""


class AnswerScorer:
    """The log-odds, in nats, of an answer as a language model's continuation of the text.

    With several answers the odds are of the right one against the others, with one answer they are
    against everything else; `odds=False` gives the answer's log-probability.

    Args:
        model: from `headspex.hooks.load_model`.
        answers: continuations such as " A", " B", with their leading blank.
        right: position of the answer to explain.
        odds: see above.

    Raises:
        UsageError: no answers, or `right` is not among them.
    """

    def __init__(
        self, model: LoadedModel, answers: Sequence[str], right: int = 0, *, odds: bool = True
    ) -> None:
        if not 0 <= right < len(answers):
            raise UsageError(f"right is a position among {len(answers)} answers, but is {right}")
        self.model, self.tokenizer = model, model.tokenizer
        self.answers, self.right, self.odds = list(answers), right, odds

    @property
    def fingerprints(self) -> dict[str, str]:
        """sha256 of the model's weights and of its tokenizer."""
        return {"weights": self.model.fingerprint, "tokenizer": self.model.tokenizer_fingerprint}

    def texts(self, texts: Sequence[str]) -> Values:
        """The value of each text.

        Raises:
            UsageError: a text with its answer is longer than the model's context, or a text is
                empty and the tokenizer has no BOS or EOS token.
        """
        from headspex.hooks import answer_log_probs
        from headspex.tasks.prompts import encode_texts, say_bare

        encoded = [encode_texts(text, self.answers, self.tokenizer) for text in texts]
        # Many tokenizers put the token before every text; then nothing is added.
        if "" in texts and not self.tokenizer("", verbose=False)["input_ids"]:
            say_bare()
        for question in encoded:
            self._check_tokens(question)
            longest = max(map(len, question.continuations))
            _check_length(len(question.context) + longest - 1, self.model.n_ctx)
        return self._value(answer_log_probs(self.model, encoded))

    def hidden(self, prompt: Prompt, masks: Masks) -> Values:
        """The value of the whole prompt for each mask, tokens of absent players hidden.

        Hidden tokens keep their places, but no later token attends to them.

        Raises:
            UsageError: as for `texts`, or the prompt ends in a player: the last token, which
                predicts the answer, must stay.
        """
        import torch

        from headspex.tasks.prompts import encode_texts

        if not prompt.after.strip():
            raise UsageError(
                "hiding tokens from attention needs a last word that stays, but the prompt ends in "
                f"a player; give text with {argument('after')}, or drop or replace the players"
            )
        encoded = encode_texts(prompt.whole, self.answers, self.tokenizer)
        self._check_tokens(encoded)
        owners = prompt.owners(_spans(self.tokenizer, prompt.whole))
        start = len(encoded.context)
        plain = self.model.bridge.original_model
        log_probs = np.empty((len(masks), len(self.answers)))
        for column, answer in enumerate(encoded.continuations):
            ids = (encoded.context + answer)[:-1]
            _check_length(len(ids), self.model.n_ctx)
            places = np.arange(start - 1, len(ids))
            for rows in _batches(len(masks), len(ids)):
                seen = _visible(owners, masks[rows], len(ids))
                with torch.no_grad():
                    logits = plain(
                        input_ids=torch.tensor([ids], device=plain.device).expand(len(seen), -1),
                        attention_mask=torch.tensor(seen, device=plain.device),
                        position_ids=torch.arange(len(ids), device=plain.device)[None],
                    ).logits[:, places]
                found = torch.log_softmax(logits, dim=-1).double().cpu().numpy()
                log_probs[rows, column] = found[:, range(len(answer)), answer].sum(axis=1)
        return self._value(log_probs)

    def _check_tokens(self, encoded: EncodedQuestion) -> None:
        from headspex.tasks.vocabulary import check_tokens, vocabulary_of

        vocabulary = vocabulary_of(self.model.bridge.original_model)
        for tokens in (encoded.context, *encoded.continuations):
            check_tokens(tokens, self.tokenizer, vocabulary, "the text or its answer")

    def _value(self, log_probs: Float[np.ndarray, "texts answers"]) -> Values:
        right = log_probs[:, self.right]
        if not self.odds:
            return right
        if len(self.answers) == 1:
            return np.asarray(right - np.log(-np.expm1(np.minimum(right, -1e-12))))
        others = np.delete(log_probs, self.right, axis=1)
        return np.asarray(right - np.logaddexp.reduce(others, axis=1))


class ClassScorer:
    """The log-odds, in nats, of a class against the others.

    Args:
        model: a transformers model for sequence classification, in eval mode.
        tokenizer: of the model; it must pad.
        label: a name in the model's `id2label`, or a number.

    Raises:
        UsageError: the model has no such class.
    """

    def __init__(self, model: Any, tokenizer: Any, label: str | int) -> None:
        names = {str(name): int(i) for i, name in model.config.id2label.items()}
        number = names.get(str(label), int(label) if str(label).isdigit() else -1)
        if not 0 <= number < len(names):
            raise UsageError(f"no class {label!r}; the model knows {', '.join(names)}")
        self.model, self.tokenizer, self.number = model, tokenizer, number

    @property
    def fingerprints(self) -> dict[str, str]:
        """sha256 of the model's weights and of its tokenizer."""
        from headspex.hooks.fingerprint import tokenizer_fingerprint, weights_fingerprint

        return {
            "weights": weights_fingerprint(self.model.state_dict()),
            "tokenizer": tokenizer_fingerprint(self.tokenizer),
        }

    def texts(self, texts: Sequence[str]) -> Values:
        """The value of each text.

        Raises:
            UsageError: a text is longer than the model's input, or a text is empty and the
                tokenizer has no BOS or EOS token.
        """
        ids = self._tokens(texts)
        values = np.empty(len(ids))
        # Texts of similar length share a batch, which saves padding.
        order = np.argsort([len(row) for row in ids], kind="stable")
        for rows in _batches(len(ids), max(map(len, ids))):
            chosen = order[rows]
            width = max(len(ids[i]) for i in chosen)
            pad = self.tokenizer.pad_token_id or 0
            values[chosen] = self._run(
                np.array([ids[i] + [pad] * (width - len(ids[i])) for i in chosen]),
                np.array([[1] * len(ids[i]) + [0] * (width - len(ids[i])) for i in chosen]),
            )
        return values

    def hidden(self, prompt: Prompt, masks: Masks) -> Values:
        """The value of the whole prompt for each mask, tokens of absent players hidden."""
        (ids,) = self._tokens([prompt.whole])
        owners = prompt.owners(_spans(self.tokenizer, prompt.whole))
        values = np.empty(len(masks))
        for rows in _batches(len(masks), len(ids)):
            seen = _visible(owners, masks[rows], len(ids))
            values[rows] = self._run(np.tile(ids, (len(seen), 1)), seen)
        return values

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        from headspex.tasks.characters import check_whole
        from headspex.tasks.prompts import prefix_token, say_bare
        from headspex.tasks.vocabulary import check_tokens, vocabulary_of

        for text in texts:
            check_whole(text, "the text")
        found: list[list[int]] = self.tokenizer(list(texts), verbose=False)["input_ids"]
        vocabulary = vocabulary_of(self.model)
        for ids in found:
            check_tokens(ids, self.tokenizer, vocabulary, "the text")
        if all(found):
            return found
        first = prefix_token(self.tokenizer)
        if first is None:
            raise UsageError(
                "a text without words needs a BOS or EOS token to be classified, but the tokenizer "
                f"has neither; give text that stays, with {argument('before')} or "
                f"{argument('after')}"
            )
        say_bare()
        return [ids or [first] for ids in found]

    def _run(self, ids: np.ndarray, seen: np.ndarray) -> Values:
        import torch

        longest = getattr(self.model.config, "max_position_embeddings", None)
        _check_length(ids.shape[1], longest or ids.shape[1])
        device = self.model.device
        with torch.no_grad():
            logits = self.model(
                input_ids=torch.tensor(ids, device=device),
                attention_mask=torch.tensor(seen, device=device),
            ).logits
        found = torch.log_softmax(logits.double(), dim=-1).cpu().numpy()
        others = np.delete(found, self.number, axis=1)
        return np.asarray(found[:, self.number] - np.logaddexp.reduce(others, axis=1))


def _spans(tokenizer: Any, text: str) -> list[tuple[int, int]]:
    if not getattr(tokenizer, "is_fast", False):
        raise UsageError(
            "hiding tokens from attention needs each token's position in the text, which this "
            "tokenizer does not give; drop or replace the players"
        )
    found = tokenizer(text, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    return [(int(start), int(end)) for start, end in found]


def _visible(owners: Sequence[int | None], masks: Masks, length: int) -> np.ndarray:
    seen = np.ones((len(masks), length), dtype=np.int64)
    for token, owner in enumerate(owners):
        if owner is not None:
            seen[:, token] = masks[:, owner]
    return seen


def _batches(count: int, length: int) -> list[slice]:
    size = max(1, BATCH_TOKENS // length)
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _check_length(tokens: int, most: int) -> None:
    if tokens > most:
        raise UsageError(
            f"a prompt of {tokens} tokens is longer than the model's context of {most}, and a "
            "truncated part cannot be explained; shorten it"
        )
