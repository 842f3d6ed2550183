"""How busy a warehouse is today, and what that does to its score. "Today" is the warehouse's own date."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

# (utilization below, factor on the shipping cost); at or above the last bound, PENALTY_MAX.
_PENALTY_STEPS: Final = ((0.80, 1.00), (1.00, 1.05), (1.10, 1.10))
PENALTY_MAX: Final = 1.20
"""The penalty of a warehouse at 110 % of its capacity or more."""


@dataclass(frozen=True, slots=True)
class CapacityOverride:
    """What a person set for a range of dates: ``hard_limit`` orders a day, or a ``multiplier`` on the base."""

    multiplier: Decimal | None = None
    hard_limit: int | None = None


def effective_capacity(base: int | None, override: CapacityOverride | None) -> int | None:
    """Orders a day the warehouse takes: the override's hard limit, else floor(base x multiplier), else base.

    None is unlimited; a multiplier of an unlimited base leaves it unlimited.
    """
    if override is not None and override.hard_limit is not None:
        return override.hard_limit
    if override is not None and override.multiplier is not None and base is not None:
        return int(base * override.multiplier)
    return base


def utilization(orders_today: int, capacity: int | None) -> float | None:
    """Orders allocated today as a share of the effective capacity: 1.0 is full. None for an unlimited warehouse.

    A capacity of 0 is full before its first order, and every order there is another whole capacity over:
    1.0 + orders, which stays a number that JSON can carry.
    """
    if capacity is None:
        return None
    return orders_today / capacity if capacity > 0 else 1.0 + orders_today


def capacity_penalty(utilized: float | None) -> float:
    """The factor on the shipping cost: x1.00 below 80 %, x1.05 below 100 %, x1.10 below 110 %, x1.20 above."""
    if utilized is None:
        return 1.0
    return next((factor for bound, factor in _PENALTY_STEPS if utilized < bound), PENALTY_MAX)


def at_capacity(utilized: float | None) -> bool:
    """Whether the warehouse has taken today all it can; a strict allocation leaves it out."""
    return utilized is not None and utilized >= 1.0


class AlertType(StrEnum):
    """How full a warehouse is for the day, in steps that people are told of."""

    WARNING = "warning"
    CRITICAL = "critical"
    OVERFLOW = "overflow"


ALERT_FROM: Final[Mapping[AlertType, float]] = {
    AlertType.WARNING: 0.80,
    AlertType.CRITICAL: 0.95,
    AlertType.OVERFLOW: 1.00,
}
"""The utilization at which each begins."""
PUBLISHED: Final = frozenset({AlertType.CRITICAL, AlertType.OVERFLOW})
"""What the world is told of, beside the operations team."""
ALERT_PAUSE: Final = timedelta(hours=1)
"""Nobody is told of one level of one warehouse twice in this time."""


class AlertStep(StrEnum):
    """What becomes of an alert."""

    RAISE = "raise"
    REOPEN = "reopen"
    REMIND = "remind"
    RESOLVE = "resolve"


def alert_step(
    type_: AlertType, utilized: float | None, notified_at: datetime | None, *, is_open: bool, now: datetime
) -> AlertStep | None:
    """What to do about one level of one warehouse; ``notified_at`` is when somebody was last told of it.

    An alert stays open while its level is reached, and is told again each hour; one that comes back within the hour
    is opened again without a word.
    """
    reached = utilized is not None and utilized >= ALERT_FROM[type_]
    if not reached:
        return AlertStep.RESOLVE if is_open else None
    told_lately = notified_at is not None and now - notified_at < ALERT_PAUSE
    if is_open:
        return None if told_lately else AlertStep.REMIND
    return AlertStep.REOPEN if told_lately else AlertStep.RAISE
