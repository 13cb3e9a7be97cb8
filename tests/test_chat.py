"""Chat templates as models bring them: several with names, strict ones, and dated ones."""

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from headspex.cli.main import main
from headspex.errors import UsageError
from headspex.study import Study
from headspex.support.notice import say_once
from headspex.tasks.chat import TODAY, in_chat
from headspex.tiny.tokenizer import build_tokenizer

TURNS = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}[assistant] "
# As of models whose turns must alternate, or that know no system.
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TURNS
)
NOTHING = "{{ raise_exception('this model does not chat') }}"
# Blanks and line ends before the first tag, as Llama 3 and others have them.
DATED = (
    "  {%- if not date_string is defined %}\n    {% set date_string = strftime_now('%d %b %Y') %}\n"
    "  {% endif %}\n\n{{ date_string }} {{ strftime_now('%A, %-d/%-m, %H:%M %% %j') }}\n" + TURNS
)
INDENTED = "  {% if true %}\n x {{ strftime_now('%Y') }}\n {% endif %}" + TURNS
SYSTEM = {"role": "system", "content": "Questions follow."}
USER = {"role": "user", "content": "Where is the fox?"}


def chatty(template: Any) -> Any:
    tokenizer = build_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def at(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    """Transformers' clock."""
    import transformers.utils.chat_template_utils as utils

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return now

    monkeypatch.setattr(utils, "datetime", Clock)


def test_the_template_called_default_is_taken_and_without_it_the_names_are_told() -> None:
    one, other = TURNS, "other"
    assert in_chat([USER], chatty({"default": one, "rag": other})) == in_chat([USER], chatty(one))
    with pytest.raises(UsageError, match=r"called default, but .* has rag, tool_use; write"):
        in_chat([USER], chatty({"tool_use": one, "rag": other}))
    without: tuple[Any, ...] = (None, "", {})
    for nothing in without:
        with pytest.raises(UsageError, match=r"this one has none"):
            in_chat([USER], chatty(nothing))


def test_a_template_that_takes_no_system_message_loses_it_and_that_is_said_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say_once.cache_clear()
    tokenizer = chatty(NO_SYSTEM)
    for _ in range(2):
        found = in_chat([SYSTEM, USER], tokenizer)
        assert found == "[user] Where is the fox?\n[assistant] "
    assert capsys.readouterr().err.count("refuses a system message") == 1


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (NOTHING, r"refuses these messages \(this model does not chat\)"),
        ("{% for m in messages %}", r"refuses these messages \(.*[Ee]nd"),
        ("{{ messages[0].content + 1 }}", r"refuses these messages \(.*str"),
        ("{{ nobody.knows }}", r"refuses these messages \('nobody' is undefined"),
    ],
)
def test_a_template_that_fails_either_way_is_refused_with_its_own_words(
    template: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say_once.cache_clear()
    with pytest.raises(UsageError, match=message):
        in_chat([SYSTEM, USER], chatty(template))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("template", [DATED, "\n" + DATED, INDENTED, "\n\n" + INDENTED])
def test_today_is_the_same_on_every_day_and_all_else_as_transformers_has_it(
    template: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say_once.cache_clear()
    tokenizer = chatty(template)
    at(monkeypatch, datetime(TODAY.year, TODAY.month, TODAY.day))
    expected = tokenizer.apply_chat_template([SYSTEM, USER], tokenize=False)
    assert str(TODAY.year) in expected
    at(monkeypatch, datetime(2031, 12, 24, 17, 5))
    assert tokenizer.apply_chat_template([SYSTEM, USER], tokenize=False) != expected
    assert in_chat([SYSTEM, USER], tokenizer) == expected
    assert in_chat([SYSTEM, USER], tokenizer) == expected
    assert capsys.readouterr().err.count("every prompt has 26 July 2024 instead") == 1


@pytest.fixture
def chat_model(model_folder: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    return folder


def test_named_templates_of_a_model_are_told_on_the_command_line(
    chat_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = chat_model / "tokenizer_config.json"
    config = json.loads(path.read_text())
    named = [{"name": name, "template": TURNS} for name in ("rag", "tool_use")]
    path.write_text(json.dumps({**config, "chat_template": named}))
    words = ["eval", "--model", str(chat_model), "--limit", "2", "--chat-template"]
    assert main(words) == 2
    assert "has rag, tool_use; write one of them to chat_template.jinja" in (
        capsys.readouterr().err
    )
    # The way out that it names.
    (chat_model / "chat_template.jinja").write_text(TURNS)
    assert main(words) == 0


def test_the_prompts_of_a_run_are_those_of_the_next_day(
    chat_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (chat_model / "chat_template.jinja").write_text(DATED)
    asked = []
    for day in (1, 2):
        at(monkeypatch, datetime(2026, 1, day))
        study = Study(chat_model, "mini", chat_template=True, threads=1)
        asked.append(study.encode(study.task.test[:2]))
    assert asked[0] == asked[1]
