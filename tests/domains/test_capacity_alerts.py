"""When people are alerted that a warehouse is filling up, and when an alert ends."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.inventory.capacity import ALERT_FROM, ALERT_PAUSE, AlertStep, AlertType, alert_step

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("utilized", "reached"),
    [
        (None, set()),
        (0.79, set()),
        (0.80, {"warning"}),
        (0.949, {"warning"}),
        (0.95, {"warning", "critical"}),
        (0.99, {"warning", "critical"}),
        (1.00, {"warning", "critical", "overflow"}),
        (7.5, {"warning", "critical", "overflow"}),
    ],
)
def test_an_alert_begins_at_its_level(utilized: float | None, reached: set[str]) -> None:
    raised = {t for t in AlertType if alert_step(t, utilized, None, is_open=False, now=NOON) is AlertStep.RAISE}
    assert raised == reached


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1.5)), max_size=60))
def test_nobody_is_told_of_a_level_twice_in_an_hour_and_it_is_open_while_it_is_reached(
    looks: list[tuple[int, float]],
) -> None:
    now, is_open, told_at, told = NOON, False, None, list[datetime]()
    for minutes, utilized in looks:
        now += timedelta(minutes=minutes)
        step = alert_step(AlertType.CRITICAL, utilized, told_at, is_open=is_open, now=now)
        if step in (AlertStep.RAISE, AlertStep.REMIND):
            told_at = now
            told.append(now)
        is_open = step in (AlertStep.RAISE, AlertStep.REOPEN, AlertStep.REMIND) or (is_open and step is None)
        assert is_open == (utilized >= ALERT_FROM[AlertType.CRITICAL])
    assert all(later - earlier >= ALERT_PAUSE for earlier, later in pairwise(told))
