"""Words, sentences or lines of a prompt as players: which of them, and which together, count.

Names are imported on first use, as the models behind them take seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headspex.features.findings import TextFindings as TextFindings
    from headspex.features.findings import explain_text as explain_text
    from headspex.features.highlight import ansi as ansi
    from headspex.features.highlight import html as html
    from headspex.features.scorers import AnswerScorer as AnswerScorer
    from headspex.features.scorers import ClassScorer as ClassScorer
    from headspex.features.text import Prompt as Prompt
    from headspex.features.text import cut as cut
    from headspex.features.value import TextValue as TextValue

_HOME = {
    "TextFindings": "findings",
    "explain_text": "findings",
    "ansi": "highlight",
    "html": "highlight",
    "AnswerScorer": "scorers",
    "ClassScorer": "scorers",
    "Prompt": "text",
    "cut": "text",
    "TextValue": "value",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
