"""Time-boxed runs: a scheduled function stops in time to say what it did, and the next run goes on."""

from collections.abc import Callable
from typing import Any, Final

SAFETY_MARGIN_SECONDS: Final = 10.0


def time_left(context: Any) -> Callable[[], float]:
    """Seconds of work left before the margin that a run keeps to finish its last batch in."""
    return lambda: context.get_remaining_time_in_millis() / 1000 - SAFETY_MARGIN_SECONDS
