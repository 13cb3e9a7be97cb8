"""Indirect objects: of two people, one gives something to the other."""

from headspex.tasks.pairs import Pair
from headspex.tasks.templates.draw import Draw, listed
from headspex.tasks.templates.people import MEN, WOMEN
from headspex.tasks.templates.template import Template

_PLACES = listed(
    "store, school, park, office, beach, market, station, hospital, library, garden, museum, farm, "
    "restaurant, church, kitchen, theater, airport, village, lake, castle"
)
_OBJECTS = listed(
    "book, ring, drink, letter, key, gift, ball, map, ticket, flower, basket, bottle, phone, "
    "coat, camera, cake, picture, hat, cup, note"
)
# {a} and {b} are both people in either order, {s} gives.
_SENTENCES = (
    "When {a} and {b} went to the {place}, {s} gave a {object} to",
    "After {a} and {b} came back from the {place}, {s} handed a {object} to",
    "While {a} and {b} were at the {place}, {s} passed a {object} to",
    "Friends of {a} and {b} came to the {place}, where {s} showed a {object} to",
    "As soon as {a} and {b} arrived at the {place}, {s} gave a {object} to",
    "One day {a} and {b} walked to the {place}. There {s} offered a {object} to",
    "In the afternoon {a} and {b} sat down in the {place}, and {s} gave a {object} to",
    "Yesterday {a} and {b} had lunch near the {place}. Later {s} sent a {object} to",
    "At the {place}, {a} and {b} were in a good mood. Then {s} handed a {object} to",
)


def _pair(draw: Draw) -> Pair:
    gives, gets, *others = draw.words("names", 5)
    sentence = draw.one(_SENTENCES)
    place, thing = draw.word("places"), draw.word("objects")
    first, second = draw.some((gives, gets), 2)
    said = {"place": place, "object": thing}
    return Pair.of(
        sentence.format(a=first, b=second, s=gives, **said),
        [f" {gets}"],
        [f" {gives}"],
        corrupted=sentence.format(a=others[0], b=others[1], s=others[2], **said),
    )


IOI = Template(
    name="ioi",
    summary="the one of two people who is given something, not the one who gives it",
    source="Wang et al. 2023, arXiv:2211.00593",
    pools={"names": WOMEN + MEN, "places": _PLACES, "objects": _OBJECTS},
    ways=(_pair,),
)
