"""The order's lifecycle: which status may follow which. The table ``status_transitions`` holds the same rows."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from holdfast.orders.model import FulfillmentStatus
from holdfast.values.errors import TransitionRefused


class OrderStatus(StrEnum):
    """Where an order is. The first three belong to marketplace orders alone; a cart is not an order."""

    PENDING_ACCEPTANCE = "pending_acceptance"
    ACCEPTANCE_FAILED = "acceptance_failed"
    ACCEPTED = "accepted"
    PENDING_PAYMENT = "pending_payment"
    PAYMENT_PROCESSING = "payment_processing"
    PAYMENT_FAILED = "payment_failed"
    PAYMENT_CONFIRMED = "payment_confirmed"
    ADDRESS_REVIEW = "address_review"
    CONFIRMED = "confirmed"
    PROCESSING = "processing"
    PARTIALLY_SHIPPED = "partially_shipped"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    PARTIALLY_REFUNDED = "partially_refunded"


_S = OrderStatus

TRANSITIONS: Final[Mapping[OrderStatus, frozenset[OrderStatus]]] = {
    _S.PENDING_ACCEPTANCE: frozenset({_S.ACCEPTED, _S.ACCEPTANCE_FAILED, _S.CANCELLED}),
    _S.ACCEPTANCE_FAILED: frozenset({_S.PENDING_ACCEPTANCE, _S.CANCELLED}),
    _S.ACCEPTED: frozenset({_S.CONFIRMED, _S.CANCELLED}),
    _S.PENDING_PAYMENT: frozenset({_S.PAYMENT_PROCESSING, _S.PAYMENT_FAILED, _S.CANCELLED}),
    _S.PAYMENT_PROCESSING: frozenset({_S.PAYMENT_CONFIRMED, _S.PAYMENT_FAILED, _S.CANCELLED}),
    _S.PAYMENT_FAILED: frozenset({_S.PENDING_PAYMENT, _S.CANCELLED}),
    _S.PAYMENT_CONFIRMED: frozenset({_S.CONFIRMED, _S.ADDRESS_REVIEW, _S.CANCELLED}),
    _S.ADDRESS_REVIEW: frozenset({_S.CONFIRMED, _S.CANCELLED}),
    _S.CONFIRMED: frozenset({_S.PROCESSING, _S.ADDRESS_REVIEW, _S.CANCELLED, _S.REFUNDED}),
    _S.PROCESSING: frozenset({_S.PARTIALLY_SHIPPED, _S.SHIPPED, _S.CANCELLED, _S.REFUNDED}),
    _S.PARTIALLY_SHIPPED: frozenset({_S.SHIPPED, _S.REFUNDED}),
    _S.SHIPPED: frozenset({_S.DELIVERED, _S.REFUNDED}),
    _S.DELIVERED: frozenset({_S.PARTIALLY_REFUNDED, _S.REFUNDED}),
    _S.PARTIALLY_REFUNDED: frozenset({_S.REFUNDED}),
    _S.CANCELLED: frozenset(),
    _S.REFUNDED: frozenset(),
}
"""The statuses that may follow each status."""

INITIAL: Final = frozenset({_S.PENDING_PAYMENT, _S.PENDING_ACCEPTANCE})
"""The first status of an order: ``pending_acceptance`` when a marketplace placed it, else ``pending_payment``."""

ADDRESS_CHANGES: Final = frozenset(
    {
        _S.PENDING_PAYMENT,
        _S.PAYMENT_PROCESSING,
        _S.PAYMENT_FAILED,
        _S.PAYMENT_CONFIRMED,
        _S.CONFIRMED,
        _S.PROCESSING,
    }
)
"""The statuses in which an order may be given another shipping address on request.

In ``processing`` only while nothing is picked. An address under review is corrected by its review.
"""

TERMINAL: Final = frozenset({_S.CANCELLED, _S.REFUNDED})
"""Final for new money: what arrives now is voided or refunded."""

# Up to the confirmation an order takes these steps and no others; money may arrive at any of them.
_WALK_TO_CONFIRMED: Final = (
    _S.PAYMENT_FAILED,
    _S.PENDING_PAYMENT,
    _S.PAYMENT_PROCESSING,
    _S.PAYMENT_CONFIRMED,
    _S.CONFIRMED,
)
_NOT_CONFIRMED_BY_MONEY: Final = TERMINAL | {_S.PENDING_ACCEPTANCE, _S.ACCEPTANCE_FAILED, _S.ACCEPTED}


def allowed_from(current: OrderStatus) -> list[str]:
    """Return the statuses that may follow ``current``, sorted by name; a refusal tells them to the caller."""
    return sorted(status.value for status in TRANSITIONS[current])


def check_transition(current: OrderStatus, to: OrderStatus) -> None:
    """Raise TransitionRefused, with the current status and the allowed ones, unless ``to`` may follow ``current``."""
    if to not in TRANSITIONS[current]:
        raise _refusal(current, to)


def path_to_confirmed(current: OrderStatus) -> tuple[OrderStatus, ...]:
    """Return the statuses an order takes in turn when its money has come, ``current`` excluded.

    They are written in one transaction. A success after ``payment_failed`` walks the whole way. The path is empty if
    money has confirmed the order before (from ``address_review`` on: a review is ended by the address, not by money).
    An order whose address needs a review takes ``address_review`` in place of the last step. Raises TransitionRefused
    where money confirms nothing: for an order that is cancelled or refunded, or a marketplace order, whose channel
    holds the money.
    """
    if current in _NOT_CONFIRMED_BY_MONEY:
        raise _refusal(current, OrderStatus.CONFIRMED)
    if current not in _WALK_TO_CONFIRMED:
        return ()
    return _WALK_TO_CONFIRMED[_WALK_TO_CONFIRMED.index(current) + 1 :]


# How an order's status follows its goods.
_WALK_TO_DELIVERED: Final = (_S.CONFIRMED, _S.PROCESSING, _S.PARTIALLY_SHIPPED, _S.SHIPPED, _S.DELIVERED)
_WHERE_GOODS_ARE: Final[Mapping[FulfillmentStatus, OrderStatus]] = {
    FulfillmentStatus.IN_PREPARATION: _S.PROCESSING,
    FulfillmentStatus.PARTIALLY_SHIPPED: _S.PARTIALLY_SHIPPED,
    FulfillmentStatus.SHIPPED: _S.SHIPPED,
    FulfillmentStatus.DELIVERED: _S.DELIVERED,
    FulfillmentStatus.CANCELLED: _S.DELIVERED,
}
SHIPS: Final = frozenset({*_WALK_TO_DELIVERED, _S.PARTIALLY_REFUNDED})
"""The statuses of an order whose goods may be picked and shipped: from its confirmation on, until it is over."""


def path_following(current: OrderStatus, goods: FulfillmentStatus) -> tuple[OrderStatus, ...]:
    """Return the statuses that bring the order to where its goods are, ``current`` excluded; empty if it is there.

    An order never goes back: goods that failed to arrive and are sent again change the fulfillment status alone. If all
    goods leave at once, ``partially_shipped`` is skipped. An order of which nothing more is expected (its goods were
    refunded before they left, or lost and refunded) becomes ``delivered`` as well: it has no other end while the shop
    keeps money of it.
    """
    there = _WHERE_GOODS_ARE.get(goods)
    if there is None or current not in _WALK_TO_DELIVERED:
        return ()
    walk = _WALK_TO_DELIVERED[_WALK_TO_DELIVERED.index(current) + 1 : _WALK_TO_DELIVERED.index(there) + 1]
    return tuple(step for step in walk if step is not _S.PARTIALLY_SHIPPED or there is _S.PARTIALLY_SHIPPED)


def _refusal(current: OrderStatus, to: OrderStatus) -> TransitionRefused:
    return TransitionRefused(
        f"an order that is {current} cannot become {to}", current=current.value, allowed=allowed_from(current)
    )
