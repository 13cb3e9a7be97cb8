"""From a question to token ids, exactly as lm-eval 0.4.13 does for its tasks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from headspex.errors import UsageError, argument
from headspex.support.notice import say_once
from headspex.tasks.characters import check_whole
from headspex.tasks.chat import in_chat
from headspex.tasks.questions import LETTERS, Question

Prompt = str | tuple[int, ...]  # a text, or token ids
SHOWN = 60  # characters of a prompt that an error quotes


@dataclass(frozen=True)
class EncodedQuestion:
    """Token ids of a prompt and of each answer's continuation (" A", " B", ...).

    Attributes:
        context: begins with whatever the tokenizer puts first (a BOS token, usually).
        continuations: follow the context, one at a time.
        scored: how many tokens at the end of each continuation count; None: all of them.
        greedy: whether to count, too, how many of these tokens greedy decoding would miss; the
            counts follow the log-likelihoods.
        rounded: whether sums of several tokens are rounded to the model's own dtype, as in lm-eval.
        kl: whether to measure, as the last number, the KL divergence from the whole model's next
            tokens to these, in nats: the mean over all positions whose next token counts.
        corrupted: tokens that take the context's place where resample ablation finds the outputs
            of ablated heads.
    """

    context: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]
    scored: tuple[int, ...] | None = None
    greedy: bool = False
    rounded: bool = True
    kl: bool = False
    corrupted: tuple[int, ...] | None = None

    @property
    def counted(self) -> tuple[int, ...]:
        """How many tokens of each continuation count."""
        return tuple(map(len, self.continuations)) if self.scored is None else self.scored

    @property
    def width(self) -> int:
        """Numbers measured per question."""
        return len(self.continuations) * (2 if self.greedy else 1) + self.kl


@dataclass(frozen=True, kw_only=True)
class EncodedCloze(EncodedQuestion):
    """A question whose continuations are the texts of its choices.

    Attributes:
        lengths: characters of each text, without the blank before it, as in lm-eval's `acc_norm`.
    """

    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Style:
    """How multiple-choice prompts are written.

    Attributes:
        lettered: whether a header comes first, choices are listed, and their letters are the
            answers; else the texts of the choices are, after the question alone.
        gap: white space before the subject in the header.
        strips: whether white space around the question is removed.
        fits: whether worked examples are dropped until the prompt fits into the context; else the
            prompt is cut on the left.
    """

    gap: str = ""
    strips: bool = False
    fits: bool = False
    lettered: bool = True


STYLES = {
    "lm-eval": Style(gap=" ", strips=True),
    # The code of Hendrycks et al. 2021, arXiv 2009.03300.
    "hendrycks": Style(gap="  ", fits=True),
    # As lm-eval's tasks that score texts, such as arc_easy.
    "cloze": Style(lettered=False),
}


def as_prompt(given: Any) -> Prompt:
    """A text or token ids, such as a list or a row of a tensor.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(given, str):
        return given
    ids = given.tolist() if hasattr(given, "tolist") else given
    if not isinstance(ids, list | tuple) or not all(isinstance(token, int) for token in ids):
        raise UsageError(f"a prompt is a text or a list of token ids, but got {str(given)[:40]!r}")
    return tuple(ids)


def tokens_of(prompt: Prompt, tokenizer: Any) -> tuple[int, ...]:
    """Token ids of a prompt; of a text with what the tokenizer puts first."""
    if not isinstance(prompt, str):
        return prompt
    return tuple(cast("list[int]", tokenizer(prompt, verbose=False)["input_ids"]))


def written(prompt: Prompt) -> str:
    """A prompt as a text: token ids as a JSON list."""
    return prompt if isinstance(prompt, str) else json.dumps(prompt)


def header(subject: str, style: str = "lm-eval") -> str:
    """The line above all questions, followed by an empty one; empty without letters."""
    if not STYLES[style].lettered:
        return ""
    about = f" about{STYLES[style].gap}{subject.replace('_', ' ')}" if subject else ""
    return f"The following are multiple choice questions (with answers){about}.\n\n"


def body(question: Question, style: str = "lm-eval") -> str:
    """The question, its lettered choices if there are letters, and "Answer:"."""
    if not STYLES[style].lettered:
        return f"Question: {question.question}\nAnswer:"
    text = question.question.strip() if STYLES[style].strips else question.question
    lines = [f"{LETTERS[i]}. {choice}" for i, choice in enumerate(question.choices)]
    return "\n".join([text, *lines, "Answer:"])


def examples(question: Question, shots: Sequence[Question], style: str = "lm-eval") -> str:
    """Worked examples, each followed by an empty line, and the question up to "Answer:"."""
    worked = "".join(
        f"{body(shot, style)} {answers(shot, style)[shot.answer]}\n\n" for shot in shots
    )
    return worked + body(question, style)


def answers(question: Question, style: str = "lm-eval") -> Sequence[str]:
    """What is scored of each choice: its letter, or its text."""
    lettered = STYLES[style].lettered
    return LETTERS[: len(question.choices)] if lettered else question.choices


def prompt(question: Question, shots: Sequence[Question] = (), style: str = "lm-eval") -> str:
    """Header, worked examples joined by empty lines, and the question up to "Answer:"."""
    return header(question.subject, style) + examples(question, shots, style)


def encode(
    question: Question,
    tokenizer: Any,
    shots: Sequence[Question] = (),
    *,
    style: str = "lm-eval",
    chat: bool = False,
    n_ctx: int | None = None,
) -> EncodedQuestion:
    """Tokenize one question: see `encode_texts` for the continuation rule.

    Raises:
        UsageError: as there, or a choice whose text is to be scored is blank.
    """
    texts = answers(question, style)
    if (blank := next((n for n, text in enumerate(texts) if not text.strip()), None)) is not None:
        raise UsageError(
            f"choice {blank} of the question {question.question[:SHOWN]!r} is "
            f"{texts[blank]!r}, but a blank text cannot be scored; take "
            f"{argument('prompt_style')} lm-eval, or leave the question out"
        )
    if chat:
        # As lm-eval's --apply_chat_template: a system header, and no space before an answer.
        messages = [
            {"role": "system", "content": header(question.subject, style)},
            {"role": "user", "content": examples(question, shots, style)},
        ]
        text = in_chat([one for one in messages if one["content"]], tokenizer)
        found = encode_texts(text, list(texts), tokenizer)
    else:
        text = prompt(question, shots, style)
        found = encode_texts(text, [f" {answer}" for answer in texts], tokenizer)
    if n_ctx is not None and shots and STYLES[style].fits and longest_input(found) > n_ctx:
        return encode(question, tokenizer, shots[:-1], style=style, chat=chat, n_ctx=n_ctx)
    if STYLES[style].lettered:
        return found
    lengths = tuple(map(len, texts))
    return EncodedCloze(found.context, found.continuations, lengths=lengths)


def longest_input(question: EncodedQuestion) -> int:
    """Tokens of a question's longest input, before truncation."""
    return len(question.context) + max(map(len, question.continuations)) - 1


def encode_texts(context: str, continuations: Sequence[str], tokenizer: Any) -> EncodedQuestion:
    """Token ids by lm-eval's rule: a continuation is what `context + continuation` adds.

    That is `tok(context + continuation)[len(tok(context)):]`; all of its tokens are scored. White
    space at the context's end moves to the continuation. A context that begins with BOS gets no
    second one; a context without tokens becomes a single BOS (EOS if the tokenizer has no BOS).

    Raises:
        UsageError: a continuation adds no token, the context is empty and the tokenizer has
            neither BOS nor EOS, or a text holds half a character.
    """
    for text in (context, *continuations):
        check_whole(text, f"the prompt {text[:SHOWN]!r}")
    if not context:
        return _encode_without_context(continuations, tokenizer)
    blanks = context[len(context.rstrip()) :]
    context = context.removesuffix(blanks)
    texts = [context, *(context + blanks + c for c in continuations)]
    # verbose=False: inputs longer than the model's context are expected; they are cut later.
    ids = tokenizer(texts, verbose=False, **_special(context, tokenizer))["input_ids"]
    start = len(ids[0])
    encoded = tuple(tuple(whole[start:]) for whole in ids[1:])
    if not all(encoded):
        empty = continuations[[bool(c) for c in encoded].index(False)]
        raise UsageError(
            f"the tokenizer merges the answer {empty!r} into the prompt, so it cannot be scored; "
            "use the model's own tokenizer"
        )
    if not start:  # the tokenizer dropped unknown words
        say_bare()
    return EncodedQuestion(tuple(ids[0]) or _bare(tokenizer), encoded)


def encode_pairs(pairs: Sequence[tuple[str, str]], tokenizer: Any) -> EncodedQuestion:
    """Pairs of context and continuation by the same rule; contexts may differ."""
    if len({context for context, _ in pairs}) == 1:
        return encode_texts(pairs[0][0], [continuation for _, continuation in pairs], tokenizer)
    parts = [encode_texts(context, [continuation], tokenizer) for context, continuation in pairs]
    whole = [part.context + part.continuations[0] for part in parts]
    common = _common(whole, most=min(len(part.context) for part in parts))
    return EncodedQuestion(
        whole[0][:common],
        tuple(ids[common:] for ids in whole),
        scored=tuple(len(part.continuations[0]) for part in parts),
    )


def _encode_without_context(continuations: Sequence[str], tokenizer: Any) -> EncodedQuestion:
    (first,) = _bare(tokenizer)
    ids = tokenizer(list(continuations), add_special_tokens=False, verbose=False)["input_ids"]
    # A text that begins with the token needs no second one.
    encoded = tuple(tuple(row[1:] if row and row[0] == first else row) for row in ids)
    if not all(encoded):
        raise UsageError("a text to be scored has no token; leave empty texts out")
    return EncodedQuestion((first,), encoded)


def _bare(tokenizer: Any) -> tuple[int]:
    """A context without text."""
    first = prefix_token(tokenizer)
    if first is None:
        raise UsageError(
            "a text without context needs a BOS or EOS token before it, but the tokenizer has "
            "neither; put some text before it, in headspex features with --before"
        )
    return (first,)


def say_bare() -> None:
    """Print a notice on the context of prompts without tokens."""
    say_once(
        "a prompt without tokens is scored from the tokenizer's beginning-of-text token alone "
        "(end-of-text where it has none)"
    )


def prefix_token(tokenizer: Any) -> int | None:
    """The context of a text without one: BOS, or EOS if there is no BOS."""
    bos = getattr(tokenizer, "bos_token_id", None)
    return bos if bos is not None else getattr(tokenizer, "eos_token_id", None)


def _special(context: str, tokenizer: Any) -> dict[str, bool]:
    first = prefix_token(tokenizer)
    if first is not None and context.startswith(tokenizer.decode(first)):
        return {"add_special_tokens": False}
    return {}


def _common(rows: Sequence[tuple[int, ...]], most: int) -> int:
    columns = zip(*(row[:most] for row in rows), strict=True)
    return next((n for n, column in enumerate(columns) if len(set(column)) > 1), most)
