"""When a mail that could not be handed over is tried again, and when the attempts end."""

from datetime import timedelta
from typing import Final

LEASE_SECONDS: Final = 120
"""The lease of an attempt. When it is over, the sender is presumed dead and another attempt may begin."""
FIRST_DELAY_SECONDS: Final = 60
DELAY_MAX_SECONDS: Final = 3600
ATTEMPTS_MAX: Final = 12
"""There are about six hours between the first attempt and the last."""


def next_delay(attempts: int) -> timedelta | None:
    """Return how long to wait after the attempt with this number (from 1), or ``None`` if it was the last."""
    if attempts >= ATTEMPTS_MAX:
        return None
    return timedelta(seconds=min(FIRST_DELAY_SECONDS * 2 ** (attempts - 1), DELAY_MAX_SECONDS))
