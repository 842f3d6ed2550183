"""Wake the outbox relay right after a commit, without paying for a message for every commit.

The bell is a delayed message. It covers every commit until it is delivered, so a process rings at most once a second.
A lost bell costs nothing but time, because the relay also runs every minute.
"""

import logging
import time
from threading import Lock
from typing import Final

from holdfast.runtime import Runtime

BELL_DELAY_SECONDS: Final = 1

_logger = logging.getLogger(__name__)
_lock = Lock()
_sounds_at = 0.0


def ring_outbox_bell(runtime: Runtime) -> None:
    """Ring unless a bell that this process rang is still to sound. Never raises, because the commit has happened."""
    global _sounds_at  # noqa: PLW0603 -- one bell a process is the point
    if not runtime.settings.outbox_bell_queue_url:
        return
    now = time.monotonic()
    with _lock:
        if now < _sounds_at:
            return
        _sounds_at = now + BELL_DELAY_SECONDS
    try:
        runtime.outbox_bell.send({"bell": "outbox"}, delay_seconds=BELL_DELAY_SECONDS)
    except Exception:
        _logger.warning("the outbox bell could not be rung; the minute schedule will relay", exc_info=True)
