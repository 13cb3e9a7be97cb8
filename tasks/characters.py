"""Texts that a tokenizer takes: whole characters alone."""

from headspex.errors import UsageError


def check_whole(text: str, what: str) -> str:
    r"""The text itself, unless it holds half of a character.

    An escape such as `\ud83d` without its second half, and bytes of the command line that are no
    UTF-8, become such halves (lone surrogates).

    Args:
        text: any.
        what: the text is, with its place, for the error.

    Raises:
        UsageError: it holds one.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{what} holds {text[error.start]!a}, half of a character (a lone surrogate), which no "
            "tokenizer takes; write the whole character, or leave it out"
        ) from error
    return text
