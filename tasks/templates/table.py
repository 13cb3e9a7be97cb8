"""The built-in tasks by name."""

from headspex.tasks.templates.capitals import CAPITALS
from headspex.tasks.templates.copying import DOCSTRING, INDUCTION
from headspex.tasks.templates.grammar import GENDERED_PRONOUN, SUBJECT_VERB
from headspex.tasks.templates.letters import COPYCOLORS
from headspex.tasks.templates.names import IOI
from headspex.tasks.templates.numbers import ADDITION, GREATER_THAN
from headspex.tasks.templates.template import Template

TEMPLATES: dict[str, Template] = {
    template.name: template
    for template in (
        IOI, GREATER_THAN, SUBJECT_VERB, GENDERED_PRONOUN, CAPITALS, INDUCTION, DOCSTRING,
        COPYCOLORS, ADDITION,
    )
}  # fmt: skip
