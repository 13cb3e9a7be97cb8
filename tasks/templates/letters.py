"""Multiple choice whose answer stands in the prompt: which letter has the colour?"""

from headspex.tasks.pairs import Pair
from headspex.tasks.templates.draw import Draw, listed
from headspex.tasks.templates.template import Template

_COLORS = listed("red, blue, green, yellow, black, white, brown, purple, orange, pink, gray, gold")
_THINGS = listed(
    "ball, car, hat, door, chair, house, bird, flower, cup, bag, shirt, boat, lamp, box, book, "
    "coat, table, train, pen, bottle, wall, shoe, kite, bike, tent, ribbon, phone, plate, fish, cat"
)
_LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def _pair(draw: Draw) -> Pair:
    thing, colors, letters = (
        draw.word("things"), draw.words("colors", 4), draw.words("letters", 4),
    )  # fmt: skip
    right, other = draw.some(range(4), 2)
    choices = "\n".join(f"{a}. {b}" for a, b in zip(letters, colors, strict=True))
    clean, corrupted = (
        f"The {thing} is {colors[which]}. What color is the {thing}?\n{choices}\nAnswer:"
        for which in (right, other)
    )
    return Pair.of(clean, [f" {letters[right]}"], [f" {letters[other]}"], corrupted=corrupted)


COPYCOLORS = Template(
    name="copycolors",
    summary="the letter of the choice that repeats a color told before",
    source="Wiegreffe et al. 2025, arXiv:2407.15018",
    pools={"things": _THINGS, "colors": _COLORS, "letters": _LETTERS},
    ways=(_pair,),
)
