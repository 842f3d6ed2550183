"""Readers for single fields of a vendor's documents. A field that cannot be read raises one of ``UNREADABLE``."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from holdfast.values.errors import NotRepresentable

UNREADABLE: Final = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    OSError,
    OverflowError,
    AttributeError,
    RecursionError,
    NotRepresentable,
)
"""The errors that reading a malformed document may raise."""


def text(value: Any) -> str:
    """Return ``value`` if it is a non-empty string. Raises ``TypeError`` otherwise."""
    if not isinstance(value, str) or not value:
        raise TypeError("text expected")
    return value


def utc_instant(value: Any) -> datetime:
    """Return an ISO 8601 or RFC 3339 instant in UTC. Raises ``ValueError`` for one without an offset."""
    at = datetime.fromisoformat(text(value))
    if at.tzinfo is None:
        raise ValueError("an instant without an offset")
    return at.astimezone(UTC)


def last_day_of(year: object, month: object) -> date | None:
    """Return the last day of a card's expiry month, on which it is still valid; None if there is no such month."""
    try:
        first = date(int(str(year)), int(str(month)), 1)
        return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    except (ValueError, OverflowError):
        return None
