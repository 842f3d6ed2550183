"""The one clock of the edge. Only handlers read the time; flows and domains receive instants as arguments."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the current time as an aware datetime in UTC."""
    return datetime.now(UTC)
