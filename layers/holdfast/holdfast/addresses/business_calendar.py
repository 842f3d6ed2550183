"""Which days count, and from when to when: the region's weekends and holidays, unless the shop says otherwise.

A shop defines its calendars in ``organizations.settings``, by region. The most specific one applies:

    "business_calendars": {
        "US-CO": {"working_days": [1, 2, 3, 4, 5], "opens": "09:00", "closes": "17:00", "holidays": ["2026-12-24"]},
        "SA":    {"working_days": [7, 1, 2, 3, 4], "timezone": "Asia/Riyadh"},
        "*":     {"observes_public_holidays": false}
    }

Weekdays are ISO's: 1 is Monday. ``holidays`` are added to the public ones. What a calendar does not define is as usual
in the region. Public holidays come from the library ``holidays``, which is imported when they are first needed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from holdfast.values.regions import region_code

SETTING: Final = "business_calendars"
_EVERYWHERE: Final = "*"
_DAY: Final = timedelta(days=1)
_WEEKDAYS: Final = frozenset(range(1, 8))
_MONDAY_TO_FRIDAY: Final = frozenset(range(1, 6))
_MEMBERS: Final = frozenset({"working_days", "opens", "closes", "holidays", "observes_public_holidays", "timezone"})

PublicHoliday = Callable[[date], bool]


@dataclass(frozen=True, slots=True)
class BusinessCalendar:
    """The days that count, and how long after their midnight they begin and end."""

    working_days: frozenset[int] = _MONDAY_TO_FRIDAY
    opens_after: timedelta = timedelta()
    closes_after: timedelta = _DAY
    closed_on: frozenset[date] = frozenset()
    is_public_holiday: PublicHoliday = lambda _: False
    timezone: str | None = None
    """The timezone for shoppers of this region who have none on record."""

    def is_open_on(self, day: date) -> bool:
        """Return whether the day has business hours."""
        return day.isoweekday() in self.working_days and day not in self.closed_on and not self.is_public_holiday(day)


def calendar_of(country: str, region: str | None, calendars: Mapping[str, Any] | None) -> BusinessCalendar:
    """Return the calendar for an address: the region's usual one, changed by the shop's for region, country or all.

    Raises ``ValueError`` for a setting that makes no sense; the message names what is wrong.
    """
    usual = usual_calendar(country, region)
    if calendars is None:
        return usual
    if not isinstance(calendars, Mapping):
        raise ValueError("business_calendars is no object")  # noqa: TRY004 -- a setting's value, not a caller's type
    code = region_code(country, region)
    own = [key for key in calendars if code is not None and _place_of(key) == (country, code)]
    for key in (*own, country, _EVERYWHERE):
        if key in calendars:
            return _with_setting(usual, calendars[key], key)
    return usual


def usual_calendar(country: str, region: str | None) -> BusinessCalendar:
    """Return a calendar with the region's weekend and public holidays.

    Where these are not known, Monday to Friday without holidays.
    """
    from holidays import country_holidays  # noqa: PLC0415 -- 150 ms, for the one order in some that is reviewed

    public = None
    for subdivision in (region_code(country, region), region or None, None):  # by code, by name, of the country
        try:
            public = country_holidays(country, subdiv=subdivision)
            break
        except NotImplementedError:
            continue
    if public is None:
        return BusinessCalendar()
    weekend = frozenset(weekday + 1 for weekday in public.weekend)
    return BusinessCalendar(working_days=_WEEKDAYS - weekend, is_public_holiday=lambda day: day in public)


def _place_of(key: str) -> tuple[str, str | None]:
    country, _, region = key.partition("-")
    return country, region_code(country, region)


def _with_setting(usual: BusinessCalendar, setting: Any, key: str) -> BusinessCalendar:
    if not isinstance(setting, Mapping) or not set(setting) <= _MEMBERS:
        raise ValueError(f"business_calendars.{key} may say {', '.join(sorted(_MEMBERS))}")
    try:
        opens = _after_midnight(setting.get("opens", "00:00"))
        closes = _after_midnight(setting.get("closes", "24:00"))
        working_days = frozenset(int(day) for day in setting.get("working_days", usual.working_days))
        closed_on = frozenset(date.fromisoformat(day) for day in setting.get("holidays", ()))
        timezone = setting.get("timezone")
        if timezone is not None:
            ZoneInfo(timezone)
    except (TypeError, ValueError, KeyError, AttributeError, OSError) as error:
        raise ValueError(f"business_calendars.{key}: {error}") from error
    if not opens < closes or not working_days or not working_days <= _WEEKDAYS:
        raise ValueError(f"business_calendars.{key} has no business hours")
    observes = setting.get("observes_public_holidays", True) is not False
    return BusinessCalendar(
        working_days,
        opens,
        closes,
        closed_on,
        usual.is_public_holiday if observes else (lambda _: False),
        timezone,
    )


def _after_midnight(text: str) -> timedelta:
    if text == "24:00":
        return _DAY
    at = time.fromisoformat(text)
    return timedelta(hours=at.hour, minutes=at.minute)
