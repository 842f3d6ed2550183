"""Where orders, payments and gateways disagree about the same money: the terms, and the comparison."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from holdfast.payments.model import OPEN_STATUSES, PaymentStatus


class DifferenceKind(StrEnum):
    """What does not fit."""

    CAPTURED_WITHOUT_LIVE_ORDER = "captured_without_live_order"
    CONFIRMED_WITHOUT_MONEY = "confirmed_without_money"
    CAPTURED_DIFFERS = "captured_differs"
    REFUNDED_DIFFERS = "refunded_differs"
    STATUS_DIFFERS = "status_differs"
    GATEWAY_UNKNOWN = "gateway_unknown"
    UNMATCHED_EVENT = "unmatched_event"
    AUTHORIZATION_EXPIRING = "authorization_expiring"
    UNDECIDED_TOO_LONG = "undecided_too_long"
    REFUND_UNDECIDED = "refund_undecided"


class DifferenceStatus(StrEnum):
    """Whether it is still there."""

    OPEN = "open"
    RESOLVED = "resolved"


FROM_GATEWAY: Final = frozenset(
    {
        DifferenceKind.CAPTURED_DIFFERS,
        DifferenceKind.REFUNDED_DIFFERS,
        DifferenceKind.STATUS_DIFFERS,
        DifferenceKind.GATEWAY_UNKNOWN,
    }
)
"""Found by asking the gateway; all others are found in the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """A payment as it is known here. Amounts are in minor units."""

    status: PaymentStatus
    amount: int
    captured: int
    held: int
    """Held and not captured."""
    refunded: int
    refunding: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The same payment as the gateway has it now."""

    captured: int
    held: int
    refunded: int
    is_over: bool
    """Declined or given up: no money is held or will come."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One figure that differs."""

    kind: DifferenceKind
    ours: int
    gateways: int
    at_risk: int


def is_clear(ours: Books, theirs: Truth) -> bool:
    """Return whether the gateway's statement can simply be accepted.

    It can if the gateway took more than was reported, or gave up what is still expected: all of it, or what captures
    left. If it took less or gave something back, only its events tell how that came about.
    """
    if theirs.captured > ours.captured:
        return True
    if 0 < theirs.captured == ours.captured:
        return theirs.held == 0 < ours.held
    return theirs.is_over and ours.captured == 0 and _is_waited_for(ours)


def mismatches(ours: Books, theirs: Truth) -> Iterator[Mismatch]:
    """Yield every figure that differs. The gateway may or may not count a refund that is under way."""
    if theirs.captured != ours.captured:
        gap = abs(theirs.captured - ours.captured)
        yield Mismatch(DifferenceKind.CAPTURED_DIFFERS, ours.captured, theirs.captured, gap)
    if not ours.refunded <= theirs.refunded <= ours.refunded + ours.refunding:
        gap = abs(theirs.refunded - ours.refunded)
        yield Mismatch(DifferenceKind.REFUNDED_DIFFERS, ours.refunded, theirs.refunded, gap)
    if theirs.is_over and theirs.captured == ours.captured == 0 and _is_waited_for(ours):
        yield Mismatch(DifferenceKind.STATUS_DIFFERS, ours.amount, 0, ours.amount)


def _is_waited_for(ours: Books) -> bool:
    return ours.status in OPEN_STATUSES or ours.status is PaymentStatus.AUTHORIZED
