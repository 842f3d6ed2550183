from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.payments.error_classes import (
    ErrorClass,
    Failure,
    confidence,
    first_match,
    has_earned_auto_replay,
    is_like_pattern,
    like,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FAILURE = Failure("capture_failed", "stripe", "card_declined", "ConstraintViolated: The Ledger is CLOSED")
ANY = ErrorClass(UUID(int=1), 10, None, None, None, (), False, 300, Decimal("85.0"), 0, 0, None)


@pytest.mark.parametrize(
    ("criteria", "matches"),
    [
        ({}, True),
        ({"event_type": "capture_failed"}, True),
        ({"event_type": "refund_failed"}, False),
        ({"gateway_pattern": "str%"}, True),
        ({"gateway_pattern": "Stripe"}, False),
        ({"failure_code_pattern": r"card\_%"}, True),
        ({"failure_code_pattern": "card"}, False),
        ({"message_keywords": ("ledger", "closed")}, True),
        ({"message_keywords": ("ledger", "open")}, False),
        ({"event_type": "capture_failed", "message_keywords": ("nothing",)}, False),
        ({"failure_code_pattern": "ends with\\"}, False),
    ],
)
def test_a_class_matches_when_all_it_says_is_met(criteria: dict[str, object], matches: bool) -> None:
    assert replace(ANY, **criteria).matches(FAILURE) == matches


def test_a_pattern_for_the_code_does_not_match_where_there_is_none() -> None:
    nameless = replace(FAILURE, failure_code=None)
    assert ANY.matches(nameless)
    assert not replace(ANY, failure_code_pattern="%").matches(nameless)


@given(st.permutations(range(1, 6)), st.sets(st.integers(1, 5)))
def test_the_first_that_matches_by_its_order_wins_however_they_come(orders: list[int], matching: set[int]) -> None:
    classes = [
        replace(ANY, id=UUID(int=order), match_order=order, event_type=None if order in matching else "refund_failed")
        for order in orders
    ]
    found = first_match(classes, FAILURE)
    assert (found and found.match_order) == (min(matching) if matching else None)


@pytest.mark.parametrize(
    ("successes", "failures", "minimum", "earned"),
    [
        (10, 0, "85.0", True),
        (9, 0, "0", False),
        (17, 3, "85.0", True),
        (17, 4, "85.0", False),
        (10, 0, "100", True),
        (0, 0, "0", False),
        (84_999, 15_001, "85.0", False),  # 84.999 % is not 85 %, even where it is displayed rounded
    ],
)
def test_auto_replay_is_earned_by_ten_successes_and_confidence(
    successes: int, failures: int, minimum: str, earned: bool
) -> None:
    assert has_earned_auto_replay(successes, failures, Decimal(minimum)) == earned


def test_confidence_is_successes_among_all_in_percent() -> None:
    assert confidence(0, 0) is None
    assert confidence(3, 1) == 75


@given(st.lists(st.booleans(), max_size=60), st.decimals(0, 100, places=1))
def test_below_its_minimum_a_class_never_stays_switched_on(outcomes: list[bool], minimum: Decimal) -> None:
    known = replace(ANY, successful_replays=10, auto_replay_enabled=True, min_confidence=minimum)
    for succeeded in outcomes:
        known = known.after_success() if succeeded else known.after_failure(NOW, automatic=False)
        assert known.has_earned_auto_replay or not known.auto_replay_enabled
    assert known.successful_replays + known.failed_replays == 10 + len(outcomes)
    assert known.cooldown_until is None


def test_its_own_failure_cools_a_class_down_for_a_day() -> None:
    healing = replace(ANY, successful_replays=90, auto_replay_enabled=True)
    assert healing.replays_by_itself(NOW)
    cooled = healing.after_failure(NOW, automatic=True)
    assert cooled.auto_replay_enabled
    assert not cooled.replays_by_itself(NOW + timedelta(hours=24) - timedelta(microseconds=1))
    assert cooled.replays_by_itself(NOW + timedelta(hours=24))


@pytest.mark.parametrize("pattern", ["a\\", "\\", "%\\\\\\"])
def test_a_pattern_that_postgresql_refuses_is_refused(pattern: str) -> None:
    assert not is_like_pattern(pattern)
    with pytest.raises(ValueError, match="escape"):
        like("a", pattern)


def test_a_pattern_full_of_wildcards_takes_no_time() -> None:
    assert not like("a" * 2_000, "%a" * 500 + "%b%")
