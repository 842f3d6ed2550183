"""When an order leaves the active tables, how its copy is verified, and when each tier lets go of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

DOCUMENT_SCHEMA: Final = 1
"""The version of the canonical document that is written now; documents of every earlier one stay readable."""
BATCH_MAX_ORDERS: Final = 1_000
ALERT_ABOVE_FRACTION: Final = 0.01
"""More discrepancies than this in a batch and people are called at once."""


class Strategy(StrEnum):
    """Which orders of a batch are verified before it may be purged."""

    FULL = "full"
    SAMPLED = "sampled"
    HIGH_VALUE_ONLY = "high_value_only"


class BatchStatus(StrEnum):
    """Where a batch is: filled, sealed, found wrong, found right."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    VERIFIED = "verified"


class Location(StrEnum):
    """Where an order is, once it left the active tables; ``restored``: back in them."""

    ARCHIVED = "archived"
    COLD_STORAGE = "cold_storage"
    RESTORED = "restored"


class Tier(StrEnum):
    """What an order is worth looking at."""

    STANDARD = "standard"
    HIGH_VALUE = "high_value"


class Verification(StrEnum):
    """What the last look at an order found."""

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
    """A file of cold storage: being written, proven by reading it back, or no longer what it was."""

    WRITING = "writing"
    VERIFIED = "verified"
    BROKEN = "broken"


class MonthRestoreState(StrEnum):
    """A month that is brought back: under way, whole again, or stopped by a file that is not what it was."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class ReconciliationType(StrEnum):
    """Why somebody looked at the archive."""

    POST_ARCHIVE = "post_archive"
    SPOT_CHECK = "spot_check"
    FULL_SCAN = "full_scan"
    CHAIN = "chain"
    LOCATION_REPAIR = "location_repair"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class ArchivePolicy:
    """An organization's figures; each is a setting of the same name with ``archive_`` before it."""

    after_months: int = 24
    settled_days: int = 90
    grace_days: int = 7
    cold_after_months: int = 60
    high_value_minor: int = 100_000
    strategy: Strategy = Strategy.FULL

    def placed_before(self, now: datetime) -> datetime:
        """Orders placed before this instant are old enough."""
        return months_before(now, self.after_months)

    def settled_before(self, now: datetime) -> datetime:
        """Orders whose last status is older than this are settled."""
        return now - timedelta(days=self.settled_days)

    def verified_before(self, now: datetime) -> datetime:
        """Batches verified before this instant have had their grace."""
        return now - timedelta(days=self.grace_days)

    def cold_before(self, now: datetime) -> datetime:
        """Months that ended before this instant go to cold storage."""
        return months_before(now, self.cold_after_months)


def policy_from(settings: Mapping[str, Any]) -> ArchivePolicy:
    """The policy of an organization's settings; what they do not say is as above. Raises ValueError for nonsense."""
    said = {name: settings[f"archive_{name}"] for name in ArchivePolicy.__slots__ if f"archive_{name}" in settings}
    strategy = Strategy(said.pop("strategy", Strategy.FULL))
    policy = ArchivePolicy(**{name: int(value) for name, value in said.items()}, strategy=strategy)
    if min(policy.after_months, policy.settled_days, policy.grace_days, policy.cold_after_months) < 0:
        raise ValueError("an archive setting is negative")
    return policy


def months_before(instant: datetime, months: int) -> datetime:
    """The same day so many months earlier, or that month's last one."""
    count = instant.year * 12 + instant.month - 1 - months
    year, month = divmod(count, 12)
    for day in (instant.day, 30, 29, 28):
        try:
            return instant.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    raise AssertionError("unreachable: every month has 28 days")


def month_of(instant: datetime) -> date:
    """The first day of its month, UTC."""
    return instant.astimezone(UTC).date().replace(day=1)


def month_before(month: date) -> date:
    """The first day of the month before one that is given by its first."""
    return (month - timedelta(days=1)).replace(day=1)
