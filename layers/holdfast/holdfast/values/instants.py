"""Instants as JSON carries them."""

from datetime import datetime


def instant_from(text: str | None) -> datetime | None:
    """Return an instant from ISO 8601, or None where there is none. Raises ``ValueError`` for another text."""
    return None if text is None else datetime.fromisoformat(text)
