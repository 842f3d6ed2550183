"""Find out where an address is, from five tiers, each asked only when those before it did not know.

These are this process's memory; earlier answers of the geocoder and the reference data (both in the one statement that
reads a checkout's facts); the geocoder, within its time budget and outside any transaction; and finally the center of
the area. None of them can make a checkout fail: an address that is not found is recorded with its order.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.addresses.cache_policy import expiry_of_answer, is_sampled, use_document
from holdfast.addresses.centroids import approximate_location, region_of_area
from holdfast.addresses.model import (
    Failure,
    GeocodeFailureReason,
    GeocodeFallback,
    GeocodeQuality,
    Location,
    LookupTier,
)
from holdfast.addresses.postal_code import AddressKey, address_key
from holdfast.geocoders.port import GeocoderFailed
from holdfast.runtime import Runtime
from holdfast.values.address import Address
from holdfast.values.coordinates import Coordinates
from holdfast.values.ids import uuid7

_logger = logging.getLogger(__name__)
_SAYS_SOMETHING_OF_THE_ADDRESS: Final = frozenset(
    {GeocodeFailureReason.NOT_FOUND, GeocodeFailureReason.APPROXIMATE_MATCH}
)
"""The geocoder worked and knew no better, so asking it again in a minute would bring the same answer."""


class AddressSearch:
    """The lookup of one request's address. The result holds for the whole request, however often it decides anew."""

    def __init__(self, runtime: Runtime, organization_id: UUID, address: Address) -> None:
        self._runtime = runtime
        self._organization_id = organization_id
        self._address = address
        self._key = address_key(address)
        self._location: Location | None = None

    def wanted(self, now: datetime) -> AddressKey | None:
        """Return the key to ask the database for, or ``None`` if the position is known without it."""
        if self._location is None:
            warm = self._runtime.warm_places.find(self._organization_id, self._key, now)
            if warm is not None:
                self._found(warm, LookupTier.WARM)
        return self._key if self._location is None else None

    def known(self, stored: Mapping[str, Any] | None, now: datetime) -> Location | None:
        """Return the position, given what the database knows, or ``None`` if the geocoder has to be asked."""
        if self._location is not None:
            return self._location
        if stored is not None:
            location = Location(
                Coordinates(stored["latitude"], stored["longitude"]),
                GeocodeQuality(stored["quality"]),
                LookupTier(stored["tier"]),
                region=stored["region"],
            )
            return self._found(self._with_failure_if_approximate(location), location.tier, keep_at=now)
        if self._runtime.geocoder is None:
            unknown = approximate_location(self._key, GeocodeFailureReason.UNKNOWN_POSTAL_CODE)
            return self._found(unknown, LookupTier.FALLBACK)
        return None

    @property
    def found(self) -> Location:
        """The position. Raises RuntimeError before the lookup has ended."""
        if self._location is None:
            raise RuntimeError("the address was not looked for yet")
        return self._location

    def provisional(self) -> Location:
        """Return a position for deciding whether it is worth asking the geocoder at all."""
        return self._with_region(approximate_location(self._key, GeocodeFailureReason.NOT_FOUND))

    def asked(self, now: datetime) -> Location:
        """Ask the geocoder, within its time budget. No transaction may be open in the meantime."""
        if self._location is not None:
            return self._location
        geocoder = self._runtime.geocoder
        reason = GeocodeFailureReason.NOT_FOUND
        try:
            place = None if geocoder is None else geocoder.find(self._address)
        except GeocoderFailed as failure:
            _logger.warning("the geocoder did not help: %s: %s", type(failure).__name__, failure)
            place, reason = None, failure.reason
        if place is not None:
            is_sure = place.quality is not GeocodeQuality.APPROXIMATE
            location = Location(
                place.coordinates, place.quality, LookupTier.GEOCODER, region=place.region if is_sure else None
            )
            return self._found(self._with_failure_if_approximate(location), LookupTier.GEOCODER, keep_at=now)
        location = approximate_location(self._key, reason)
        worth_keeping = reason in _SAYS_SOMETHING_OF_THE_ADDRESS
        return self._found(location, LookupTier.FALLBACK, keep_at=now if worth_keeping else None)

    def document(self, order_id: UUID, now: datetime) -> dict[str, Any] | None:
        """Return what is recorded about the address with the order (``addresses.note_place``), if anything."""
        location = self._location
        if location is None:
            return None
        document: dict[str, Any] = {}
        if location.failure is not None:
            document["failure"] = {
                "id": str(uuid7(now)),
                "address": _as_looked_up(self._address),
                "reason": location.failure.reason,
                "fallback": location.failure.fallback,
            }
        elif location.tier is LookupTier.GEOCODER and location.coordinates is not None:
            document["found"] = {
                "latitude": location.coordinates.latitude,
                "longitude": location.coordinates.longitude,
                "quality": location.quality,
                "region": location.region,
                "expires_at": expiry_of_answer(now).isoformat(),
            }
        elif location.tier is LookupTier.CACHE and is_sampled(order_id):
            document["used"] = use_document(now)
        if not document:
            return None
        key = {"country": self._key.country, "postal_code": self._key.postal_code, "key": self._key.digest}
        return key | document

    def written(self, now: datetime) -> None:
        """Note that the order was committed with the geocoder's answer, so that the next need not write it again."""
        location = self._location
        if location is not None and location.tier is LookupTier.GEOCODER and location.failure is None:
            cached = replace(location, tier=LookupTier.CACHE)
            self._runtime.warm_places.keep(self._organization_id, self._key, cached, now)

    def _found(self, location: Location, tier: LookupTier, *, keep_at: datetime | None = None) -> Location:
        """Keep the result and count it. ``tier`` is the tier that answered; a warm location still names its source."""
        location = self._with_region(location)
        self._location = location
        self._runtime.lookup_tally.note(tier, location.failure.reason if location.failure else None)
        if keep_at is not None:
            self._runtime.warm_places.keep(self._organization_id, self._key, location, keep_at)
        return location

    def _with_region(self, location: Location) -> Location:
        return location if location.region is not None else replace(location, region=region_of_area(self._key))

    def _with_failure_if_approximate(self, location: Location) -> Location:
        if location.quality is not GeocodeQuality.APPROXIMATE:
            return location
        fallback = GeocodeFallback.GEOCODER if location.tier is LookupTier.GEOCODER else GeocodeFallback.POSTAL_AREA
        return replace(location, failure=Failure(GeocodeFailureReason.APPROXIMATE_MATCH, fallback))


def _as_looked_up(address: Address) -> dict[str, str | None]:
    told = address.to_json()
    return {part: told[part] for part in ("line1", "line2", "city", "region", "postal_code", "country")}
