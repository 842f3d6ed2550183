"""When an address review is due: a table of cases, each computed by hand on a paper calendar."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.addresses.business_calendar import BusinessCalendar, calendar_of
from holdfast.addresses.review_begin import ReviewBasis, begin_review
from holdfast.addresses.review_deadline import after_business_hours, extended, review_times
from holdfast.addresses.timezones import zone_of
from holdfast.values.errors import Conflict
from holdfast.values.ids import uuid7
from holdfast.values.shipping import ShippingPreference

STANDARD, ECONOMY, EXPEDITED = (
    ShippingPreference.STANDARD,
    ShippingPreference.ECONOMY,
    ShippingPreference.EXPEDITED,
)
NINE_TO_FIVE = {"opens": "09:00", "closes": "17:00"}

# the case | country-region | begins, on the local wall clock | preference | due, in UTC
# The comment above a case adds up its business hours, day by day.
TABLE: dict[str, tuple[str, str, ShippingPreference, str]] = {
    # --- weekends
    # Fri 8, Mon 24, Tue 24, Wed 16; New York is 4 hours behind UTC
    "the example": ("US-NY", "2026-06-05 16:00", STANDARD, "2026-06-10 20:00"),
    # Fri 8, Mon 24, Tue 24, Wed 24, Thu 16
    "the example, economy": ("US-NY", "2026-06-05 16:00", ECONOMY, "2026-06-11 20:00"),
    "the example, expedited": ("US-NY", "2026-06-05 16:00", EXPEDITED, "2026-06-06 20:00"),
    "no weekend between": ("US-NY", "2026-06-08 09:30", STANDARD, "2026-06-11 13:30"),
    # Wed 14.5, Thu 24, Fri 24, Mon 24, Tue 9.5
    "economy over one weekend": ("US-NY", "2026-06-10 09:30", ECONOMY, "2026-06-16 13:30"),
    # all of Mon, Tue and Wed, until the midnight that ends Wednesday
    "begun on a Saturday": ("US-NY", "2026-06-06 11:00", STANDARD, "2026-06-11 04:00"),
    "begun in the last minute of a Sunday": ("US-NY", "2026-06-07 23:59", STANDARD, "2026-06-11 04:00"),
    "begun in the first minute of a Monday": ("US-NY", "2026-06-08 00:01", STANDARD, "2026-06-11 04:01"),
    "expedited knows no Sunday": ("US-NY", "2026-06-06 12:00", EXPEDITED, "2026-06-07 16:00"),
    # --- holidays
    # Fri 8, Labor Day, Tue 24, Wed 24, Thu 16
    "Labor Day": ("US-NY", "2026-09-04 16:00", STANDARD, "2026-09-10 20:00"),
    # Wed 14, Thanksgiving, Fri 24, Mon 24, Tue 10; New York is 5 hours behind UTC by then
    "Thanksgiving": ("US-NY", "2026-11-25 10:00", STANDARD, "2026-12-01 15:00"),
    "expedited knows no Thanksgiving": ("US-NY", "2026-11-25 10:00", EXPEDITED, "2026-11-26 15:00"),
    # Tue 12, Wed 24, Thu 24, Christmas on Fri and Sat, Mon 24, Tue 12
    "Christmas in Berlin": ("DE-BE", "2026-12-22 12:00", ECONOMY, "2026-12-29 11:00"),
    # Mon 12, Epiphany, Wed 24, Thu 24, Fri 12
    "Epiphany is kept in Bavaria": ("DE-BY", "2026-01-05 12:00", STANDARD, "2026-01-09 11:00"),
    # Mon 12, Tue 24, Wed 24, Thu 12
    "and not in Berlin": ("DE-BE", "2026-01-05 12:00", STANDARD, "2026-01-08 11:00"),
    # Thu 8, Good Friday, Easter Monday, Tue 24, Wed 24, Thu 16
    "Easter in England": ("GB-ENG", "2026-04-02 16:00", STANDARD, "2026-04-09 15:00"),
    # Thu 8, Good Friday, Mon 24, Tue 24, Wed 16: Easter Monday is no holiday in Scotland
    "Easter in Scotland": ("GB-SCT", "2026-04-02 16:00", STANDARD, "2026-04-08 15:00"),
    # Thu 14, Fri 24, holidays from 4 to 6 May, Thu 24, Fri 24, Mon 10
    "Golden Week": ("JP", "2026-04-30 10:00", ECONOMY, "2026-05-11 01:00"),
    # Wed 12, Thu 24, New Year's Day on Fri, Mon 24, Tue 12
    "over the end of the year": ("US-NY", "2026-12-30 12:00", STANDARD, "2027-01-05 17:00"),
    # --- clocks that change
    # five days later at the same time on the wall clock, which is after 119 hours
    "summer time begins in New York": ("US-NY", "2026-03-06 16:00", STANDARD, "2026-03-11 20:00"),
    "summer time ends in Florida": ("US-FL", "2026-10-30 16:00", STANDARD, "2026-11-04 21:00"),
    # Fri 8, Mon 24, Election Day, Wed 24, Thu 16
    "and in New York, which keeps Election Day": ("US-NY", "2026-10-30 16:00", STANDARD, "2026-11-05 21:00"),
    "24 hours by the clock into summer time": ("US-NY", "2026-03-07 16:00", EXPEDITED, "2026-03-08 21:00"),
    "24 hours by the clock out of summer time": ("US-NY", "2026-10-31 16:00", EXPEDITED, "2026-11-01 20:00"),
    "summer time begins in Berlin": ("DE-BE", "2026-03-27 16:00", STANDARD, "2026-04-01 14:00"),
    # Thu 14, Fri 24, Mon 24, Tue 24, Wed 10
    "summer time ends in Berlin": ("DE-BE", "2026-10-22 10:00", ECONOMY, "2026-10-28 09:00"),
    # Thu 12, Sun 24 on the wall clock (25 hours pass), Mon 24, Tue 12
    "a working Sunday with 25 hours": ("IL", "2026-10-22 12:00", STANDARD, "2026-10-27 10:00"),
    # Mon 0.5, Tue 24, Wed 24, Thu 23.5: in Cairo that hour comes twice that night, and the second one counts
    "due in an hour that comes twice": ("EG", "2026-10-26 23:30", STANDARD, "2026-10-29 21:30"),
    # --- far away
    "Kiritimati, 14 hours ahead": ("KI-L", "2026-06-05 16:00", STANDARD, "2026-06-10 02:00"),
    "Samoa, 13 hours ahead": ("WS", "2026-06-05 16:00", STANDARD, "2026-06-10 03:00"),
    "American Samoa next to it, 11 hours behind": ("US-AS", "2026-06-05 16:00", STANDARD, "2026-06-11 03:00"),
    "Kiritimati, expedited": ("KI-L", "2026-06-05 16:00", EXPEDITED, "2026-06-06 02:00"),
    # summer time begins there on Sunday: 12:45 ahead of UTC before, 13:45 after
    "Chatham, three quarters of an hour": ("NZ-CIT", "2026-09-25 16:00", STANDARD, "2026-09-30 02:15"),
    "Nepal, economy": ("NP", "2026-06-08 12:00", ECONOMY, "2026-06-12 06:15"),
    # --- other weekends
    # Thu 8, Fri and Sat free, Sun 24, Mon 24, Tue 16
    "Saudi Arabia rests on Friday and Saturday": ("SA", "2026-06-04 16:00", STANDARD, "2026-06-09 13:00"),
    "and a Friday begins with the Sunday": ("SA", "2026-06-05 16:00", STANDARD, "2026-06-09 21:00"),
    "the Emirates rest on Saturday and Sunday": ("AE", "2026-06-05 16:00", STANDARD, "2026-06-10 12:00"),
    # Thu 8, Fri free, Sat 24, Sun free, Mon 24, Tue 16
    "Brunei rests on Friday and on Sunday": ("BN", "2026-06-04 16:00", STANDARD, "2026-06-09 08:00"),
}


def due(place: str, begins: str, preference: ShippingPreference, setting: Any = None) -> datetime:
    """Return when a review is due for a shopper who lives at the place and has no timezone on record."""
    country, _, region = place.partition("-")
    calendar = calendar_of(country, region or None, None if setting is None else {"*": setting})
    zone = zone_of(None, calendar.timezone, country, region or None, None)
    begins_at = datetime.fromisoformat(begins).replace(tzinfo=zone).astimezone(UTC)
    return review_times(begins_at, preference, calendar, zone).deadline_at


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("case", TABLE)
def test_a_review_is_due(case: str) -> None:
    place, begins, preference, expected = TABLE[case]
    assert due(place, begins, preference) == utc(expected)


# the case | the shop's setting | begins in New York | preference | due, in UTC
SETTINGS: dict[str, tuple[dict[str, Any], str, ShippingPreference, str]] = {
    # Fri 1, eight days of 8 hours until Wednesday the 17th, and 7 hours of Thursday
    "from nine to five": (NINE_TO_FIVE, "2026-06-05 16:00", STANDARD, "2026-06-18 20:00"),
    # nine days from Tuesday the 9th; the 19th is a holiday, Juneteenth
    "begun after closing": (NINE_TO_FIVE, "2026-06-08 20:00", STANDARD, "2026-06-22 21:00"),
    "begun before opening": (NINE_TO_FIVE, "2026-06-08 06:00", STANDARD, "2026-06-18 21:00"),
    # twelve days from Monday the 8th: 8 to 12, 15 to 18, 22, 23, 24
    "economy, from nine to five": (NINE_TO_FIVE, "2026-06-06 12:00", ECONOMY, "2026-06-24 21:00"),
    "expedited has no hours": (NINE_TO_FIVE, "2026-06-05 16:00", EXPEDITED, "2026-06-06 20:00"),
    # Fri 8, Mon 24, the shop's holiday, Wed 24, Thu 16
    "a holiday of the shop": ({"holidays": ["2026-06-09"]}, "2026-06-05 16:00", STANDARD, "2026-06-11 20:00"),
    # Fri 8, Labor Day 24, Tue 24, Wed 16
    "public holidays are worked": (
        {"observes_public_holidays": False},
        "2026-09-04 16:00",
        STANDARD,
        "2026-09-09 20:00",
    ),
    # Fri 8, Sat 24, Mon 24, Tue 16
    "Saturdays are worked": ({"working_days": [1, 2, 3, 4, 5, 6]}, "2026-06-05 16:00", STANDARD, "2026-06-09 20:00"),
    # Mon 8, then Mondays only: all of the 15th and the 22nd, and 16 hours of the 29th
    "Mondays alone": ({"working_days": [1]}, "2026-06-08 16:00", STANDARD, "2026-06-29 20:00"),
    # Sunday 02:30 does not exist: the clock jumps from 02:00 to 03:00, so the review is due at 03:30 instead
    "due in an hour that is left out": (
        {"working_days": [1, 2, 3, 4, 5, 6, 7]},
        "2026-03-05 02:30",
        STANDARD,
        "2026-03-08 07:30",
    ),
    "on the wall clock that the shop says": (
        {"timezone": "Asia/Tokyo"},
        "2026-06-08 09:00",
        STANDARD,
        "2026-06-11 00:00",
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_shop_has_a_calendar_of_its_own(case: str) -> None:
    setting, begins, preference, expected = SETTINGS[case]
    assert due("US-NY", begins, preference, setting) == utc(expected)


def test_a_date_that_a_country_skipped_has_no_hours() -> None:
    """Samoa went from Thursday, 29 December 2011, straight to Saturday. Thu 12, Mon 24, Tue 24, Wed 12."""
    apia = ZoneInfo("Pacific/Apia")
    begins_at = datetime(2011, 12, 29, 12, tzinfo=apia)
    assert after_business_hours(begins_at, 72, BusinessCalendar(), apia) == datetime(2012, 1, 4, 12, tzinfo=apia)


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ({"working_days": []}, "no business hours"),
        ({"working_days": [0]}, "no business hours"),
        ({"working_days": ["Monday"]}, "Monday"),
        ({"working_days": 5}, "iterable"),
        ({"opens": "17:00", "closes": "09:00"}, "no business hours"),
        ({"opens": "nine"}, "nine"),
        ({"closes": "25:00"}, r"\*"),
        ({"holidays": ["Christmas"]}, "Christmas"),
        ({"timezone": "Mars/Olympus"}, "Mars"),
        ({"timezone": 7}, r"\*"),
        ({"hours": "09:00-17:00"}, "may say"),
        ("closed", "may say"),
    ],
)
def test_a_calendar_that_makes_no_sense_is_refused_by_name(setting: Any, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        calendar_of("US", "NY", {"*": setting})


def test_a_calendar_that_is_closed_for_ten_years_is_no_calendar() -> None:
    closed = frozenset(date(2026, 1, 1) + timedelta(days=day) for day in range(3_700))
    with pytest.raises(ValueError, match="no business hours"):
        after_business_hours(utc("2026-01-02 00:00"), 72, BusinessCalendar(closed_on=closed), UTC)


def test_the_most_particular_calendar_counts() -> None:
    settings = {"US-CO": {"working_days": [1]}, "US": {"working_days": [2]}, "*": {"working_days": [3]}}
    assert [
        calendar_of(country, region, settings).working_days
        for country, region in (("US", "co"), ("US", "NY"), ("DE", "CO"), ("US", None))
    ] == [{1}, {2}, {3}, {2}]


def test_a_region_has_its_calendar_however_it_and_the_setting_are_written() -> None:
    settings = {"US-Colorado": {"working_days": [1]}, "DE-by": {"working_days": [2]}, "*": {"working_days": [3]}}
    assert [
        calendar_of(country, region, settings).working_days
        for country, region in (("US", "co"), ("US", "US-CO"), ("DE", "BY"), ("DE", "Bayern"))
    ] == [{1}, {1}, {2}, {3}]
    epiphany = date(2027, 1, 6)  # a holiday in Bavaria but not in Berlin
    assert [calendar_of("DE", written, None).is_open_on(epiphany) for written in ("by", "DE-BY", "Bayern")] == [
        False
    ] * 3
    assert calendar_of("DE", "BE", None).is_open_on(epiphany)


def test_a_country_that_nobody_wrote_down_works_from_monday_to_friday() -> None:
    assert calendar_of("XX", None, None).working_days == {1, 2, 3, 4, 5}
    assert calendar_of("XX", None, None).is_open_on(date(2026, 12, 25))


@pytest.mark.parametrize(
    ("customer", "calendar", "country", "region", "organization", "expected"),
    [
        ("Asia/Tokyo", "Europe/Rome", "US", "CO", "Europe/Paris", "Asia/Tokyo"),
        (None, "Europe/Rome", "US", "CO", "Europe/Paris", "Europe/Rome"),
        (None, None, "US", "CO", "Europe/Paris", "America/Denver"),
        (None, None, "US", "us-ca", "Europe/Paris", "America/Los_Angeles"),
        (None, None, "US", "Colorado", "Europe/Paris", "America/Denver"),
        (None, None, "US", "Kolorado", "Europe/Paris", "America/New_York"),
        (None, None, "US", None, None, "America/New_York"),
        (None, None, "AU", "WA", None, "Australia/Perth"),
        (None, None, "CA", "BC", None, "America/Vancouver"),
        (None, None, "KI", "L", None, "Pacific/Kiritimati"),
        (None, None, "KI", None, None, "Pacific/Tarawa"),
        (None, None, "WS", None, None, "Pacific/Apia"),
        (None, None, "FR", "75", None, "Europe/Paris"),
        (None, None, "XX", None, "Europe/Paris", "Europe/Paris"),
        (None, None, "XX", None, None, "UTC"),
        ("Not/AZone", None, "DE", None, None, "Europe/Berlin"),
        ("../../etc/passwd", None, "DE", None, None, "Europe/Berlin"),
        ("", "", "XX", "", "nonsense", "UTC"),
    ],
)
def test_whose_wall_clock_counts(
    customer: str | None,
    calendar: str | None,
    country: str,
    region: str | None,
    organization: str | None,
    expected: str,
) -> None:
    assert zone_of(customer, calendar, country, region, organization).key == expected


def test_a_shopper_far_from_home_has_the_holidays_of_the_address_and_the_clock_on_record() -> None:
    """Labor Day in the United States, with the hours counted on a clock in Berlin. Fri 2, Tue 24, Wed 24, Thu 22."""
    basis = ReviewBasis("US", "NY", "Europe/Berlin", None, None)
    begins_at = datetime(2026, 9, 4, 22, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    begun = begin_review(uuid7(begins_at), basis, STANDARD, begins_at)
    assert begun.document["timezone"] == "Europe/Berlin"
    assert datetime.fromisoformat(begun.document["deadline_at"]) == utc("2026-09-10 20:00")


def test_two_reviews_have_two_nonces() -> None:
    now = utc("2026-06-05 16:00")
    basis = ReviewBasis("US", "NY", None, None, None)
    first, second = (begin_review(uuid7(now), basis, STANDARD, now).document["nonce"] for _ in range(2))
    assert first != second


def test_the_reminder_is_at_half_of_the_time_by_the_clock() -> None:
    begins_at = utc("2026-06-05 20:00")
    times = review_times(begins_at, STANDARD, calendar_of("US", "NY", None), ZoneInfo("America/New_York"))
    assert times.reminder_at - begins_at == (times.deadline_at - begins_at) / 2 == timedelta(hours=60)


def test_an_extension_moves_the_deadline_and_the_reminder_to_half_of_what_is_left() -> None:
    first, now = utc("2026-06-10 20:00"), utc("2026-06-09 20:00")
    times = extended(now, first, first, utc("2026-06-11 20:00"))
    assert (times.reminder_at, times.deadline_at) == (utc("2026-06-10 20:00"), utc("2026-06-11 20:00"))


def test_an_extension_is_bounded_in_all_and_never_takes_time_away() -> None:
    first, now = utc("2026-06-10 20:00"), utc("2026-06-09 20:00")
    put_off = utc("2026-06-20 20:00")
    latest = utc("2026-06-24 20:00")
    assert extended(now, first, put_off, latest).deadline_at == latest
    for refused in (put_off, first, now, latest + timedelta(seconds=1)):
        with pytest.raises(Conflict):
            extended(now, first, put_off, refused)


INSTANTS = st.integers(0, 15 * 365 * 86_400).map(lambda seconds: utc("2020-01-01 00:00") + timedelta(seconds=seconds))
ZONES = st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati", "Africa/Cairo"])
HOURS = st.integers(1, 120)


@given(INSTANTS, HOURS, ZONES)
def test_so_many_hours_are_never_less_and_the_next_hour_is_never_earlier(
    begins_at: datetime, hours: int, name: str
) -> None:
    zone = ZoneInfo(name)
    due_at = after_business_hours(begins_at, hours, BusinessCalendar(), zone)
    # Only the night in which summer time begins takes an hour off.
    assert due_at - begins_at >= timedelta(hours=hours - 1)
    assert after_business_hours(begins_at, hours + 1, BusinessCalendar(), zone) >= due_at
    assert after_business_hours(begins_at + timedelta(hours=2), hours, BusinessCalendar(), zone) >= due_at


@given(INSTANTS, HOURS)
def test_hours_may_be_taken_in_two_parts(begins_at: datetime, hours: int) -> None:
    calendar = BusinessCalendar(opens_after=timedelta(hours=9), closes_after=timedelta(hours=17))
    halfway = after_business_hours(begins_at, hours, calendar, UTC)
    assert after_business_hours(halfway, hours, calendar, UTC) == after_business_hours(
        begins_at, 2 * hours, calendar, UTC
    )
