"""The last tier: roughly where an address is, from tables that ship with the code. No call, no wait, no failure.

``centroids.json`` holds the mean position of the ZIP codes of each three-digit US prefix, and for every country the
population-weighted center of its cities. This is good enough to tell a near warehouse from a far one, and never more
than approximate.
"""

import json
from functools import cache
from importlib.resources import files

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
def _tables() -> dict[str, dict[str, tuple[float, float]]]:
    tables: dict[str, dict[str, tuple[float, float]]] = json.loads(
        (files("holdfast.addresses") / "centroids.json").read_text()
    )
    return tables
