"""How the server was commanded to treat calls: throttling, lost answers, refusals, each for some calls or for all."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

MANNERS: Final = (
    "well",
    "slow",
    "throttling",
    "over_quota",
    "down",
    "timeout_before",
    "timeout_after",
    "rejecting",
    "paused",
    "unverified",
    "lapsed",
    "garbled",
)


@dataclass(frozen=True, slots=True)
class Behavior:
    """One command. With `recipient` it applies only to calls about that address."""

    manner: str
    delay_seconds: float = 0.0
    recipient: str | None = None


class Behaviors:
    """The commands in force.

    The first one that matches a call is used, and is removed after it was used `times` times.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._commands: list[tuple[Behavior, int | None]] = []

    def command(self, given: dict[str, Any]) -> None:
        """Put `{"manner": ..., "times": 1, "delay_seconds": 0, "recipient": null}` into force.

        Without `times` it lasts. Raises ValueError.
        """
        if given.get("manner") not in MANNERS:
            raise ValueError(f"the manners are {', '.join(MANNERS)}")
        behavior = Behavior(given["manner"], float(given.get("delay_seconds", 0)), given.get("recipient"))
        times = given.get("times")
        with self._lock:
            self._commands.append((behavior, None if times is None else int(times)))

    def clear(self) -> None:
        """Treat every call normally again."""
        with self._lock:
            self._commands.clear()

    def next_for(self, recipients: list[str]) -> Behavior:
        """Return how to treat a call."""
        with self._lock:
            for place, (behavior, times) in enumerate(self._commands):
                if behavior.recipient is None or behavior.recipient in recipients:
                    if times is not None:
                        self._commands[place : place + 1] = [(behavior, times - 1)] if times > 1 else []
                    return behavior
        return Behavior("well")
