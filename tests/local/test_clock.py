from datetime import UTC, datetime, timedelta

import pytest

from local.clock import Timetable, scheduled_event
from local.model import Schedule

NOW = datetime(2026, 11, 21, 10, 7, 30, tzinfo=UTC)  # a Saturday


def next_of(expression: str, timezone: str = "UTC") -> datetime:
    return Timetable.parse(expression, timezone).after(NOW)


def test_a_rate_fires_soon_after_the_start_and_then_at_its_pace() -> None:
    timetable = Timetable.parse("rate(5 minutes)")
    assert timetable.first(NOW) - NOW < timedelta(seconds=5)
    assert timetable.after(NOW) == NOW + timedelta(minutes=5)
    assert Timetable.parse("rate(1 day)").after(NOW) == NOW + timedelta(days=1)


def test_a_faster_pace_shortens_rates_and_leaves_named_hours_alone() -> None:
    assert Timetable.parse("rate(1 minute)").paced(6).after(NOW) == NOW + timedelta(seconds=10)
    assert Timetable.parse("rate(1 minute)").paced(600).after(NOW) == NOW + timedelta(seconds=1)
    noon = Timetable.parse("cron(0 12 * * ? *)")
    assert noon.paced(6) == noon


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(* * * * ? *)", datetime(2026, 11, 21, 10, 8, tzinfo=UTC)),
        ("cron(0 12 * * ? *)", datetime(2026, 11, 21, 12, 0, tzinfo=UTC)),
        ("cron(0/15 * * * ? *)", datetime(2026, 11, 21, 10, 15, tzinfo=UTC)),
        ("cron(15 10 ? * MON-FRI *)", datetime(2026, 11, 23, 10, 15, tzinfo=UTC)),
        ("cron(0 0 1 JAN,MAR ? *)", datetime(2027, 1, 1, tzinfo=UTC)),
        ("cron(30 9 ? * 1 *)", datetime(2026, 11, 22, 9, 30, tzinfo=UTC)),
    ],
)
def test_cron_expressions_are_read_as_aws_reads_them(expression: str, expected: datetime) -> None:
    assert next_of(expression) == expected


def test_a_cron_expression_keeps_the_time_of_its_zone_over_a_change_of_clocks() -> None:
    noon = Timetable.parse("cron(0 12 * * ? *)", "Europe/Berlin")
    assert noon.after(datetime(2026, 10, 24, 0, 0, tzinfo=UTC)) == datetime(2026, 10, 24, 10, 0, tzinfo=UTC)
    assert noon.after(datetime(2026, 10, 25, 0, 0, tzinfo=UTC)) == datetime(2026, 10, 25, 11, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "expression", ["rate(5 fortnights)", "cron(* * * *)", "cron(99 * * * ? *)", "cron(0 0 L * ? *)", "hourly"]
)
def test_an_expression_that_is_not_understood_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"neither rate|is not understood"):
        Timetable.parse(expression)


def test_the_event_is_schedulers_unless_the_schedule_brings_its_own() -> None:
    event = scheduled_event(Schedule("Nightly", "rate(1 day)", "UTC", None), NOW)
    assert (event["source"], event["detail-type"], event["time"]) == (
        "aws.scheduler",
        "Scheduled Event",
        "2026-11-21T10:07:30Z",
    )
    assert event["resources"][0].endswith("/Nightly")
    assert scheduled_event(Schedule("Nightly", "rate(1 day)", "UTC", '{"a": 1}'), NOW) == {"a": 1}
