"""Agreement: of a verb with its subject in number, and of a pronoun with a name in gender."""

from headspex.tasks.pairs import Pair
from headspex.tasks.templates.draw import Draw, listed
from headspex.tasks.templates.people import MEN, WOMEN
from headspex.tasks.templates.template import Template

# Singular and plural, each as many tokens for most tokenizers.
_PEOPLE = listed(
    "teacher/teachers, doctor/doctors, lawyer/lawyers, writer/writers, student/students, "
    "farmer/farmers, driver/drivers, player/players, soldier/soldiers, artist/artists, "
    "singer/singers, worker/workers, officer/officers, manager/managers, engineer/engineers, "
    "scientist/scientists, author/authors, king/kings, girl/girls, boy/boys, friend/friends, "
    "neighbor/neighbors, leader/leaders, customer/customers, guest/guests, visitor/visitors, "
    "owner/owners, reporter/reporters, actor/actors, nurse/nurses, poet/poets, prince/princes, "
    "priest/priests, hunter/hunters, parent/parents, cousin/cousins, brother/brothers, "
    "sister/sisters, daughter/daughters, son/sons"
)
_THINGS = listed(
    "car/cars, house/houses, tree/trees, table/tables, door/doors, window/windows, river/rivers, "
    "road/roads, wall/walls, bridge/bridges, tower/towers, shop/shops, field/fields, boat/boats, "
    "train/trains, garden/gardens, school/schools, office/offices, hotel/hotels, church/churches, "
    "gate/gates, lake/lakes, hill/hills, rock/rocks, fence/fences, store/stores, truck/trucks, "
    "bench/benches, statue/statues, fountain/fountains"
)
_WHERE = listed("near, behind, beside, around, next to")
_BEFORE = ("The", "I think that the", "They say that the", "We noticed that the", "Today the")
_ARE, _IS = (" are", " were", " have"), (" is", " was", " has")
_SAID = (
    "People say that {name} is very kind, isn't",
    "I believe that {name} has finished the work, hasn't",
    "Everyone knows that {name} sings very well, doesn't",
    "I heard that {name} was late for work today, wasn't",
    "We all think {name} will pass the exam, won't",
    "You said that {name} could drive a truck, couldn't",
    "As far as I know, {name} lives next door, doesn't",
)


def _verb(draw: Draw) -> Pair:
    subject, thing = draw.word("people").split("/"), draw.word("things").split("/")
    before, where = draw.one(_BEFORE), draw.one(_WHERE)
    number, other = draw.one((0, 1)), draw.one((0, 1))
    clean, corrupted = (
        f"{before} {subject[which]} {where} the {thing[other]}" for which in (number, 1 - number)
    )
    right, wrong = (_ARE, _IS) if number else (_IS, _ARE)
    return Pair.of(clean, right, wrong, corrupted=corrupted)


def _pronoun(draw: Draw) -> Pair:
    said, which = draw.one(_SAID), draw.one((0, 1))
    names, pronouns = (draw.word("women"), draw.word("men")), (" she", " he")
    clean, corrupted = (said.format(name=names[one]) for one in (which, 1 - which))
    return Pair.of(clean, [pronouns[which]], [pronouns[1 - which]], corrupted=corrupted)


SUBJECT_VERB = Template(
    name="subject-verb",
    summary="a verb in the number of its subject, with another noun between them",
    source="Linzen et al. 2016, arXiv:1611.01368",
    pools={"people": _PEOPLE, "things": _THINGS},
    ways=(_verb,),
)
GENDERED_PRONOUN = Template(
    name="gendered-pronoun",
    summary="he or she, by the name of who is spoken of",
    source="Mathwin et al. 2023, the gendered pronoun circuit of GPT-2 small",
    pools={"women": WOMEN, "men": MEN},
    ways=(_pronoun,),
)
