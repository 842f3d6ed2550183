"""The port of external geocoders: an address in, a position and how well it is known out."""

from dataclasses import dataclass
from typing import Protocol

from holdfast.addresses.model import GeocodeFailureReason, GeocodeQuality
from holdfast.values.address import Address
from holdfast.values.coordinates import Coordinates


@dataclass(frozen=True, slots=True)
class GeocodedPlace:
    """What a geocoder found."""

    coordinates: Coordinates
    quality: GeocodeQuality
    region: str | None = None
    """The state or province it lies in, by its code if it has one; ``None`` where the geocoder does not say."""


class GeocoderFailed(Exception):
    """No answer that can be used. It says nothing of the address."""

    reason: GeocodeFailureReason


class GeocoderUnavailable(GeocoderFailed):
    """It cannot be reached, turned the request away, or broke over it."""

    reason = GeocodeFailureReason.GEOCODER_UNAVAILABLE


class GeocoderTimedOut(GeocoderFailed):
    """It took longer than a checkout waits."""

    reason = GeocodeFailureReason.GEOCODER_TIMED_OUT


class GeocoderAnswerInvalid(GeocoderFailed):
    """It answered what no geocoder may: off the globe, in another country, in another language than JSON."""

    reason = GeocodeFailureReason.GEOCODER_ANSWER_INVALID


class GeocoderSuspended(GeocoderFailed):
    """It was not asked: it failed too often just now."""

    reason = GeocodeFailureReason.GEOCODER_SUSPENDED


class Geocoder(Protocol):
    """One vendor's geocoder."""

    def find(self, address: Address, *, timeout_seconds: float) -> GeocodedPlace | None:
        """Where the address is, or ``None`` when the geocoder does not know it. Asks once, without retries.

        Raises the ``GeocoderFailed`` that tells what went wrong. ``timeout_seconds`` bounds its waits on the network,
        each for itself; who bounds the whole is ``BoundedGeocoder``.
        """
