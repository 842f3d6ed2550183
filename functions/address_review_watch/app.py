"""Remind shoppers of an address that they have to check, and cancel the order at the deadline."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from holdfast.flows.addresses.watch_reviews import watch_reviews
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.schedules import time_left
from holdfast.web.telemetry import correlated, count


def handler(event: Mapping[str, Any], context: Any) -> dict[str, int]:
    """Remind shoppers and cancel orders that are due."""
    with correlated(str(event.get("id", "tick"))):
        done = asdict(watch_reviews(runtime(), utc_now, time_left(context)))
        for step in ("reminded", "cancelled"):
            count("AddressReviews", done[step], Step=step)
        count("AddressReviewsNotEnded", done["failed"])
        return done
