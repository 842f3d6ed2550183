"""The circuit breaker: opens after three failures in a row, tries one call after thirty seconds, and closes again."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.geocoders.circuit_breaker import FAILURES_TO_OPEN, OPEN_SECONDS, BreakerState, CircuitBreaker


class Seconds:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Seconds) -> CircuitBreaker:
    breaker = CircuitBreaker(clock)
    for _ in range(FAILURES_TO_OPEN):
        assert breaker.admit()
        breaker.failed()
    return breaker


def test_three_failures_in_a_row_open_it_and_a_success_between_them_does_not_count() -> None:
    breaker = CircuitBreaker(Seconds())
    for outcome in (breaker.failed, breaker.failed, breaker.succeeded, breaker.failed, breaker.failed):
        assert breaker.admit()
        outcome()
    assert breaker.state is BreakerState.CLOSED
    breaker.failed()
    assert breaker.state is BreakerState.OPEN


def test_while_open_nobody_is_admitted_and_after_thirty_seconds_one_is() -> None:
    clock = Seconds()
    breaker = opened(clock)
    clock.now += OPEN_SECONDS - 0.1
    assert not breaker.admit()
    clock.now += 0.1
    assert [breaker.admit() for _ in range(3)] == [True, False, False]


def test_the_call_that_tries_closes_it_or_opens_it_again() -> None:
    clock = Seconds()
    breaker = opened(clock)
    clock.now += OPEN_SECONDS
    assert breaker.admit()
    breaker.failed()
    assert not breaker.admit()
    clock.now += OPEN_SECONDS
    assert breaker.admit()
    breaker.succeeded()
    assert [breaker.admit() for _ in range(3)] == [True, True, True]


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 40)), max_size=60))
def test_no_more_than_three_calls_fail_in_a_row_within_thirty_seconds(steps: list[tuple[bool, float]]) -> None:
    clock = Seconds()
    breaker = CircuitBreaker(clock)
    failed_at: list[float] = []
    for succeeds, pause in steps:
        clock.now += pause
        if not breaker.admit():
            continue
        if succeeds:
            breaker.succeeded()
            failed_at.clear()
        else:
            breaker.failed()
            failed_at.append(clock.now)
            if len(failed_at) > FAILURES_TO_OPEN:
                assert failed_at[-1] - failed_at[-2] >= OPEN_SECONDS - 1e-6
