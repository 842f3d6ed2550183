"""Time-boxed runs: a scheduled function stops early enough to report what it did, and the next run continues."""

from collections.abc import Callable
from typing import Any, Final

SAFETY_MARGIN_SECONDS: Final = 10.0


class Shares:
    """Divides the time of a run among several tasks.

    Each task may use an equal share of the time left when it begins. So none starves the tasks after it, and time that
    one does not need goes to them.
    """

    def __init__(self, left_seconds: Callable[[], float], tasks: int) -> None:
        self._left_seconds = left_seconds
        self._tasks = tasks

    def next_share(self) -> Callable[[], float]:
        """Begin the next task, and return a function that gives the seconds left of its share.

        Raises ValueError for more tasks than announced.
        """
        if self._tasks < 1:
            raise ValueError("the run has no such task")
        left_seconds = self._left_seconds()
        ends_with = left_seconds - left_seconds / self._tasks
        self._tasks -= 1
        return lambda: self._left_seconds() - ends_with


def time_left(context: Any) -> Callable[[], float]:
    """Return a function that gives the seconds of work left, before the margin reserved to finish the last batch."""
    return lambda: context.get_remaining_time_in_millis() / 1000 - SAFETY_MARGIN_SECONDS
