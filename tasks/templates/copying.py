"""Copying from earlier in the prompt: repeated words, and arguments into a docstring."""

from headspex.tasks.pairs import Pair
from headspex.tasks.templates.draw import Draw, listed
from headspex.tasks.templates.nouns import NOUNS
from headspex.tasks.templates.template import Template

_REPEATED = 12  # words
_ARGUMENTS = listed(
    "file, path, name, size, color, width, height, index, key, value, text, line, page, image, "
    "user, data, table, column, field, node, list, token, model, source, target, date, "
    "time, port, host, message, group, event, item, order, price, label, title, scale, angle, "
    "speed, depth, shape, weight, buffer, query, mask, batch, mode, type, flag, option"
)
_FUNCTIONS = listed(
    "load, save, open, send, read, write, update, check, create, build, run, start, find, sort, "
    "merge, copy, draw, print, parse, fetch"
)
_MEANINGS = listed(
    "to be used, of the result, that is given, to work on, from the caller, or nothing, as before, "
    "if known, of the new one, for later, in memory, by default"
)


def _repeated(draw: Draw) -> Pair:
    """Words, again up to one of them: what followed it? Corrupted: it did not occur before."""
    *words, other = draw.words("words", _REPEATED + 1)
    key = int(draw.rng.integers(5, _REPEATED - 1))
    again = words[: key + 1]
    without = [*words[:key], other, *words[key + 1 :]]
    clean, corrupted = ("".join(f" {w}" for w in first + again) for first in (words, without))
    wrong = [f" {w}" for i, w in enumerate(words) if i not in (key, key + 1)]
    return Pair.of(clean, [f" {words[key + 1]}"], wrong, corrupted=corrupted)


def _docstring(draw: Draw) -> Pair:
    """The argument after those that are documented. Corrupted: other arguments."""
    names = draw.words("arguments", 10)
    function, what = draw.word("functions"), draw.words("meanings", 3)
    clean, corrupted = (_code(function, own, what) for own in (names[:5], names[5:]))
    wrong = [f" {name}" for name in names[:4]]
    return Pair.of(clean, [f" {names[4]}"], wrong, corrupted=corrupted)


def _code(function: str, names: list[str], what: list[str]) -> str:
    lines = [f"    :param {name}: {said}" for name, said in zip(names[2:4], what, strict=False)]
    head = f"def {function}(self, {', '.join(names)}):"
    return "\n".join([head, f'    """{function.capitalize()} {what[2]}.', "", *lines, "    :param"])


INDUCTION = Template(
    name="induction",
    summary="the word that followed the last one before, in random words that repeat",
    source="Olsson et al. 2022, arXiv:2209.11895",
    pools={"words": NOUNS},
    ways=(_repeated,),
)
DOCSTRING = Template(
    name="docstring",
    summary="the next argument of a function whose docstring is half written",
    source="Heimersheim and Janiak 2023, a circuit for Python docstrings in a 4-layer model",
    pools={"arguments": _ARGUMENTS, "functions": _FUNCTIONS, "meanings": _MEANINGS},
    ways=(_docstring,),
)
