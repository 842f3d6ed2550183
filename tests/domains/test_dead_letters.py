from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.payments.dead_letters import (
    FOR_A_PERSON,
    REPLAYABLE_BY_HAND,
    REPLAYABLE_BY_ITSELF,
    RESOLVED,
    TRANSITIONS,
    WAITING,
    DeadLetterPriority,
    DeadLetterStatus,
    fingerprint_of,
    is_alert_due,
    priority_of,
    status_of,
)
from holdfast.values.payment_events import EventType

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("priority", "event_types"),
    [
        ("critical", {"capture_succeeded", "refund_succeeded"}),
        ("high", {"authorization_succeeded", "dispute_opened"}),
        ("medium", {"capture_failed", "refund_failed", "capture_requested"}),
    ],
)
def test_the_priority_is_what_the_event_is_about(priority: str, event_types: set[str]) -> None:
    assert {str(each) for each in EventType if priority_of(each) == priority} == event_types


def test_every_other_event_is_of_low_priority() -> None:
    assert sum(priority_of(each) is DeadLetterPriority.LOW for each in EventType) == len(EventType) - 7


def test_an_end_is_an_end_and_everything_else_can_come_to_one() -> None:
    assert set(TRANSITIONS) == set(DeadLetterStatus)
    for status, following in TRANSITIONS.items():
        assert bool(following) != (status in RESOLVED)
        assert status not in following
        assert (DeadLetterStatus.DISCARDED in following) == (status not in RESOLVED)


def test_only_what_may_be_replayed_can_become_replayed() -> None:
    replayable = {status for status, following in TRANSITIONS.items() if DeadLetterStatus.REPLAYED in following}
    assert replayable == REPLAYABLE_BY_HAND | REPLAYABLE_BY_ITSELF
    for status in replayable:  # a replay that fails goes back to a person
        assert status in FOR_A_PERSON or TRANSITIONS[status] >= FOR_A_PERSON


@given(
    st.booleans(), st.booleans(), st.integers(0, 3), st.booleans(), st.sampled_from(DeadLetterPriority), st.booleans()
)
def test_where_it_waits_and_who_is_called(
    classified: bool, heals: bool, replays: int, assigned: bool, priority: DeadLetterPriority, alerted: bool
) -> None:
    status = status_of(classified=classified, replays_by_itself=heals, replays=replays, is_assigned=assigned)
    assert status in WAITING
    assert (status is DeadLetterStatus.PENDING_CLASSIFICATION) == (not classified)
    scheduled = status is DeadLetterStatus.AUTO_REPLAY_SCHEDULED
    assert scheduled == (classified and heals and replays == 0 and not assigned)
    called = is_alert_due(priority, status, NOW if alerted else None)
    assert called == (priority in ("critical", "high") and not scheduled and not alerted)


def test_nobody_is_called_for_what_somebody_works_on() -> None:
    for status in set(DeadLetterStatus) - FOR_A_PERSON:
        assert not is_alert_due(DeadLetterPriority.CRITICAL, status, None)


def test_a_fingerprint_is_the_same_in_every_release_and_different_for_every_part() -> None:
    given_parts = (
        "capture_succeeded",
        "card_declined",
        "InvalidInput",
        "holdfast.flows.settlement:_refuse_foreign",
    )
    prints = {fingerprint_of(*given_parts)}
    for position in range(4):
        prints.add(fingerprint_of(*[part + "x" if n == position else part for n, part in enumerate(given_parts)]))
    assert len(prints) == 5
    assert fingerprint_of(*given_parts) == "a3ea10a057c5862d"
    assert fingerprint_of("a", None, "b", None) == fingerprint_of("a", "", "b", "")
