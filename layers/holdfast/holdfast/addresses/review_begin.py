"""What a review begins with: its times, by the calendar and the clock of the shopper, and the nonce of its link."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.addresses.business_calendar import calendar_of, usual_calendar
from holdfast.addresses.review_deadline import review_times
from holdfast.addresses.timezones import zone_of
from holdfast.values.shipping import ShippingPreference

_NONCE_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class ReviewBasis:
    """What a deadline is computed from, besides the instant and the shipping preference."""

    country: str
    region: str | None
    customer_timezone: str | None
    organization_timezone: str | None
    calendars: Mapping[str, Any] | None
    """The shop's own calendars, as ``business_calendar`` reads them."""


@dataclass(frozen=True, slots=True)
class NewReview:
    """A new review, as ``addresses.begin_review`` takes it."""

    document: Mapping[str, Any]
    wrong_setting: str | None
    """What is wrong with the shop's calendars, if anything. The region's usual calendar was used instead."""


def reviews_addresses(settings: Mapping[str, Any]) -> bool:
    """Return whether the shop reviews addresses that were not found.

    It does unless its settings say ``"address_review": false``.
    """
    return settings.get("address_review") is not False


def begin_review(review_id: UUID, basis: ReviewBasis, preference: ShippingPreference, now: datetime) -> NewReview:
    """Begin a review now. An invalid calendar must not stop an order, so the region's usual one applies instead."""
    wrong_setting = None
    try:
        calendar = calendar_of(basis.country, basis.region, basis.calendars)
        zone = zone_of(
            basis.customer_timezone, calendar.timezone, basis.country, basis.region, basis.organization_timezone
        )
        times = review_times(now, preference, calendar, zone)
    except ValueError as error:
        wrong_setting = str(error)
        zone = zone_of(basis.customer_timezone, None, basis.country, basis.region, basis.organization_timezone)
        times = review_times(now, preference, usual_calendar(basis.country, basis.region), zone)
    return NewReview(
        {
            "id": str(review_id),
            "nonce": secrets.token_hex(_NONCE_BYTES),
            "timezone": zone.key,
            "deadline_at": times.deadline_at.isoformat(),
            "reminder_at": times.reminder_at.isoformat(),
            "details": {"deadline_at": times.deadline_at.isoformat(), "timezone": zone.key},
        },
        wrong_setting,
    )
