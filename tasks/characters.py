"""A check that texts hold only whole characters, as tokenizers need."""

from headspex.errors import UsageError


def check_whole(text: str, what: str) -> str:
    r"""Return the text, unless it holds half of a character (a lone surrogate).

    Lone surrogates come from an escape such as `\ud83d` without its second half, and from bytes on
    the command line that are not UTF-8.

    Args:
        text: any text.
        what: name and place of the text, for the error.

    Raises:
        UsageError: the text holds a lone surrogate.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{what} holds {text[error.start]!a}, half of a character (a lone surrogate), which "
            "cannot be tokenized; write the whole character, or leave it out"
        ) from error
    return text
