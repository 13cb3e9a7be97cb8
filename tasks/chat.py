"""Prompts in a tokenizer's chat template, always with the same date."""

import json
from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Any

from headspex.errors import UsageError, argument
from headspex.support.notice import say_once

Message = dict[str, str]

# The date in templates that write today's: with the real one, scores would change overnight, and a
# run could not be continued. It is the default date of Llama 3's template.
TODAY = date(2024, 7, 26)
ASKS_FOR_TODAY = "strftime_now"
DIRECTIVES = "aAbBcdfGHIjmMpSuUVwWxXyYzZ"  # of strftime


def in_chat(
    messages: Sequence[Message], tokenizer: Any, *, add_generation_prompt: bool = True
) -> str:
    """Messages in the tokenizer's chat template, up to the answer.

    The system message is dropped if the template refuses it, as in lm-eval.

    Args:
        messages: with roles and contents.
        tokenizer: with a template.
        add_generation_prompt: start the assistant's answer; else leave the last message open.

    Raises:
        UsageError: the tokenizer has no (default) template, or the template refuses the messages.
    """
    template = _template_of(tokenizer)
    if ASKS_FOR_TODAY in template:
        say_once(
            f"the chat template writes today's date; every prompt has {TODAY:%d %B %Y} instead, so "
            "that scores can be reproduced"
        )
        template = _same_every_day(template)

    def render(some: Sequence[Message]) -> str:
        text: str = tokenizer.apply_chat_template(
            list(some),
            chat_template=template,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )
        return text

    others = [message for message in messages if message["role"] != "system"]
    try:
        try:
            return render(messages)
        except _template_error():
            if len(others) == len(messages):
                raise
        text = render(others)
    except Exception as error:  # a template is code, and may raise anything
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UsageError(
            f"the chat template refuses these messages ({first}); mend chat_template.jinja in the "
            f"model's folder, or leave {argument('chat_template')} out"
        ) from error
    say_once("the chat template refuses a system message, so prompts have no header")
    return text


def _template_error() -> type[Exception]:
    from jinja2.exceptions import TemplateError

    return TemplateError


def _template_of(tokenizer: Any) -> str:
    """The tokenizer's only template, or the one called default."""
    found = getattr(tokenizer, "chat_template", None)
    if isinstance(found, dict) and found and "default" not in found:
        raise UsageError(
            f"{argument('chat_template')} needs a template called default, but this tokenizer has "
            f"{', '.join(sorted(found))}; write one of them to chat_template.jinja in the model's "
            f"folder, or leave {argument('chat_template')} out"
        )
    template = found.get("default") if isinstance(found, dict) else found
    if not template:
        raise UsageError(
            f"{argument('chat_template')} needs a tokenizer with a chat template, but this one "
            "has none; take an instruct model, or leave it out"
        )
    return str(template)


@cache
def _same_every_day(template: str) -> str:
    """A template in which today's date is always `TODAY`.

    A Jinja macro: transformers passes no functions to templates.
    """
    known = {f"%{one}": TODAY.strftime(f"%{one}") for one in DIRECTIVES}
    # %-d and the like have no leading zeros.
    bare = {f"%-{one[1]}": text.lstrip("0") or "0" for one, text in known.items()}
    filters = "".join(
        f"|replace({json.dumps(one)}, {json.dumps(text)})"
        for one, text in {**known, **bare, "%%": "%"}.items()
    )
    # Jinja drops a line feed after a tag, so the template still begins at a line's start.
    return (
        f"{{%- macro {ASKS_FOR_TODAY}(format) -%}}{{{{ format{filters} }}}}{{%- endmacro %}}\n"
        + template
    )
