"""The last tier: roughly where an address is, from tables that ship with the code. No call, no wait, no failure.

``centroids.json`` holds the mean position of the ZIP codes of each three-digit US prefix, the state of each prefix that
lies in one, and for every country the population-weighted middle of its cities. Good enough to tell a near warehouse
from a far one, never more than approximate.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

from holdfast.addresses.model import (
    Failure,
    GeocodeFailureReason,
    GeocodeFallback,
    GeocodeQuality,
    Location,
    LookupTier,
)
from holdfast.addresses.postal_code import AddressKey
from holdfast.values.coordinates import Coordinates

_CA_LETTERS: Final = {
    "A": "NL", "B": "NS", "C": "PE", "E": "NB", "G": "QC", "H": "QC", "J": "QC", "K": "ON", "L": "ON", "M": "ON",
    "N": "ON", "P": "ON", "R": "MB", "S": "SK", "T": "AB", "V": "BC", "Y": "YT",
}  # fmt: skip
"""The province of a Canadian postal code by its first letter. X is Nunavut or the Northwest Territories."""


def region_of_area(key: AddressKey) -> str | None:
    """The state or province that a postal code lies in by its first characters, whether that code exists or not."""
    if key.country == "US":
        state: str | None = _tables()["us_zip3_regions"].get(key.postal_code[:3])
        return state
    return _CA_LETTERS.get(key.postal_code[:1]) if key.country == "CA" else None


def approximate_location(key: AddressKey, reason: GeocodeFailureReason) -> Location:
    """Return the center of the postal area in the US, or of the country."""
    tables = _tables()
    fallback, middle = GeocodeFallback.POSTAL_AREA, None
    if key.country == "US":
        middle = tables["us_zip3"].get(key.postal_code[:3])
    if middle is None:
        fallback, middle = GeocodeFallback.COUNTRY, tables["countries"].get(key.country)
    if middle is None:
        fallback = GeocodeFallback.NOWHERE
    return Location(
        None if middle is None else Coordinates(*middle),
        GeocodeQuality.APPROXIMATE,
        LookupTier.FALLBACK,
        Failure(reason, fallback),
    )


@cache
def _tables() -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = json.loads((files("holdfast.addresses") / "centroids.json").read_text())
    return tables
