"""When a mail that could not be handed over is tried again, and when that ends."""

from datetime import timedelta
from typing import Final

LEASE_SECONDS: Final = 120
"""How long an attempt may take before another may begin: the sender is presumed dead."""
FIRST_DELAY_SECONDS: Final = 60
DELAY_MAX_SECONDS: Final = 3600
ATTEMPTS_MAX: Final = 12
"""About six hours from the first attempt to the last."""


def next_delay(attempts: int) -> timedelta | None:
    """How long to wait after the attempt with this number (from 1); ``None``: it was the last."""
    if attempts >= ATTEMPTS_MAX:
        return None
    return timedelta(seconds=min(FIRST_DELAY_SECONDS * 2 ** (attempts - 1), DELAY_MAX_SECONDS))
