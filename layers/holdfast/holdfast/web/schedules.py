"""Time-boxed runs: a scheduled function stops in time to say what it did, and the next run goes on."""

from collections.abc import Callable
from typing import Any, Final

SAFETY_MARGIN_SECONDS: Final = 10.0


class Shares:
    """The time of a run that has several tasks: each may take an equal part of what is left when it begins, so that
    none starves those after it, and what one does not need is theirs."""

    def __init__(self, left_seconds: Callable[[], float], tasks: int) -> None:
        self._left_seconds = left_seconds
        self._tasks = tasks

    def next_share(self) -> Callable[[], float]:
        """The next task begins now: seconds of work left of its share. Raises ValueError for more tasks than told."""
        if self._tasks < 1:
            raise ValueError("the run has no such task")
        left_seconds = self._left_seconds()
        ends_with = left_seconds - left_seconds / self._tasks
        self._tasks -= 1
        return lambda: self._left_seconds() - ends_with


def time_left(context: Any) -> Callable[[], float]:
    """Seconds of work left before the margin that a run keeps to finish its last batch in."""
    return lambda: context.get_remaining_time_in_millis() / 1000 - SAFETY_MARGIN_SECONDS
