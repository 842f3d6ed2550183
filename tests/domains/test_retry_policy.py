from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.payments.retry_policy import RETRIES_MAX, decide

NOW = datetime(2025, 11, 20, 12, 0, tzinfo=UTC)
SQS_DELAY_MAX_SECONDS = 900


def no_jitter() -> float:
    return 0.0


def test_the_retries_follow_after_30_60_120_240_and_480_seconds():
    delays = [decide(attempts, NOW, no_jitter).delay_seconds for attempts in range(1, 6)]
    assert delays == [30, 60, 120, 240, 480]


def test_the_sixth_failure_makes_the_dead_letter_and_the_fifth_does_not():
    assert not decide(5, NOW, no_jitter).is_dead_letter
    assert decide(6, NOW, no_jitter).is_dead_letter
    assert decide(7, NOW, no_jitter).is_dead_letter


@given(st.integers(1, RETRIES_MAX), st.floats(0, 1, exclude_max=True))
def test_up_to_30_seconds_of_jitter_are_added(attempts, drawn):
    decision = decide(attempts, NOW, lambda: drawn)
    base = timedelta(seconds=30 * 2 ** (attempts - 1))
    assert NOW + base <= decision.retry_at <= NOW + base + timedelta(seconds=30)


@given(st.integers(1, RETRIES_MAX), st.floats(0, 1, exclude_max=True))
def test_the_bell_never_rings_before_the_event_is_due_nor_beyond_what_sqs_can_delay(attempts, drawn):
    decision = decide(attempts, NOW, lambda: drawn)
    assert NOW + timedelta(seconds=decision.delay_seconds) >= decision.retry_at
    assert decision.delay_seconds <= SQS_DELAY_MAX_SECONDS


@given(st.integers(1, 100))
def test_a_permanent_error_skips_the_retries(attempts):
    assert decide(attempts, NOW, no_jitter, permanent=True).is_dead_letter


def test_an_event_that_was_never_tried_cannot_have_failed():
    with pytest.raises(ValueError, match="never tried"):
        decide(0, NOW, no_jitter)
