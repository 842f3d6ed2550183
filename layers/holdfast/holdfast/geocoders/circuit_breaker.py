"""Stops calling a dependency that keeps failing, and after a while tries it again, one call at a time."""

from collections.abc import Callable
from enum import StrEnum
from threading import Lock
from typing import Final

FAILURES_TO_OPEN: Final = 3
OPEN_SECONDS: Final = 30.0


class BreakerState(StrEnum):
    """Closed admits every call, open admits none, half-open admits one trial call."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Opens after ``FAILURES_TO_OPEN`` consecutive failures. Every process has its own and finds out for itself.

    ``clock`` returns seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._failures = 0
        self._state = BreakerState.CLOSED
        self._opened_at = 0.0

    @property
    def state(self) -> BreakerState:
        """The current state. An open breaker whose time is over becomes half-open only with the next ``admit``."""
        with self._lock:
            return self._state

    def admit(self) -> bool:
        """Return whether a call may be made. An admitted caller then reports ``succeeded`` or ``failed``."""
        with self._lock:
            if self._state is BreakerState.OPEN and self._clock() >= self._opened_at + OPEN_SECONDS:
                self._state = BreakerState.HALF_OPEN
                return True
            return self._state is BreakerState.CLOSED

    def succeeded(self) -> None:
        """Record that the call was answered."""
        with self._lock:
            self._failures = 0
            self._state = BreakerState.CLOSED

    def failed(self) -> None:
        """Record that the call got no usable answer."""
        with self._lock:
            self._failures += 1
            if self._state is BreakerState.HALF_OPEN or self._failures >= FAILURES_TO_OPEN:
                self._state = BreakerState.OPEN
                self._opened_at = self._clock()
