"""How busy a warehouse is today, and how that affects its score. "Today" is the date in the warehouse's time zone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

# (upper bound of the utilization, factor on the shipping cost); PENALTY_MAX from the last bound on.
_PENALTY_STEPS: Final = ((0.80, 1.00), (1.00, 1.05), (1.10, 1.10))
PENALTY_MAX: Final = 1.20
"""The penalty of a warehouse at 110 % of its capacity or more."""


@dataclass(frozen=True, slots=True)
class CapacityOverride:
    """What a person set for a range of dates: a ``hard_limit`` of orders a day, or a ``multiplier`` on the base."""

    multiplier: Decimal | None = None
    hard_limit: int | None = None


def effective_capacity(base: int | None, override: CapacityOverride | None) -> int | None:
    """Return how many orders a day the warehouse takes.

    That is the override's hard limit, else floor(base x multiplier), else base. None means unlimited; a multiplier
    leaves an unlimited base unlimited.
    """
    if override is not None and override.hard_limit is not None:
        return override.hard_limit
    if override is not None and override.multiplier is not None and base is not None:
        return int(base * override.multiplier)
    return base


def utilization(orders_today: int, capacity: int | None) -> float | None:
    """Return today's allocated orders as a share of the effective capacity: 1.0 is full, None is unlimited.

    A capacity of 0 is full before its first order, and every order counts as one whole capacity more. The result is
    then 1.0 + orders, which unlike infinity can be represented in JSON.
    """
    if capacity is None:
        return None
    return orders_today / capacity if capacity > 0 else 1.0 + orders_today


def capacity_penalty(utilized: float | None) -> float:
    """Return the factor on the shipping cost: x1.00 below 80 %, x1.05 below 100 %, x1.10 below 110 %, else x1.20."""
    if utilized is None:
        return 1.0
    return next((factor for bound, factor in _PENALTY_STEPS if utilized < bound), PENALTY_MAX)


def at_capacity(utilized: float | None) -> bool:
    """Whether the warehouse has taken all the orders it can today. A strict allocation leaves it out."""
    return utilized is not None and utilized >= 1.0


class AlertType(StrEnum):
    """The levels of a warehouse's utilization for the day that raise an alert."""

    WARNING = "warning"
    CRITICAL = "critical"
    OVERFLOW = "overflow"


ALERT_FROM: Final[Mapping[AlertType, float]] = {
    AlertType.WARNING: 0.80,
    AlertType.CRITICAL: 0.95,
    AlertType.OVERFLOW: 1.00,
}
"""The utilization from which each alert applies."""
PUBLISHED: Final = frozenset({AlertType.CRITICAL, AlertType.OVERFLOW})
"""The alerts that are also published on the event bus, beyond the operations team."""
ALERT_PAUSE: Final = timedelta(hours=1)
"""The shortest time between two notifications about one level of one warehouse."""


class AlertStep(StrEnum):
    """What is done with an alert."""

    RAISE = "raise"
    REOPEN = "reopen"
    REMIND = "remind"
    RESOLVE = "resolve"


def alert_step(
    type_: AlertType, utilized: float | None, notified_at: datetime | None, *, is_open: bool, now: datetime
) -> AlertStep | None:
    """Return what to do about one level of one warehouse. ``notified_at`` is the time of its last notification.

    An alert stays open while its level is reached, with a reminder every hour. An alert that comes back within the hour
    is reopened without a notification.
    """
    reached = utilized is not None and utilized >= ALERT_FROM[type_]
    if not reached:
        return AlertStep.RESOLVE if is_open else None
    told_lately = notified_at is not None and now - notified_at < ALERT_PAUSE
    if is_open:
        return None if told_lately else AlertStep.REMIND
    return AlertStep.REOPEN if told_lately else AlertStep.RAISE
