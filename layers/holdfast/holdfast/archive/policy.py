"""When an order leaves the active tables, how its copy is verified, and when it moves on from each tier."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

DOCUMENT_SCHEMA: Final = 1
"""The schema version of canonical documents written now. Documents of every earlier version stay readable."""
BATCH_MAX_ORDERS: Final = 1_000
ALERT_ABOVE_FRACTION: Final = 0.01
"""If more than this fraction of the orders checked in a batch have discrepancies, people are alerted at once."""


class Strategy(StrEnum):
    """Which orders of a batch are verified before it may be purged."""

    FULL = "full"
    SAMPLED = "sampled"
    HIGH_VALUE_ONLY = "high_value_only"


class BatchStatus(StrEnum):
    """The state of a batch: filled, sealed, found wrong, or found right."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    VERIFIED = "verified"


class Location(StrEnum):
    """Where an order is after it left the active tables. ``restored`` means that it is back in them."""

    ARCHIVED = "archived"
    COLD_STORAGE = "cold_storage"
    RESTORED = "restored"


class Tier(StrEnum):
    """How much an order is worth checking: those of high value are checked under every strategy."""

    STANDARD = "standard"
    HIGH_VALUE = "high_value"


class Verification(StrEnum):
    """The verification state of an archived order: ``OK``, or the worst discrepancy that is open about it."""

    OK = "ok"
    MISSING = "missing"
    DUPLICATE = "duplicate"
    INCONSISTENT = "inconsistent"


class DiscrepancyKind(StrEnum):
    """What is wrong with an archived order."""

    MISSING = "missing"
    DUPLICATE = "duplicate"
    INCONSISTENT = "inconsistent"


class ColdFileState(StrEnum):
    """The state of a cold storage file: being written, proven by reading it back, or no longer what it was."""

    WRITING = "writing"
    VERIFIED = "verified"
    BROKEN = "broken"


class MonthRestoreState(StrEnum):
    """The state of a month's restore: under way, whole again, or stopped by a file that is not what it was."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class ReconciliationType(StrEnum):
    """The reason for a look at the archive."""

    POST_ARCHIVE = "post_archive"
    SPOT_CHECK = "spot_check"
    FULL_SCAN = "full_scan"
    CHAIN = "chain"
    LOCATION_REPAIR = "location_repair"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class ArchivePolicy:
    """An organization's archive settings. Each field is the setting of the same name, prefixed with ``archive_``."""

    after_months: int = 24
    settled_days: int = 90
    grace_days: int = 7
    cold_after_months: int = 60
    high_value_minor: int = 100_000
    strategy: Strategy = Strategy.FULL

    def placed_before(self, now: datetime) -> datetime:
        """Return the instant before which an order must have been placed to be old enough."""
        return months_before(now, self.after_months)

    def settled_before(self, now: datetime) -> datetime:
        """Return the instant before which an order's last status must have begun for it to be settled."""
        return now - timedelta(days=self.settled_days)

    def verified_before(self, now: datetime) -> datetime:
        """Return the instant before which a batch must have been verified for its grace period to be over."""
        return now - timedelta(days=self.grace_days)

    def cold_before(self, now: datetime) -> datetime:
        """Return the instant before which a month must have ended to go to cold storage."""
        return months_before(now, self.cold_after_months)


def policy_from(settings: Mapping[str, Any]) -> ArchivePolicy:
    """Return the policy from an organization's settings, with the defaults for missing ones.

    Raises ValueError for a setting that makes no sense.
    """
    said = {name: settings[f"archive_{name}"] for name in ArchivePolicy.__slots__ if f"archive_{name}" in settings}
    strategy = Strategy(said.pop("strategy", Strategy.FULL))
    policy = ArchivePolicy(**{name: int(value) for name, value in said.items()}, strategy=strategy)
    if min(policy.after_months, policy.settled_days, policy.grace_days, policy.cold_after_months) < 0:
        raise ValueError("an archive setting is negative")
    return policy


def months_before(instant: datetime, months: int) -> datetime:
    """Return the same day and time this many months earlier, or the last day of that month if it has no such day."""
    count = instant.year * 12 + instant.month - 1 - months
    year, month = divmod(count, 12)
    for day in (instant.day, 30, 29, 28):
        try:
            return instant.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    raise AssertionError("unreachable: every month has 28 days")


def month_of(instant: datetime) -> date:
    """Return the first day of an instant's month, in UTC."""
    return instant.astimezone(UTC).date().replace(day=1)


def month_before(month: date) -> date:
    """Return the first day of the previous month. ``month`` is the first day of its own."""
    return (month - timedelta(days=1)).replace(day=1)
