"""A settlement, and the document that ``checkout.settle`` takes: one document, so that one statement writes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.addresses.review_of_step import ReviewEnding, review_of_step
from holdfast.flows.money.dispute_effects import DisputeEffects
from holdfast.flows.operations.process_names import Call
from holdfast.flows.orders.locked_order import LockedOrder
from holdfast.orders.lifecycle import OrderStatus
from holdfast.values.ids import uuid7


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is to be written about one order, in one statement."""

    order_id: UUID
    path: tuple[OrderStatus, ...] = ()
    is_reversal: bool = False
    """The path is the one step back after a refund failed later."""
    notes: str | None = None
    goods_notes: str | None = None
    """The notes of holds and stock movements, where ``notes`` are a person's own words; these are kept in the clear."""
    payment: Mapping[str, Any] | None = None
    refunds: tuple[Mapping[str, Any], ...] = ()
    refund_items: tuple[Mapping[str, Any], ...] = ()
    event_id: UUID | None = None
    payment_status: str | None = None
    refunded: int | None = None
    resolve_holds: str | None = None
    return_sold: bool = False
    """The order is over: what was sold of it and never left goes back to stock."""
    extend_holds_until: datetime | None = None
    return_money_of: tuple[tuple[UUID, str], ...] = ()
    operations: tuple[Mapping[str, Any], ...] = ()
    """Other operations to be carried out at a gateway, as rows."""
    failures: tuple[Call, ...] = ()
    topics: tuple[str, ...] = ()
    disputed: DisputeEffects | None = None
    review_ending: ReviewEnding | None = None
    """How the address review ended, if the path leads out of one and does not tell by itself."""
    needs_stock: bool = False
    """The money is there and the holds are gone: reserve again, or give the money back."""
    extra: Mapping[str, Any] = field(default_factory=dict)


def settlement_document(transaction: Transaction, order: LockedOrder, settlement: Settlement) -> dict[str, Any]:
    """Return the document to be written, with what the step means for the review of the order's address."""
    now = transaction.now
    review, review_failures = review_of_step(
        transaction, order, settlement.path, settlement.notes, settlement.review_ending
    )
    return {
        "now": now.isoformat(),
        "actor": transaction.actor,
        "order_id": str(settlement.order_id),
        "event_id": None if settlement.event_id is None else str(settlement.event_id),
        "payment": settlement.payment,
        "refunds": list(settlement.refunds),
        "refund_items": list(settlement.refund_items),
        "order": {
            "from": order.status,
            "sequence": order.sequence,
            "path": list(settlement.path),
            "is_reversal": settlement.is_reversal,
            "notes": settlement.notes,
            "goods_notes": settlement.goods_notes,
            "payment_status": settlement.payment_status,
            "refunded": settlement.refunded,
            "has_open_dispute": settlement.disputed and settlement.disputed.has_open_dispute,
        },
        "dispute": settlement.disputed and settlement.disputed.row,
        "review": review,
        "resolve_holds": settlement.resolve_holds,
        "return_sold": settlement.return_sold,
        "extend_holds_until": settlement.extend_holds_until and settlement.extend_holds_until.isoformat(),
        "outbox": _messages(transaction, order, settlement),
        "operations": _operations(transaction, settlement),
        "failures": [
            {"id": str(uuid7(now)), "process_name": name, "details": details, "payload": payload}
            for name, details, payload in (*settlement.failures, *review_failures)
        ],
        "resolved": [
            {"process_name": name, "note": note}
            for name, note in (settlement.disputed.resolved if settlement.disputed else ())
        ],
    }


def _messages(transaction: Transaction, order: LockedOrder, settlement: Settlement) -> list[dict[str, Any]]:
    """Return the outbox messages.

    Each has a sequence number of its own: that of the step it announces, so that the last message belongs to the last
    step.
    """
    before_first = order.sequence + len(settlement.path) - len(settlement.topics)
    status = settlement.path[-1] if settlement.path else order.status
    return [
        {
            "id": str(uuid7(transaction.now)),
            "topic": topic,
            "sequence": before_first + number,
            "payload": {"order_id": str(order.id), "order_number": order.order_number, "status": status}
            | dict(settlement.extra),
        }
        for number, topic in enumerate(settlement.topics, start=1)
    ]


def _operations(transaction: Transaction, settlement: Settlement) -> list[Mapping[str, Any]]:
    """Return the operations: the returns of money first, then whatever else is to be carried out at a gateway."""
    owed: list[Mapping[str, Any]] = [
        {
            "id": str(uuid7(transaction.now)),
            "payment_id": str(payment_id),
            "operation": "return_money",
            "subject_id": None,
            "amount": None,
            "reason": reason,
        }
        for payment_id, reason in settlement.return_money_of
    ]
    return [*owed, *settlement.operations]
