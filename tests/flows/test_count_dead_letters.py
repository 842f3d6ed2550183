"""One row for every day: what was open at its last count, and what was made and resolved during it."""

from collections.abc import Mapping
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast.flows.dead_letters.count_dead_letters import count_dead_letters
from tests.flows.dead_lettering import add_class, buried, mend_events, replay
from tests.house import House


@pytest.fixture
def morning(house: House) -> House:
    """A house at nine in the morning, so that what a test does stays within its day."""
    house.add_variant(stock=50)
    day = house.clock.now.astimezone(UTC) + timedelta(days=1)
    house.clock.now = day.replace(hour=9, minute=0, second=0, microsecond=0)
    return house


def days(house: House) -> list[Mapping[str, Any]]:
    return list(house.rows("SELECT * FROM payments.dlq_metrics_daily ORDER BY day"))


def counted(house: House) -> list[Mapping[str, Any]]:
    count_dead_letters(house.system, house.clock())
    return days(house)


def test_a_quiet_deployment_has_no_rows_and_says_that_nothing_is_open(morning: House) -> None:
    found = count_dead_letters(morning.system, morning.clock())
    assert days(morning) == []
    assert dict(found.by_priority) == {"low": 0, "medium": 0, "high": 0, "critical": 0}


def test_what_is_open_is_counted_by_status_priority_and_class(morning: House) -> None:
    buried(morning)
    add_class(morning)
    buried(morning)
    found = count_dead_letters(morning.system, morning.clock())
    assert found.by_priority["critical"] == 2
    assert dict(found.by_class) == {("none", "critical"): 1, ("ledger", "critical"): 1}
    today = days(morning)[-1]
    assert today["day"] == morning.clock.now.date()
    assert today["counts_by_status"] == {"pending_classification": 1, "pending_review": 1}
    assert (today["created"], today["critical_open"]) == (2, 2)
    assert (today["replayed"], today["average_resolution_hours"]) == (0, None)


def test_what_is_resolved_counts_for_its_day_and_a_past_day_keeps_what_was_open(morning: House) -> None:
    add_class(morning)
    first, second, third = buried(morning), buried(morning), buried(morning)
    mend_events(morning)
    before = counted(morning)[-1]
    morning.clock.now = first["created_at"] + timedelta(hours=24)
    replay(morning, first["id"])
    morning.sql("UPDATE payments.dead_letters SET was_auto_replayed = true")
    morning.sql(
        "UPDATE payments.dead_letters SET status = 'discarded', resolution_notes = 'n', resolved_at = :now"
        " WHERE id = :id",
        id=second["id"],
        now=second["created_at"] + timedelta(hours=12),
    )
    yesterday, today = counted(morning)[-2:]
    assert (yesterday["created"], today["created"]) == (3, 0)
    assert yesterday["counts_by_status"] == before["counts_by_status"] == {"pending_review": 3}
    assert (yesterday["critical_open"], today["critical_open"]) == (3, 1)
    assert today["counts_by_status"] == {"pending_review": 1}
    assert (today["replayed"], today["auto_replayed"]) == (1, 1)
    assert yesterday["discarded"] + today["discarded"] == 1
    assert today["average_resolution_hours"] in (Decimal("24.00"), Decimal("18.00"))
    assert third["id"]


def test_counting_twice_counts_nothing_twice(morning: House) -> None:
    buried(morning)
    first = counted(morning)
    morning.clock.advance(minutes=1)
    second = counted(morning)
    assert [{**row, "counted_at": None} for row in first] == [{**row, "counted_at": None} for row in second]
