"""The timezone that a shopper lives by: the one on record, else that of the region or the country, else the shop's.

Countries with one timezone are read from the tz database's own ``zone.tab``. For those with several, the table below
has the states and provinces of the countries that shops ship to most. Elsewhere in such a country, the timezone in
which most of its people live is assumed.
"""

from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from holdfast.values.regions import region_code

_MOST_PEOPLE: Final = {
    "AQ": "Antarctica/McMurdo",
    "AR": "America/Argentina/Buenos_Aires",
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "CD": "Africa/Kinshasa",
    "CL": "America/Santiago",
    "CN": "Asia/Shanghai",
    "CY": "Asia/Nicosia",
    "DE": "Europe/Berlin",
    "EC": "America/Guayaquil",
    "ES": "Europe/Madrid",
    "FM": "Pacific/Chuuk",
    "GL": "America/Nuuk",
    "ID": "Asia/Jakarta",
    "KI": "Pacific/Tarawa",
    "KZ": "Asia/Almaty",
    "MH": "Pacific/Majuro",
    "MN": "Asia/Ulaanbaatar",
    "MX": "America/Mexico_City",
    "MY": "Asia/Kuala_Lumpur",
    "NZ": "Pacific/Auckland",
    "PF": "Pacific/Tahiti",
    "PG": "Pacific/Port_Moresby",
    "PS": "Asia/Gaza",
    "PT": "Europe/Lisbon",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
    "UM": "Pacific/Wake",
    "US": "America/New_York",
    "UZ": "Asia/Tashkent",
}

# Regions with the timezone of _MOST_PEOPLE are left out. A state with two timezones has that of most of its people.
_OF_REGIONS: Final = {
    "US": {
        "America/Chicago": "AL AR IA IL KS LA MN MO MS ND NE OK SD TN TX WI",
        "America/Denver": "CO MT NM UT WY",
        "America/Boise": "ID",
        "America/Phoenix": "AZ",
        "America/Los_Angeles": "CA NV OR WA",
        "America/Anchorage": "AK",
        "Pacific/Honolulu": "HI",
        "America/Detroit": "MI",
        "America/Indiana/Indianapolis": "IN",
        "America/Puerto_Rico": "PR VI",
        "Pacific/Guam": "GU MP",
        "Pacific/Pago_Pago": "AS",
    },
    "CA": {
        "America/St_Johns": "NL",
        "America/Halifax": "NS PE",
        "America/Moncton": "NB",
        "America/Winnipeg": "MB",
        "America/Regina": "SK",
        "America/Edmonton": "AB NT",
        "America/Vancouver": "BC",
        "America/Whitehorse": "YT",
        "America/Iqaluit": "NU",
    },
    "AU": {
        "Australia/Melbourne": "VIC",
        "Australia/Brisbane": "QLD",
        "Australia/Adelaide": "SA",
        "Australia/Perth": "WA",
        "Australia/Hobart": "TAS",
        "Australia/Darwin": "NT",
    },
    "BR": {
        "America/Manaus": "AM",
        "America/Boa_Vista": "RR",
        "America/Porto_Velho": "RO",
        "America/Rio_Branco": "AC",
        "America/Cuiaba": "MT",
        "America/Campo_Grande": "MS",
    },
    "MX": {
        "America/Tijuana": "BCN",
        "America/Hermosillo": "SON",
        "America/Mazatlan": "BCS NAY SIN",
        "America/Cancun": "ROO",
    },
    "ES": {"Atlantic/Canary": "CN GC TF"},
    "PT": {"Atlantic/Azores": "20", "Atlantic/Madeira": "30"},
    "KI": {"Pacific/Kiritimati": "L", "Pacific/Kanton": "P"},
    "MY": {"Asia/Kuching": "12 13"},
    "ID": {"Asia/Makassar": "BA NB NT SN ST SR SG SA GO KS KT KU", "Asia/Jayapura": "MA MU PA PB"},
    "NZ": {"Pacific/Chatham": "CIT"},
}


def zone_of(
    customer: str | None, calendar: str | None, country: str, region: str | None, organization: str | None
) -> ZoneInfo:
    """Return the timezone of a shopper, or UTC where none is known.

    ``customer`` is the one on record, ``calendar`` what the shop's calendar says for the region, ``organization`` the
    shop's own. A timezone that does not exist is passed over.
    """
    for name in (customer, calendar, _of_place(country, region), organization):
        if (zone := zone_named(name)) is not None:
            return zone
    return ZoneInfo("UTC")


def _of_place(country: str, region: str | None) -> str | None:
    code = region_code(country, region)
    for name, regions in _OF_REGIONS.get(country, {}).items():
        if code in regions.split():
            return name
    return _MOST_PEOPLE.get(country) or _only_zones().get(country)


@cache
def _only_zones() -> dict[str, str]:
    """Return the timezone of every country, or the first in the list for a country that has several."""
    zones: dict[str, str] = {}
    for line in (files("tzdata.zoneinfo") / "zone.tab").read_text(encoding="ascii").splitlines():
        if line and not line.startswith("#"):
            country, _, name = line.split("\t")[:3]
            zones.setdefault(country, name)
    return zones


def zone_named(name: str | None) -> ZoneInfo | None:
    """The timezone of that name in the tz database; ``None`` where there is none, or no name."""
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, OSError, KeyError):  # none of that name, or no name at all
        return None
