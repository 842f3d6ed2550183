"""When a failed payment event is tried again, and when it is left to people."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final

RETRIES_MAX: Final = 5
"""An event is tried once and retried this often. If the last retry fails, it becomes a dead letter."""
FIRST_DELAY_SECONDS: Final = 30
"""The delay before retry n is this x 2^(n-1): 30, 60, 120, 240, 480 s."""
JITTER_MAX_SECONDS: Final = 30
"""Added to every delay, uniformly from 0, so that events that failed together do not come back together."""


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """What follows a failed attempt.

    ``retry_at`` (aware UTC) is the authority on the next attempt; ``None`` makes the event a dead letter.
    ``delay_seconds`` is for the message that announces it (SQS DelaySeconds): whole seconds, rounded up so that it
    never comes early.
    """

    retry_at: datetime | None
    delay_seconds: int | None

    @property
    def is_dead_letter(self) -> bool:
        return self.retry_at is None


_DEAD_LETTER: Final = RetryDecision(retry_at=None, delay_seconds=None)


def decide(attempts: int, now: datetime, random: Callable[[], float], *, permanent: bool = False) -> RetryDecision:
    """Decide what follows a failed attempt.

    ``attempts`` counts the attempts made, the failed one included (it is counted when the event is claimed). ``random``
    draws from [0, 1). ``permanent`` marks an error that no retry cures (a malformed payload, an unknown payment) and
    skips the retries. Raises ValueError if no attempt was made.
    """
    if attempts < 1:
        raise ValueError("an event that was never tried has not failed")
    if permanent or attempts > RETRIES_MAX:
        return _DEAD_LETTER
    seconds = FIRST_DELAY_SECONDS * 2 ** (attempts - 1) + JITTER_MAX_SECONDS * random()
    return RetryDecision(retry_at=now + timedelta(seconds=seconds), delay_seconds=ceil(seconds))
