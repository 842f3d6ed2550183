"""The first tier: what this process found recently, kept in its own memory."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Final
from uuid import UUID

from holdfast.addresses.model import Location
from holdfast.addresses.postal_code import AddressKey

WARM_MAX_PLACES: Final = 4_096
"""A place takes about 500 bytes, so this is 2 MB of a function's memory."""
WARM_MAX_AGE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class WarmPlace:
    """A location as it was found, and until when it is trusted."""

    location: Location
    expires_at: datetime


class WarmPlaces:
    """The places that were used most recently, separately for each tenant. Safe to use from several threads."""

    def __init__(self, max_places: int = WARM_MAX_PLACES) -> None:
        self._max_places = max_places
        self._places: OrderedDict[tuple[UUID, AddressKey], WarmPlace] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._places)

    def find(self, organization_id: UUID, key: AddressKey, now: datetime) -> Location | None:
        """Return the location, as it was found, if it is known and fresh."""
        with self._lock:
            place = self._places.get((organization_id, key))
            if place is None:
                return None
            if place.expires_at <= now:
                del self._places[organization_id, key]
                return None
            self._places.move_to_end((organization_id, key))
            return place.location

    def keep(self, organization_id: UUID, key: AddressKey, location: Location, now: datetime) -> None:
        """Remember a location. When there is no room, the least recently used one is removed."""
        with self._lock:
            self._places[organization_id, key] = WarmPlace(location, now + WARM_MAX_AGE)
            self._places.move_to_end((organization_id, key))
            while len(self._places) > self._max_places:
                self._places.popitem(last=False)
