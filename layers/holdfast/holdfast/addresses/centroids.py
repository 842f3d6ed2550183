"""Where an address roughly is, from tables that ship with the code: no call, no wait.

``centroids.json`` holds the mean position of the ZIP codes of each three-digit US prefix, and for every country the
population-weighted middle of its cities. Good enough to tell a near warehouse from a far one.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

from holdfast.values.address import Address
from holdfast.values.coordinates import Coordinates


class GeocodeQuality(StrEnum):
    """How well a position is known, best first."""

    ROOFTOP = "rooftop"
    RANGE_INTERPOLATED = "range_interpolated"
    CENTROID = "centroid"
    APPROXIMATE = "approximate"


@dataclass(frozen=True, slots=True)
class Location:
    """A position and how well it is known; no position for a country the tables do not have."""

    coordinates: Coordinates | None
    quality: GeocodeQuality


def locate(address: Address) -> Location:
    """The middle of the postal area in the US, else of the country."""
    tables = _tables()
    if address.country == "US":
        near = tables["us_zip3"].get(address.postal_code.strip()[:3])
        if near is not None:
            return Location(Coordinates(*near), GeocodeQuality.CENTROID)
    middle = tables["countries"].get(address.country)
    return Location(None if middle is None else Coordinates(*middle), GeocodeQuality.APPROXIMATE)


@cache
def _tables() -> dict[str, dict[str, tuple[float, float]]]:
    tables: dict[str, dict[str, tuple[float, float]]] = json.loads(
        (files("holdfast.addresses") / "centroids.json").read_text()
    )
    return tables
