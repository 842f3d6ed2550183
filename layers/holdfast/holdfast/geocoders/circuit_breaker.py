"""Leaves a dependency alone that fails again and again, and tries it again after a while, one call at a time."""

from collections.abc import Callable
from enum import StrEnum
from threading import Lock
from typing import Final

FAILURES_TO_OPEN: Final = 3
OPEN_SECONDS: Final = 30.0


class BreakerState(StrEnum):
    """Closed lets every call through, open none, half-open the one that tries."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Opens after ``FAILURES_TO_OPEN`` failures in a row. One for each process: each finds out for itself."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._failures = 0
        self._state = BreakerState.CLOSED
        self._opened_at = 0.0

    @property
    def state(self) -> BreakerState:
        """What the next call meets."""
        with self._lock:
            return self._state

    def admit(self) -> bool:
        """Whether a call may be made; who is admitted says ``succeeded`` or ``failed`` afterwards."""
        with self._lock:
            if self._state is BreakerState.OPEN and self._clock() >= self._opened_at + OPEN_SECONDS:
                self._state = BreakerState.HALF_OPEN
                return True
            return self._state is BreakerState.CLOSED

    def succeeded(self) -> None:
        """The call was answered."""
        with self._lock:
            self._failures = 0
            self._state = BreakerState.CLOSED

    def failed(self) -> None:
        """The call was not answered, or not usefully."""
        with self._lock:
            self._failures += 1
            if self._state is BreakerState.HALF_OPEN or self._failures >= FAILURES_TO_OPEN:
                self._state = BreakerState.OPEN
                self._opened_at = self._clock()
