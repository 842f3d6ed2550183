"""Captures, cancellations and refunds: accepted at once, decided later, reported by webhook alone.

Source: https://docs.adyen.com/online-payments/capture, /cancel, /refund, /reversal.
"""

from typing import Final

from local.adyen_server.ledger import Ledger
from local.adyen_server.model import AdyenError, Modification, Payment, new_reference
from local.adyen_server.payments import amount_of, refuse_unknown, text
from local.gateway_server.model import Json

FIELDS: Final = {
    "captures": frozenset(("amount", "merchantAccount", "reference", "lineItems", "platformChargebackLogic", "splits")),
    "cancels": frozenset(("merchantAccount", "reference")),
    "refunds": frozenset(("amount", "lineItems", "merchantAccount", "merchantRefundReason", "reference", "store")),
    "reversals": frozenset(("merchantAccount", "reference")),
}
STANDALONE_FIELDS: Final = frozenset(("merchantAccount", "paymentReference", "reference"))
_KINDS: Final = {"captures": "capture", "cancels": "cancel", "refunds": "refund", "reversals": "reversal"}
_CODES: Final = {
    "capture": "CAPTURE",
    "cancel": "CANCELLATION",
    "technical_cancel": "TECHNICAL_CANCEL",
    "refund": "REFUND",
    "reversal": "CANCEL_OR_REFUND",
}
_REFUND_REASONS: Final = frozenset(("FRAUD", "CUSTOMER REQUEST", "RETURN", "DUPLICATE", "OTHER"))


def begin(ledger: Ledger, account: str, psp_reference: str, verb: str, body: Json) -> Json:
    """``POST /payments/{pspReference}/{verb}``. Raises ``AdyenError``."""
    refuse_unknown(body, FIELDS[verb])
    payment = ledger.payment(account, psp_reference)
    _check_merchant(payment, body)
    amount = payment.amount
    if verb in {"captures", "refunds"}:
        amount, currency = amount_of(body)
        if currency != payment.currency:
            raise AdyenError("138", "Currency is not that of the payment")
    reason = body.get("merchantRefundReason", "OTHER")
    if reason not in _REFUND_REASONS:
        raise AdyenError("702", f"Unknown merchantRefundReason: {reason}")
    change = _put_down(ledger, payment, _KINDS[verb], amount, body)
    answer: Json = {
        "merchantAccount": payment.merchant_account,
        "paymentPspReference": payment.id,
        "pspReference": change.id,
        "status": "received",
    }
    if change.reference:
        answer["reference"] = change.reference
    if verb in {"captures", "refunds"}:
        answer["amount"] = body["amount"]
    if "merchantRefundReason" in body:
        answer["merchantRefundReason"] = reason
    return answer


def begin_by_reference(ledger: Ledger, account: str, body: Json) -> Json:
    """``POST /cancels``: cancel by the reference under which the payment was requested."""
    refuse_unknown(body, STANDALONE_FIELDS)
    merchant_account, wanted = text(body, "merchantAccount", 80), text(body, "paymentReference", 80)
    answer = {"merchantAccount": merchant_account, "paymentReference": wanted, "status": "received"}
    for payment in reversed(ledger.payments.values()):
        if (payment.account, payment.merchant_account, payment.reference) == (account, merchant_account, wanted):
            change = _put_down(ledger, payment, "technical_cancel", payment.amount, body)
            return {**answer, "pspReference": change.id}
    return {**answer, "pspReference": new_reference()}


def decide(ledger: Ledger, change: Modification, refusal: str = "") -> None:
    """Decide a modification and report the outcome. With ``refusal``, the acquirer refuses it for that reason."""
    if change.status != "received":
        return
    payment = ledger.payments[change.payment]
    failure = refusal or {
        "capture": _capture,
        "cancel": _cancel,
        "technical_cancel": _cancel,
        "refund": _refund,
        "reversal": _reverse,
    }[change.kind](payment, change)
    change.status = "failed" if failure else "done"
    ledger.tell_modification(_CODES[change.kind], payment, change, failure)


def undo_refund(ledger: Ledger, change: Modification, code: str) -> None:
    """Undo a refund that was done (REFUND_FAILED, REFUNDED_REVERSED)."""
    if change.kind != "refund" or change.status != "done":
        return
    payment = ledger.payments[change.payment]
    payment.refunded -= change.amount
    ledger.tell_modification(code, payment, change, "Refund declined by the card scheme")
    change.status = "undone"


def fail_capture(ledger: Ledger, change: Modification, reason: str) -> None:
    """Let the scheme refuse a capture that was done. What it took is not held again."""
    if change.kind != "capture" or change.status != "done":
        return
    payment = ledger.payments[change.payment]
    payment.captured -= change.amount
    payment.lost += change.amount
    # Adyen reports it under the capture's reference and with success, because the event itself is true.
    ledger.tell_modification("CAPTURE_FAILED", payment, change, reason)
    change.status = "undone"


def _capture(payment: Payment, change: Modification) -> str:
    """Capture a part.

    The account allows several captures, so the rest stays held. Return the reason for a failure, or "".
    """
    if not payment.open or change.amount > payment.held:
        return "Insufficient balance on payment"
    payment.captured += change.amount
    payment.open = payment.held > 0
    return ""


def _cancel(payment: Payment, _change: Modification) -> str:
    if payment.result in {"RedirectShopper", "Received"}:
        payment.result = "Cancelled"
        return ""
    if not payment.open:
        return "Transaction is not in a state that can be cancelled"
    payment.open = False
    return ""


def _refund(payment: Payment, change: Modification) -> str:
    if change.amount > payment.captured - payment.refunded:
        return "Insufficient balance on payment"
    payment.refunded += change.amount
    return ""


def _reverse(payment: Payment, change: Modification) -> str:
    if not payment.captured:
        return _cancel(payment, change)
    change.amount = payment.captured - payment.refunded
    return _refund(payment, change)


def _put_down(ledger: Ledger, payment: Payment, kind: str, amount: int, body: Json) -> Modification:
    reference = text(body, "reference", 80) if "reference" in body else None
    change = Modification(new_reference(), payment.account, payment.id, kind, amount, payment.currency, reference)
    ledger.modifications[change.id] = change
    payment.modifications.append(change.id)
    ledger.changes += 1
    return change


def _check_merchant(payment: Payment, body: Json) -> None:
    if text(body, "merchantAccount", 80) != payment.merchant_account:
        raise AdyenError("901", "Invalid Merchant Account", status=403, kind="security")
