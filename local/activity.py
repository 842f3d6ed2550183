"""Counts the work that is under way, so that a process can end as soon as there is none."""

import threading
from types import TracebackType


class Activity:
    """Enter this context, from any thread, around work that should be allowed to finish."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait_until_idle(self, timeout_seconds: float) -> bool:
        """Waits until no work is under way. Returns False when the time ran out first."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, timeout_seconds)
