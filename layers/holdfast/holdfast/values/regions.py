"""The states and provinces that addresses name, brought to one way of writing them.

Tax, timezones and calendars compare regions: ``CO``, ``co``, ``US-CO`` and ``Colorado`` are one. The tables hold the
countries whose states or provinces tax sales or keep holidays of their own and that shops ship to most; of any other
country a region is what was written, in capitals and without what stands between the letters.
"""

import unicodedata
from collections.abc import Mapping
from typing import Final

# The code as ISO 3166-2 has it after the hyphen (in the US as the postal service has it, which adds the armed forces
# and the freely associated states), and the names it goes by.
_REGIONS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "US": {
        "AA": ("Armed Forces Americas",),
        "AE": ("Armed Forces Europe",),
        "AK": ("Alaska",),
        "AL": ("Alabama",),
        "AP": ("Armed Forces Pacific",),
        "AR": ("Arkansas",),
        "AS": ("American Samoa",),
        "AZ": ("Arizona",),
        "CA": ("California",),
        "CO": ("Colorado",),
        "CT": ("Connecticut",),
        "DC": ("District of Columbia", "Washington DC"),
        "DE": ("Delaware",),
        "FL": ("Florida",),
        "FM": ("Federated States of Micronesia", "Micronesia"),
        "GA": ("Georgia",),
        "GU": ("Guam",),
        "HI": ("Hawaii", "Hawai'i"),
        "IA": ("Iowa",),
        "ID": ("Idaho",),
        "IL": ("Illinois",),
        "IN": ("Indiana",),
        "KS": ("Kansas",),
        "KY": ("Kentucky",),
        "LA": ("Louisiana",),
        "MA": ("Massachusetts",),
        "MD": ("Maryland",),
        "ME": ("Maine",),
        "MH": ("Marshall Islands",),
        "MI": ("Michigan",),
        "MN": ("Minnesota",),
        "MO": ("Missouri",),
        "MP": ("Northern Mariana Islands",),
        "MS": ("Mississippi",),
        "MT": ("Montana",),
        "NC": ("North Carolina",),
        "ND": ("North Dakota",),
        "NE": ("Nebraska",),
        "NH": ("New Hampshire",),
        "NJ": ("New Jersey",),
        "NM": ("New Mexico",),
        "NV": ("Nevada",),
        "NY": ("New York", "New York State"),
        "OH": ("Ohio",),
        "OK": ("Oklahoma",),
        "OR": ("Oregon",),
        "PA": ("Pennsylvania",),
        "PR": ("Puerto Rico",),
        "PW": ("Palau",),
        "RI": ("Rhode Island",),
        "SC": ("South Carolina",),
        "SD": ("South Dakota",),
        "TN": ("Tennessee",),
        "TX": ("Texas",),
        "UM": ("United States Minor Outlying Islands",),
        "UT": ("Utah",),
        "VA": ("Virginia",),
        "VI": ("Virgin Islands", "Virgin Islands US", "US Virgin Islands", "United States Virgin Islands"),
        "VT": ("Vermont",),
        "WA": ("Washington", "Washington State"),
        "WI": ("Wisconsin",),
        "WV": ("West Virginia",),
        "WY": ("Wyoming",),
    },
    "CA": {
        "AB": ("Alberta",),
        "BC": ("British Columbia", "Colombie-Britannique"),
        "MB": ("Manitoba",),
        "NB": ("New Brunswick", "Nouveau-Brunswick"),
        "NL": ("Newfoundland and Labrador", "Newfoundland", "Terre-Neuve-et-Labrador"),
        "NS": ("Nova Scotia", "Nouvelle-Écosse"),
        "NT": ("Northwest Territories", "Territoires du Nord-Ouest"),
        "NU": ("Nunavut",),
        "ON": ("Ontario",),
        "PE": ("Prince Edward Island", "Île-du-Prince-Édouard"),
        "QC": ("Quebec",),
        "SK": ("Saskatchewan",),
        "YT": ("Yukon", "Yukon Territory"),
    },
    "AU": {
        "ACT": ("Australian Capital Territory",),
        "NSW": ("New South Wales",),
        "NT": ("Northern Territory",),
        "QLD": ("Queensland",),
        "SA": ("South Australia",),
        "TAS": ("Tasmania",),
        "VIC": ("Victoria",),
        "WA": ("Western Australia",),
    },
}


def region_code(country: str, region: str | None) -> str | None:
    """What a region is compared by: its own code where it is listed here, else what was written, in capitals.

    ``country`` is ISO 3166-1 alpha-2; its prefix, as ISO 3166-2 writes it, is left out. None where nothing was written.
    """
    written = unicodedata.normalize("NFKD", region or "").upper().strip().removeprefix(f"{country}-")
    folded = _folded(written)
    return _CODES.get(country, {}).get(folded, folded) or None


def lists_regions(country: str) -> bool:
    """Whether every region of the country is listed here."""
    return country in _REGIONS


def is_listed(country: str, code: str | None) -> bool:
    """Whether a ``region_code`` is one of those listed for the country."""
    return code in _REGIONS.get(country, {})


def _folded(text: str) -> str:
    """Letters and digits alone, without accents: they come apart in NFKD, and an accent by itself is neither."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text).upper() if letter.isalnum())


_CODES: Final[Mapping[str, Mapping[str, str]]] = {
    country: {_folded(name): code for code, names in regions.items() for name in (code, *names)}
    for country, regions in _REGIONS.items()
}
