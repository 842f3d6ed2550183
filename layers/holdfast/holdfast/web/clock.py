"""The one clock of the edge. Flows and domains are handed instants; only handlers read the time."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """This instant, aware, in UTC."""
    return datetime.now(UTC)
