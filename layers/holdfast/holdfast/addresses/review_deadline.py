"""The deadline for settling an address: in hours by the clock, or in business hours on the shopper's own wall clock.

A business day is a whole day of 24 business hours, unless the shop's calendar says when it opens and closes. A review
of 72 hours that begins on a Friday at 16:00 is due on Wednesday at 16:00: 8 hours of Friday, all of Monday and Tuesday,
and 16 hours of Wednesday. Pure: the calendar, the timezone and the instant are passed in.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from holdfast.addresses.business_calendar import BusinessCalendar
from holdfast.values.errors import Conflict
from holdfast.values.shipping import ShippingPreference

EXPEDITED_HOURS: Final = 24
"""By the clock: a shopper who pays for speed is not kept waiting over a weekend."""
BUSINESS_HOURS: Final = {ShippingPreference.STANDARD: 72, ShippingPreference.ECONOMY: 96}
EXTENSION_MAX_HOURS: Final = 336
"""How far the deadline may be extended in total (two weeks). ``reviews_extended_within_bounds`` agrees with it."""
_SEARCH_MAX_DAYS: Final = 3_660
_MIDNIGHT: Final = time()


@dataclass(frozen=True, slots=True)
class ReviewTimes:
    """When the shopper is reminded, and when the order is cancelled."""

    reminder_at: datetime
    deadline_at: datetime


def review_times(
    begins_at: datetime, preference: ShippingPreference, calendar: BusinessCalendar, zone: tzinfo
) -> ReviewTimes:
    """Return the deadline of a review that begins at ``begins_at``, and the reminder at half of the time until then."""
    if preference is ShippingPreference.EXPEDITED:
        deadline_at = begins_at + timedelta(hours=EXPEDITED_HOURS)
    else:
        deadline_at = after_business_hours(begins_at, BUSINESS_HOURS[preference], calendar, zone)
    return ReviewTimes(half_time(begins_at, deadline_at), deadline_at)


def extended(now: datetime, first_deadline_at: datetime, deadline_at: datetime, until: datetime) -> ReviewTimes:
    """Return the times of a review whose deadline is extended. The reminder moves to half of the time that is left.

    Raises Conflict unless ``until`` is later than the deadline and within the bound, which is counted from the first
    deadline.
    """
    latest = first_deadline_at + timedelta(hours=EXTENSION_MAX_HOURS)
    if not deadline_at < until <= latest:
        raise Conflict(
            f"the deadline can be put off to {latest.isoformat()} at most, and never brought forward",
            deadline_at=deadline_at.isoformat(),
            latest_at=latest.isoformat(),
        )
    return ReviewTimes(half_time(now, until), until)


def half_time(begins_at: datetime, ends_at: datetime) -> datetime:
    """Return the middle of the time between two instants, by the clock."""
    return begins_at + (ends_at - begins_at) / 2


def after_business_hours(begins_at: datetime, hours: int, calendar: BusinessCalendar, zone: tzinfo) -> datetime:
    """Return the instant (UTC) at which this many business hours have passed on the wall clock of ``zone``.

    The wall clock is what a shopper reads. A night that the change to summer time makes an hour shorter counts its full
    hours, and a date that a country skipped (Samoa, 30 December 2011) counts none. Raises ``ValueError`` for a calendar
    that is closed for ten years.
    """
    wall = begins_at.astimezone(zone).replace(tzinfo=None)
    left = timedelta(hours=hours)
    day = wall.date()
    for _ in range(_SEARCH_MAX_DAYS):
        if calendar.is_open_on(day) and _exists(day, zone):
            opens = datetime.combine(day, _MIDNIGHT) + calendar.opens_after
            closes = datetime.combine(day, _MIDNIGHT) + calendar.closes_after
            begins = max(opens, wall)
            if begins + left <= closes:
                return _instant(begins + left, zone)
            left -= max(closes - begins, timedelta())
        day += timedelta(days=1)
    raise ValueError("the calendar has no business hours")


def _instant(wall: datetime, zone: tzinfo) -> datetime:
    """Return the instant at which the wall clock shows this time.

    If the hour comes twice, the second; if it is left out, the later of the two readings. In doubt the shopper gets the
    longer time.
    """
    return max(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def _exists(day: date, zone: tzinfo) -> bool:
    noon = datetime.combine(day, time(12), tzinfo=zone)
    return noon.astimezone(UTC).astimezone(zone).date() == day
