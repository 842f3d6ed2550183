"""Reading single fields out of what a vendor says. What cannot be read raises one of ``UNREADABLE``."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

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
"""What reading a document that is not what it should be may raise."""


def text(value: Any) -> str:
    """A string that is not empty. Raises ``TypeError``."""
    if not isinstance(value, str) or not value:
        raise TypeError("text expected")
    return value


def uuid_or_none(value: Any) -> UUID | None:
    """An id of ours; None if it is not there or not ours."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def utc_instant(value: Any) -> datetime:
    """An ISO 8601 or RFC 3339 instant, in UTC. Raises ``ValueError`` for one without an offset."""
    at = datetime.fromisoformat(text(value))
    if at.tzinfo is None:
        raise ValueError("an instant without an offset")
    return at.astimezone(UTC)


def last_day_of(year: object, month: object) -> date | None:
    """The last day on which a card is good that says so by month and year; None for what is no month of any year."""
    try:
        first = date(int(str(year)), int(str(month)), 1)
        return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    except (ValueError, OverflowError):
        return None
