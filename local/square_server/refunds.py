"""Refunds: pending at first, then completed, rejected or failed (https://developer.squareup.com/docs/refunds-api)."""

from typing import Final

from local.gateway_server.model import Json, random_text
from local.square_server.ledger import Ledger
from local.square_server.model import Refund, SquareError, rfc3339
from local.square_server.payments import amount_of, refuse_unknown, text

CREATE_FIELDS: Final = frozenset(
    (
        "idempotency_key", "amount_money", "app_fee_money", "payment_id", "location_id", "customer_id", "reason",
        "payment_version_token", "team_member_id",
    )
)  # fmt: skip


def create(ledger: Ledger, account: str, body: Json) -> Json:
    """``POST /v2/refunds``. Raises ``SquareError``."""
    refuse_unknown(body, CREATE_FIELDS)
    payment = ledger.payment(account, text(body, "payment_id", 1, 192))
    amount = amount_of(body, "amount_money", payment.currency)
    reason = text(body, "reason", 0, 192) if "reason" in body else None
    if payment.status != "COMPLETED":
        raise _refund_error("REFUND_ERROR_PAYMENT_NEEDS_COMPLETION", "Payment must be completed to be refunded.")
    if amount > payment.amount - payment.refunded:
        raise _refund_error("REFUND_AMOUNT_INVALID", "The requested refund amount exceeds the amount available.")
    refund = Refund(
        id=f"{payment.id}_{random_text(43)}",
        account=account,
        payment=payment.id,
        amount=amount,
        currency=payment.currency,
        created_at=rfc3339(),
        updated_at=rfc3339(),
        reason=reason,
    )
    ledger.refunds[refund.id] = refund
    payment.refunds.append(refund.id)
    payment.refunded += amount
    ledger.tell_refund("refund.created", refund)
    ledger.tell_payment("payment.updated", payment)
    return {"refund": ledger.render_refund(refund)}


def succeed(ledger: Ledger, refund: Refund) -> None:
    """Let a pending refund arrive."""
    if refund.status == "PENDING":
        refund.status = "COMPLETED"
        ledger.tell_refund("refund.updated", refund)


def fail(ledger: Ledger, refund: Refund, status: str = "FAILED") -> None:
    """Let a refund come back, even one that was completed: the money is on the payment again."""
    if refund.status not in {"PENDING", "COMPLETED"}:
        return
    refund.status = status
    payment = ledger.payments[refund.payment]
    payment.refunded -= refund.amount
    ledger.tell_refund("refund.updated", refund)
    ledger.tell_payment("payment.updated", payment)


def _refund_error(code: str, detail: str) -> SquareError:
    return SquareError(code, detail, category="REFUND_ERROR")
