"""Words, sentences or lines of a prompt as players: their effects and interactions.

Names are imported on first use, as model libraries take seconds to import.
"""

from typing import TYPE_CHECKING

from headspex.support.lazy import lazily

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

__getattr__, __dir__ = lazily(__name__, _HOME)
