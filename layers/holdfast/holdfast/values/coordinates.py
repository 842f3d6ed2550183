"""Places on the globe, and how far apart they are."""

from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt
from typing import Final

EARTH_MEAN_RADIUS_KM: Final = 6371.0088
"""IUGG mean radius of the earth, in kilometers."""


@dataclass(frozen=True, slots=True)
class Coordinates:
    """WGS 84, in decimal degrees."""

    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        if not (-90 <= self.latitude <= 90 and -180 <= self.longitude <= 180):
            raise ValueError(f"not on the globe: {self.latitude}, {self.longitude}")


def great_circle_km(start: Coordinates, end: Coordinates) -> float:
    """Great-circle distance in kilometers, by the haversine formula (stable for short distances)."""
    latitude_1, latitude_2 = radians(start.latitude), radians(end.latitude)
    half_chord = (
        sin((latitude_2 - latitude_1) / 2) ** 2
        + cos(latitude_1) * cos(latitude_2) * sin(radians(end.longitude - start.longitude) / 2) ** 2
    )
    return 2 * EARTH_MEAN_RADIUS_KM * asin(min(1.0, sqrt(half_chord)))
