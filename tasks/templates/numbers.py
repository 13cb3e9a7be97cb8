"""Numbers: a later year, and a sum. Tokenizers cut digits in ones, twos or threes."""

from functools import partial

from headspex.tasks.pairs import Pair
from headspex.tasks.templates.draw import Draw, listed
from headspex.tasks.templates.template import Template

_EVENTS = listed(
    "war, siege, voyage, trial, strike, famine, drought, journey, project, campaign, dispute, "
    "festival, mission, marriage, reign, alliance, occupation, expedition, rebellion, "
    "construction, study, plague, conflict, exhibition, survey, partnership, programme, treaty, "
    "truce, crisis, revolt, boom, ban, blockade, exile, friendship, lease, tour, contract, feud"
)
_YEARS = tuple(f"{year:02}" for year in range(2, 99))
_CENTURIES = (11, 12, 13, 14, 15, 16, 17, 18)
_LASTED = (
    "The {event} lasted from the year {year} to the year {start}",
    "The {event} began in the year {year} and ended in the year {start}",
    "The {event} started in {year} and was over in {start}",
    "A book on the {event} covers the years from {year} to {start}",
)
_TERMS = tuple(map(str, range(11, 50)))  # sums of two are two digits
_SUMS = ("{a} + {b} =", "{a} plus {b} =", "The sum of {a} and {b} is", "Add {a} to {b} to get")


def _suffix(draw: Draw) -> Pair:
    """The last two digits of a later year are one token."""
    suffix = draw.word("years")
    every = [f"{year:02}" for year in range(100)]
    wrong = [year for year in every if year <= suffix]
    return _later(draw, suffix, "01", "", every[len(wrong) :], wrong)


def _digit(draw: Draw, place: int) -> Pair:
    """One digit of a later year, its decade (0) or the year in it (1), after those before it."""
    suffix = draw.one([year for year in draw.pools["years"] if year[place] not in "09"])
    given, digit = suffix[:place], suffix[place]
    right, wrong = [d for d in "123456789" if d > digit], [d for d in "012345678" if d < digit]
    return _later(draw, suffix, f"{given}0" if place else "01", given, right, wrong)


def _later(
    draw: Draw, suffix: str, first: str, given: str, right: list[str], wrong: list[str]
) -> Pair:
    sentence, event, century = draw.one(_LASTED), draw.word("events"), draw.one(_CENTURIES)
    clean, corrupted = (
        sentence.format(event=event, year=f"{century}{year}", start=f"{century}{given}")
        for year in (suffix, first)
    )
    return Pair.of(clean, right, wrong, corrupted=corrupted)


def _sum(draw: Draw, before: str, space: str, digits: int) -> Pair:
    """The first digits of a sum, with the space before it in the prompt or in the answer."""
    sentence = draw.one(_SUMS)
    clean, corrupted = draw.words("terms", 2), draw.words("terms", 2)
    while str(_total(clean))[0] == str(_total(corrupted))[0]:
        corrupted = draw.words("terms", 2)
    right, wrong = (f"{space}{str(_total(both))[:digits]}" for both in (clean, corrupted))
    asked, other = (sentence.format(a=a, b=b) + before for a, b in (clean, corrupted))
    return Pair.of(asked, [right], [wrong], corrupted=other)


def _total(terms: list[str]) -> int:
    return sum(map(int, terms))


GREATER_THAN = Template(
    name="greater-than",
    summary="a later year of the same century, of all years or decades that are not",
    source="Hanna et al. 2023, arXiv:2305.00586",
    pools={"events": _EVENTS, "years": _YEARS},
    ways=(_suffix, partial(_digit, place=0), partial(_digit, place=1)),
    metric="prob-diff",
)
ADDITION = Template(
    name="addition",
    summary="the sum of two numbers, or its first digit where a token is a digit",
    source="Stolfo et al. 2023, arXiv:2305.15054",
    pools={"terms": _TERMS},
    ways=tuple(
        partial(_sum, before=before, space=space, digits=digits)
        for digits in (2, 1)
        for before, space in (("", " "), (" ", ""))
    ),
)
