"""One refund at its gateway: requested under a key derived from its id, then polled until it is decided."""

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.checkout.charge_payment import GATEWAY_DEADLINE_SECONDS
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment, LockedRefund
from holdfast.gateways.answers import event_from_refund_snapshot
from holdfast.gateways.port import Gateway, GatewayEvent, RefundSnapshot
from holdfast.gateways.registry import GATEWAYS
from holdfast.values.errors import Rejected
from holdfast.values.ids import uuid7_time
from holdfast.values.money import Money


class RefundTooOld(Rejected):
    """Nobody knows what became of the refund, and asking again could refund twice: a person must look there."""

    code: ClassVar[str] = "refund_too_old"


def ask_for_refund(
    payment: LockedPayment, refund: LockedRefund, clock: Callable[[], datetime], gateway: Gateway
) -> GatewayEvent:
    """Request the refund.

    It is always the same request under the same key, so asking twice refunds once as long as the gateway remembers the
    key (``key_may_be_forgotten``).
    """
    snapshot = gateway.refund(
        transaction_id(payment),
        Money(refund.amount, payment.currency),
        idempotency_key=f"refund-{refund.id}",
        refund_id=refund.id,
        gateway_capture_id=refund.gateway_capture_id,
        reason=refund.reason,
        deadline_seconds=GATEWAY_DEADLINE_SECONDS,
    )
    return _event(snapshot, payment, refund.id, clock())


def key_may_be_forgotten(payment: LockedPayment, refund: LockedRefund, now: datetime) -> bool:
    """Return whether repeating the request for this refund could refund a second time."""
    age_seconds = (now - uuid7_time(refund.id)).total_seconds()
    return age_seconds > GATEWAYS[payment.gateway].refund_repeatable_seconds


def has_refund_failed_since(
    transaction: Transaction, order: LockedOrder, payment: LockedPayment, decided_at: datetime
) -> bool:
    """Return whether a refund of the payment failed after its return was decided, or brought it about by failing.

    What a bank or a gateway refused is not asked for again by itself; but a refund that failed before somebody decided
    to return the money is another matter, and does not keep the money here.
    """
    if all(refund.status != "failed" for refund in order.refunds if refund.payment_id == payment.id):
        return False
    failed: bool = transaction.value(
        """
        SELECT EXISTS (SELECT 1 FROM payments.refunds r
                        WHERE r.organization_id = :organization_id AND r.order_id = :order_id
                          AND r.payment_id = :payment_id AND r.status = 'failed' AND r.completed_at >= :decided_at)
        """,
        organization_id=transaction.tenant,
        order_id=order.id,
        payment_id=payment.id,
        decided_at=decided_at,
    )
    return failed


def look_at_refund(
    payment: LockedPayment, refund: LockedRefund, clock: Callable[[], datetime], gateway: Gateway
) -> GatewayEvent:
    """Fetch the present state of a refund that the gateway has accepted."""
    snapshot = gateway.fetch_refund(str(refund.gateway_refund_id), deadline_seconds=GATEWAY_DEADLINE_SECONDS)
    return _event(snapshot, payment, refund.id, clock())


def transaction_id(payment: LockedPayment) -> str:
    """Return the id of the gateway's transaction in which the money was taken."""
    if payment.gateway_transaction_id is None:
        raise RuntimeError("money was captured in a transaction that is not known")
    return payment.gateway_transaction_id


def _event(snapshot: RefundSnapshot, payment: LockedPayment, refund_id: UUID, now: datetime) -> GatewayEvent:
    return event_from_refund_snapshot(
        snapshot, transaction_id=transaction_id(payment), payment_id=payment.id, refund_id=refund_id, now=now
    )
