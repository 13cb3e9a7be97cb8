"""Capitals of countries."""

from headspex.tasks.pairs import Pair
from headspex.tasks.templates.draw import Draw, listed
from headspex.tasks.templates.template import Template

_COUNTRIES = listed(
    "France/Paris, Germany/Berlin, Italy/Rome, Spain/Madrid, Portugal/Lisbon, Austria/Vienna, "
    "Ireland/Dublin, Norway/Oslo, Sweden/Stockholm, Finland/Helsinki, Denmark/Copenhagen, "
    "Poland/Warsaw, Hungary/Budapest, Greece/Athens, Turkey/Ankara, Russia/Moscow, "
    "Romania/Bucharest, Bulgaria/Sofia, Serbia/Belgrade, Croatia/Zagreb, Japan/Tokyo, "
    "China/Beijing, South Korea/Seoul, Thailand/Bangkok, Vietnam/Hanoi, Indonesia/Jakarta, "
    "the Philippines/Manila, Pakistan/Islamabad, Bangladesh/Dhaka, Nepal/Kathmandu, Iran/Tehran, "
    "Iraq/Baghdad, Syria/Damascus, Lebanon/Beirut, Egypt/Cairo, Libya/Tripoli, Tunisia/Tunis, "
    "Algeria/Algiers, Morocco/Rabat, Kenya/Nairobi, Uganda/Kampala, Somalia/Mogadishu, "
    "Sudan/Khartoum, Nigeria/Abuja, Ghana/Accra, Senegal/Dakar, Angola/Luanda, Zambia/Lusaka, "
    "Zimbabwe/Harare, Rwanda/Kigali, Tanzania/Dodoma, Cuba/Havana, Canada/Ottawa, Peru/Lima, "
    "Chile/Santiago, Venezuela/Caracas, Ecuador/Quito, Uruguay/Montevideo, Jamaica/Kingston, "
    "Australia/Canberra, New Zealand/Wellington, Afghanistan/Kabul, Belgium/Brussels, "
    "the Netherlands/Amsterdam, Switzerland/Bern, Scotland/Edinburgh, Wales/Cardiff, "
    "England/London, Qatar/Doha, Bahrain/Manama, Jordan/Amman, Saudi Arabia/Riyadh, "
    "Taiwan/Taipei, Ukraine/Kyiv, Belarus/Minsk, Latvia/Riga, Estonia/Tallinn, "
    "Lithuania/Vilnius, Georgia/Tbilisi, Armenia/Yerevan, Iceland/Reykjavik, Cyprus/Nicosia, "
    "Albania/Tirana, Slovenia/Ljubljana, Slovakia/Bratislava, the Czech Republic/Prague"
)
_SENTENCES = (
    "The capital city of {country} is called",
    "Who visits the capital of {country} is in the city of",
    "The government of {country} sits in the capital,",
    "They flew to {country} and stayed in its capital,",
    "She was born in {country}, in the capital,",
    "The largest airport of {country} is near its capital,",
    "On a map of {country} the capital is marked as",
)


def _pair(draw: Draw) -> Pair:
    sentence = draw.one(_SENTENCES)
    (country, capital), (other, wrong) = (entry.split("/") for entry in draw.words("countries", 2))
    clean, corrupted = (sentence.format(country=name) for name in (country, other))
    return Pair.of(clean, [f" {capital}"], [f" {wrong}"], corrupted=corrupted)


CAPITALS = Template(
    name="capitals",
    summary="the capital of a country, not that of another",
    source="Meng et al. 2022, arXiv:2202.05262, for facts recalled from one sentence",
    pools={"countries": _COUNTRIES},
    ways=(_pair,),
)
