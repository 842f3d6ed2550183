"""What is known of where an address is: the words and the shapes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from holdfast.values.coordinates import Coordinates


class GeocodeQuality(StrEnum):
    """How well a position is known, best first."""

    ROOFTOP = "rooftop"
    RANGE_INTERPOLATED = "range_interpolated"
    CENTROID = "centroid"
    APPROXIMATE = "approximate"


class LookupTier(StrEnum):
    """Who knew the position, in the order they are asked."""

    WARM = "warm"
    CACHE = "cache"
    REFERENCE = "reference"
    GEOCODER = "geocoder"
    FALLBACK = "fallback"


class GeocodeFailureReason(StrEnum):
    """Why a position is only approximate."""

    UNKNOWN_POSTAL_CODE = "unknown_postal_code"
    """The reference data does not have it, and there is no geocoder to ask."""
    NOT_FOUND = "not_found"
    APPROXIMATE_MATCH = "approximate_match"
    """The geocoder knows no more than the region, or is not sure that it means this address."""
    GEOCODER_TIMED_OUT = "geocoder_timed_out"
    GEOCODER_UNAVAILABLE = "geocoder_unavailable"
    GEOCODER_SUSPENDED = "geocoder_suspended"
    """It failed too often just now, and is left alone for a while."""
    GEOCODER_ANSWER_INVALID = "geocoder_answer_invalid"


class GeocodeFallback(StrEnum):
    """Where an order was taken to go when its address was not found."""

    GEOCODER = "geocoder"
    POSTAL_AREA = "postal_area"
    COUNTRY = "country"
    NOWHERE = "nowhere"


class AddressReviewStatus(StrEnum):
    """Where the review of an order's address stands."""

    PENDING = "pending"
    CUSTOMER_CONTACTED = "customer_contacted"
    CORRECTED = "corrected"
    """The address was changed, by the shopper or on the shopper's behalf."""
    RESOLVED = "resolved"
    """The address is right as it was."""
    CANCELLED = "cancelled"


class AddressReviewStep(StrEnum):
    """What can be done about a review, as its history tells it."""

    BEGUN = "begun"
    CUSTOMER_CONTACTED = "customer_contacted"
    REMINDED = "reminded"
    EXTENDED = "extended"
    CORRECTED = "corrected"
    RESOLVED = "resolved"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Nobody settled the address by the deadline, and the order was cancelled."""


OPEN_REVIEWS: Final = frozenset({AddressReviewStatus.PENDING, AddressReviewStatus.CUSTOMER_CONTACTED})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an address was not found, or not well, and what its position was taken from instead."""

    reason: GeocodeFailureReason
    fallback: GeocodeFallback


@dataclass(frozen=True, slots=True)
class Location:
    """A position, how well it is known, and by whom; no position for a country that nobody has."""

    coordinates: Coordinates | None
    quality: GeocodeQuality
    tier: LookupTier
    failure: Failure | None = None
    region: str | None = None
    """The state or province it lies in: as the reference data has it for the postal code, else as the geocoder says,
    else by the code's first characters; ``None`` where nobody knows. It is not what is written beside the code."""
