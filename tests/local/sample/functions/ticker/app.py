"""Fails at every tick, so that the failure's way can be followed."""

from typing import Any


def handler(event: dict[str, Any], context: Any) -> None:
    """Raises with the schedule's name."""
    raise RuntimeError(event["resources"][0])
