"""The effects of a dispute on its order: the order is flagged while one is open, and a person is told in time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from holdfast.flows.operations.process_names import Call, Process
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment
from holdfast.payments.disputes import DisputeFact
from holdfast.payments.state import PaymentFacts
from holdfast.values.payment_events import DisputeOutcome


@dataclass(frozen=True, slots=True)
class DisputeEffects:
    """The part of a settlement that follows from disputes."""

    has_open_dispute: bool
    row: Mapping[str, Any] | None = None
    topics: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    failures: tuple[Call, ...] = ()
    resolved: tuple[tuple[Process, str], ...] = ()


def dispute_effects(
    order: LockedOrder, payment: LockedPayment, facts: PaymentFacts, gateway_dispute_id: str | None, new_id: UUID
) -> DisputeEffects:
    """Return what follows from the disputes as they are known now. Each opening and each closing is announced once."""
    has_open = facts.is_disputed or any(o.facts.is_disputed for o in order.payments if o.id != payment.id)
    known = next((d for d in payment.facts.disputes if d.gateway_dispute_id == gateway_dispute_id), None)
    dispute = next((d for d in facts.disputes if d.gateway_dispute_id == gateway_dispute_id), None)
    if dispute is None:
        return DisputeEffects(has_open)
    row = _row(payment, dispute, new_id)
    if known is not None and known.is_open == dispute.is_open:
        return DisputeEffects(has_open, row)
    about = {"dispute_id": dispute.gateway_dispute_id, "dispute_outcome": dispute.outcome}
    payload = about | {"payment_id": str(payment.id), "amount": dispute.latest.amount_minor}
    sum_text = f"{dispute.latest.amount_minor} {payment.currency} (minor units)"
    if dispute.is_open:
        until = f"until {dispute.due_at.isoformat()}" if dispute.due_at else "soon: the gateway names no date"
        detail = f"order {order.order_number} is disputed over {sum_text}; answer at {payment.gateway} {until}"
        return DisputeEffects(
            has_open, row, ("order.dispute_opened",), about, ((Process.DISPUTE_OPENED, detail, payload),)
        )
    note = f"dispute {dispute.gateway_dispute_id} ended: {dispute.outcome or 'outcome not told'}"
    lost = f"a dispute over {sum_text} of order {order.order_number} was lost; what is not shipped should not be"
    return DisputeEffects(
        has_open,
        row,
        ("order.dispute_closed",),
        about,
        ((Process.DISPUTE_LOST, lost, payload),) if dispute.outcome is DisputeOutcome.LOST else (),
        () if has_open else ((Process.DISPUTE_OPENED, note),),
    )


def _row(payment: LockedPayment, dispute: DisputeFact, new_id: UUID) -> Mapping[str, Any]:
    return {
        "id": str(new_id),
        "gateway_dispute_id": dispute.gateway_dispute_id,
        "reason": dispute.reason and dispute.reason[1],
        "amount": dispute.latest.amount_minor,
        "lost_amount": dispute.lost_minor,
        "currency": payment.currency,
        "status": dispute.status,
        "due_at": dispute.due_at and dispute.due_at.isoformat(),
        "outcome": dispute.outcome,
        "closed_at": None if dispute.is_open else dispute.latest.occurred_at.isoformat(),
    }
