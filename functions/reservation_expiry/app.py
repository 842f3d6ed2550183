"""Release the stock of expired holds, cancel orders that were never paid, and fold the day's load."""

from collections.abc import Mapping
from typing import Any

from holdfast.flows.orders.expire_reservations import expire_reservations
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.schedules import time_left
from holdfast.web.telemetry import correlated, count


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Work off what is due, in bounded batches, while there is time."""
    with correlated(str(event.get("id", "tick"))):
        expired = expire_reservations(runtime(), utc_now, time_left(context))
        count("ReservationsReleased", expired.released)
        count("OrdersAbandoned", expired.cancelled)
        count("ExpiryUnfinished", 0 if expired.finished else 1)
        return {
            "released": expired.released,
            "cancelled": expired.cancelled,
            "rolled_up": expired.rolled_up,
            "finished": expired.finished,
        }
