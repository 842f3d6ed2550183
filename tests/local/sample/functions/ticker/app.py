"""Fails at every tick, so that a test can follow where the failure goes."""

from typing import Any


def handler(event: dict[str, Any], context: Any) -> None:
    """Raise RuntimeError with the schedule's name."""
    raise RuntimeError(event["resources"][0])
