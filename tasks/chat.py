"""Prompts in a tokenizer's chat template, the same on every day."""

import json
from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Any

from headspex.errors import UsageError, argument
from headspex.support.notice import say_once

Message = dict[str, str]

# What a template is told where it asks for today: scores that change overnight cannot be repeated,
# nor a run be gone on with. Llama 3's template falls back to this day by itself.
TODAY = date(2024, 7, 26)
ASKS_FOR_TODAY = "strftime_now"
DIRECTIVES = "aAbBcdfGHIjmMpSuUVwWxXyYzZ"  # of strftime


def in_chat(
    messages: Sequence[Message], tokenizer: Any, *, add_generation_prompt: bool = True
) -> str:
    """Messages in the tokenizer's chat template, up to the answer.

    A template that takes no system message loses it, as in lm-eval.

    Args:
        messages: of a system (perhaps), a user and so on.
        tokenizer: with a template.
        add_generation_prompt: open the answer; else the last message is left open.

    Raises:
        UsageError: the tokenizer has no template or none called default, or it refuses the
            messages.
    """
    template = _template_of(tokenizer)
    if ASKS_FOR_TODAY in template:
        say_once(
            f"the chat template writes today's date: it is {TODAY:%d %B %Y} in every prompt, so "
            "that scores can be repeated"
        )
        template = _same_every_day(template)

    def put(some: Sequence[Message]) -> str:
        text: str = tokenizer.apply_chat_template(
            list(some), chat_template=template, tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )  # fmt: skip
        return text

    others = [message for message in messages if message["role"] != "system"]
    try:
        try:
            return put(messages)
        except _template_error():
            if len(others) == len(messages):
                raise
        text = put(others)
    except Exception as error:  # a template is code of others, and raises what it likes
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UsageError(
            f"the chat template does not take these messages ({first}); mend chat_template.jinja "
            f"in the model's folder, or leave {argument('chat_template')} out"
        ) from error
    say_once("the chat template takes no system message: prompts go without their header")
    return text


def _template_error() -> type[Exception]:
    from jinja2.exceptions import TemplateError

    return TemplateError


def _template_of(tokenizer: Any) -> str:
    """The tokenizer's only template, or the one called default."""
    found = getattr(tokenizer, "chat_template", None)
    if isinstance(found, dict) and found and "default" not in found:
        raise UsageError(
            f"{argument('chat_template')} takes the template called default, but this "
            "tokenizer's are called "
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
    """A template in which today is always `TODAY`.

    transformers hands templates plain data alone, no function, so it is a macro of Jinja's.
    """
    known = {f"%{one}": TODAY.strftime(f"%{one}") for one in DIRECTIVES}
    # Without leading zeros; last, the sign itself.
    bare = {f"%-{one[1]}": text.lstrip("0") or "0" for one, text in known.items()}
    filters = "".join(
        f"|replace({json.dumps(one)}, {json.dumps(text)})"
        for one, text in {**known, **bare, "%%": "%"}.items()
    )
    # The line feed ends with the tag, so that the template begins a line as before.
    return (
        f"{{%- macro {ASKS_FOR_TODAY}(format) -%}}{{{{ format{filters} }}}}{{%- endmacro %}}\n"
        + template
    )
