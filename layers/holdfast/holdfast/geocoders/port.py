"""The port of external geocoders: takes an address, returns a position and how precisely it is known."""

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
    """The state or province of the place, by its code if it has one; ``None`` where the geocoder does not say."""


class GeocoderFailed(Exception):
    """The geocoder gave no usable answer. That says nothing about the address."""

    reason: GeocodeFailureReason


class GeocoderUnavailable(GeocoderFailed):
    """The geocoder cannot be reached, rejected the request, or failed while handling it."""

    reason = GeocodeFailureReason.GEOCODER_UNAVAILABLE


class GeocoderTimedOut(GeocoderFailed):
    """The geocoder took longer than a checkout waits."""

    reason = GeocodeFailureReason.GEOCODER_TIMED_OUT


class GeocoderAnswerInvalid(GeocoderFailed):
    """The geocoder's answer is invalid: off the globe, in another country, or not JSON."""

    reason = GeocodeFailureReason.GEOCODER_ANSWER_INVALID


class GeocoderSuspended(GeocoderFailed):
    """The geocoder was not asked, because it has just failed too often."""

    reason = GeocodeFailureReason.GEOCODER_SUSPENDED


class Geocoder(Protocol):
    """One vendor's geocoder."""

    def find(self, address: Address, *, timeout_seconds: float) -> GeocodedPlace | None:
        """Return where the address is, or ``None`` if the geocoder does not know it. Asks once, without retries.

        ``timeout_seconds`` bounds each wait on the network separately; ``BoundedGeocoder`` bounds the whole call.
        Raises the subclass of ``GeocoderFailed`` that says what went wrong.
        """
