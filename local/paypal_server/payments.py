"""What becomes of an order's money (https://developer.paypal.com/docs/api/payments/v2/)."""

from typing import Final

from local.gateway_server.model import Json
from local.paypal_server.amounts import read_amount
from local.paypal_server.errors import invalid, unprocessable
from local.paypal_server.instruments import INSTRUMENTS, ISSUES, RefundFate
from local.paypal_server.ledger import PayPalLedger
from local.paypal_server.model import Authorization, Capture, Order, Refund, paypal_id
from local.paypal_server.objects import authorization_json, capture_json, dispute_json, refund_json, timestamp

AUTHORIZATION_SECONDS: Final = 29 * 24 * 3600
DISPUTE_WINDOW_SECONDS: Final = 10 * 24 * 3600
HONOR_SECONDS: Final = 3 * 24 * 3600
OVERAGE_PERCENT: Final = 15
OVERAGE_MAX_UNITS: Final = 7500
_TAKEN: Final = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")


def refuse_duplicate_invoice(ledger: PayPalLedger, order: Order) -> None:
    """Refuse a duplicate invoice, as an account does that blocks accidental payments. Raises ``Refusal``."""
    for other in ledger.orders.values():
        if other.id != order.id and other.account == order.account and order.invoice_id == other.invoice_id:
            took = any(ledger.captures[one].status in _TAKEN for one in other.captures)
            holds = any(ledger.authorizations[one].status == "CREATED" for one in other.authorizations)
            if order.invoice_id and (took or holds):
                raise unprocessable("DUPLICATE_INVOICE_ID", "Duplicate Invoice ID detected.")


def hold(ledger: PayPalLedger, order: Order) -> Authorization:
    """Ask the bank to hold an order's money."""
    now, refused = ledger.now(), _bank_says(order)
    authorization = Authorization(
        paypal_id(), order.account, order.id, order.amount, order.currency, now, now, now + AUTHORIZATION_SECONDS,
        "DENIED" if refused else "CREATED", order.custom_id, order.invoice_id, refused,
    )  # fmt: skip
    ledger.authorizations[authorization.id] = authorization
    order.authorizations.append(authorization.id)
    if refused is None:
        _tell_authorization(ledger, "CREATED", authorization)
    return authorization


def take(
    ledger: PayPalLedger,
    order: Order,
    authorization: Authorization | None,
    amount: int,
    *,
    final: bool,
    invoice_id: str | None = None,
) -> Capture:
    """Ask the bank for money, of an order or of what is held for it."""
    now, refused = ledger.now(), _bank_says(order)
    pends = INSTRUMENTS[order.instrument or ""].capture_pends
    status = "DECLINED" if refused else "PENDING" if pends else "COMPLETED"
    capture = Capture(
        paypal_id(), order.account, order.id, authorization.id if authorization else None, amount, order.currency,
        now, now, status, final, order.custom_id, invoice_id or order.invoice_id, refused,
    )  # fmt: skip
    ledger.captures[capture.id] = capture
    order.captures.append(capture.id)
    _tell_capture(ledger, status, capture)
    return capture


def settle(ledger: PayPalLedger, capture: Capture, *, succeed: bool) -> None:
    """Decide a capture that was pending. Raises ``Refusal``."""
    if capture.status != "PENDING":
        raise unprocessable("CAPTURE_NOT_PENDING", f"The capture is {capture.status}.")
    capture.status, capture.updated = "COMPLETED" if succeed else "DECLINED", ledger.now()
    _tell_capture(ledger, "COMPLETED" if succeed else "DENIED", capture)


def capture_authorization(
    ledger: PayPalLedger, authorization: Authorization, given: Json, decline_code: str | None
) -> Capture:
    """``POST /v2/payments/authorizations/{id}/capture``. Raises ``Refusal``."""
    order = ledger.orders[authorization.order]
    _refuse_closed(ledger, authorization)
    left = left_of(ledger, authorization)
    amount = left
    if given.get("amount") is not None:
        amount, currency = read_amount(given["amount"], "/amount")
        if currency != authorization.currency:
            raise unprocessable("AUTH_CAPTURE_CURRENCY_MISMATCH", "Currency of capture must be that of authorization.")
    overage = min(authorization.amount * OVERAGE_PERCENT // 100, OVERAGE_MAX_UNITS)
    if amount > left + overage:
        raise unprocessable("MAX_CAPTURE_AMOUNT_EXCEEDED", "Capture amount exceeds allowable limit.")
    order.decline_code = decline_code or order.decline_code
    final = given.get("final_capture", False)
    if not isinstance(final, bool):
        raise invalid("INVALID_PARAMETER_SYNTAX", "The value of a field is malformed.", "/final_capture")
    invoice_id = given.get("invoice_id")
    if invoice_id is not None and not (isinstance(invoice_id, str) and 0 < len(invoice_id) <= 127):
        raise invalid("INVALID_STRING_LENGTH", "The value of a field is either too short or too long.", "/invoice_id")
    _refuse_invoice_twice(ledger, order, invoice_id or order.invoice_id)
    capture = take(ledger, order, authorization, amount, final=final, invoice_id=invoice_id)
    if capture.status != "DECLINED":
        whole = final or amount >= left
        authorization.status = "CAPTURED" if whole else "PARTIALLY_CAPTURED"
        authorization.updated = ledger.now()
    return capture


def void(ledger: PayPalLedger, authorization: Authorization) -> None:
    """``POST /v2/payments/authorizations/{id}/void``. Raises ``Refusal``."""
    if authorization.renews:
        raise unprocessable("CANNOT_BE_VOIDED", "A reauthorization cannot be voided.")
    if authorization.status == "VOIDED":
        raise unprocessable("PREVIOUSLY_VOIDED", "Authorization has been previously voided.")
    if authorization.status not in ("CREATED", "PARTIALLY_CAPTURED"):
        raise unprocessable("PREVIOUSLY_CAPTURED", "Authorization has been previously captured.")
    renewed = [one for one in ledger.authorizations.values() if one.renews == authorization.id]
    for one in (authorization, *renewed):
        one.status, one.updated = "VOIDED", ledger.now()
    _tell_authorization(ledger, "VOIDED", authorization)


def expire(ledger: PayPalLedger, authorization: Authorization) -> None:
    """End the authorization after its 29 days: PayPal voids what is left and reports it in the same words."""
    if authorization.status not in ("CREATED", "PARTIALLY_CAPTURED"):
        raise unprocessable("AUTHORIZATION_NOT_OPEN", f"The authorization is {authorization.status}.")
    authorization.expires = authorization.updated = ledger.now()
    authorization.status = "VOIDED"
    _tell_authorization(ledger, "VOIDED", authorization)


def reauthorize(ledger: PayPalLedger, authorization: Authorization, given: Json) -> Authorization:
    """``POST /v2/payments/authorizations/{id}/reauthorize``: possible from the fourth day on. Raises ``Refusal``."""
    _refuse_closed(ledger, authorization)
    if authorization.renews:
        raise unprocessable("REAUTHORIZATION_NOT_SUPPORTED", "It is the result of a prior reauthorization.")
    if ledger.now() - authorization.created <= HONOR_SECONDS:
        raise unprocessable("REAUTHORIZATION_TOO_SOON", "A reauthorization is only allowed from Day 4 to Day 29.")
    amount = read_amount(given["amount"], "/amount")[0] if given.get("amount") else authorization.amount
    now, order = ledger.now(), ledger.orders[authorization.order]
    renewed = Authorization(
        paypal_id(), order.account, order.id, amount, order.currency, now, now, authorization.expires, "CREATED",
        authorization.custom_id, authorization.invoice_id, renews=authorization.id,
    )  # fmt: skip
    ledger.authorizations[renewed.id] = renewed
    order.authorizations.append(renewed.id)
    _tell_authorization(ledger, "CREATED", renewed)
    return renewed


def refund(ledger: PayPalLedger, capture: Capture, given: Json, fate: str | None) -> Refund:
    """``POST /v2/payments/captures/{id}/refund``: refund all that is left, or ``amount``. Raises ``Refusal``."""
    order = ledger.orders[capture.order]
    if capture.status == "PENDING":
        raise unprocessable("PENDING_CAPTURE", "Cannot initiate a refund as the capture is pending.")
    if capture.status == "REFUNDED":
        raise unprocessable("CAPTURE_FULLY_REFUNDED", "The capture has already been fully refunded")
    if capture.status not in _TAKEN:
        raise unprocessable("REFUND_NOT_ALLOWED", "Capture cannot be refunded.")
    left = capture.amount - capture.refunded
    amount = left
    if given.get("amount") is not None:
        amount, currency = read_amount(given["amount"], "/amount")
        if currency != capture.currency:
            raise unprocessable("REFUND_CAPTURE_CURRENCY_MISMATCH", "Refund must be in the currency of the capture")
    if amount > left:
        raise unprocessable("REFUND_AMOUNT_EXCEEDED", "The refund amount must be less than or equal to what is left.")
    custom_id = given.get("custom_id")
    if custom_id is not None and not (isinstance(custom_id, str) and 0 < len(custom_id) <= 127):
        raise invalid("INVALID_STRING_LENGTH", "The value of a field is either too short or too long.", "/custom_id")
    order.refund_fate = fate or order.refund_fate
    pends, now = fate_of(ledger, capture) is RefundFate.PENDING_FIRST, ledger.now()
    made = Refund(
        paypal_id(), order.account, order.id, capture.id, amount, capture.currency, now, now,
        "PENDING" if pends else "COMPLETED", custom_id or capture.custom_id, "ECHECK" if pends else None,
    )  # fmt: skip
    ledger.refunds[made.id] = made
    order.refunds.append(made.id)
    _give_back(ledger, capture, amount)
    _tell_refund(ledger, "PAYMENT.REFUND.PENDING" if pends else "PAYMENT.CAPTURE.REFUNDED", made)
    return made


def fate_of(ledger: PayPalLedger, capture: Capture) -> RefundFate:
    """Return the fate of this capture's refunds: the one commanded, or the instrument's."""
    order = ledger.orders[capture.order]
    return RefundFate(order.refund_fate) if order.refund_fate else INSTRUMENTS[order.instrument or ""].refund_fate


def succeed_refund(ledger: PayPalLedger, made: Refund) -> None:
    """Let a pending refund arrive."""
    if made.status == "PENDING":
        made.status, made.reason, made.updated = "COMPLETED", None, ledger.now()
        _tell_refund(ledger, "PAYMENT.CAPTURE.REFUNDED", made)


def fail_refund(ledger: PayPalLedger, made: Refund) -> None:
    """Let a refund come back, even one that had succeeded: the money is on the capture again."""
    if made.status in ("PENDING", "COMPLETED"):
        made.status, made.updated = "FAILED", ledger.now()
        _give_back(ledger, ledger.captures[made.capture], -made.amount)
        _tell_refund(ledger, "PAYMENT.REFUND.FAILED", made)


def reverse(ledger: PayPalLedger, capture: Capture) -> None:
    """Let PayPal itself take a capture back. The event has the form of a refund's."""
    now = ledger.now()
    reversal = Refund(
        paypal_id(), capture.account, capture.order, capture.id, capture.amount - capture.refunded, capture.currency,
        now, now, "COMPLETED", capture.custom_id,
    )  # fmt: skip
    ledger.refunds[reversal.id] = reversal
    ledger.orders[capture.order].refunds.append(reversal.id)
    _give_back(ledger, capture, reversal.amount)
    _tell_refund(ledger, "PAYMENT.CAPTURE.REVERSED", reversal)


def dispute(ledger: PayPalLedger, capture: Capture, *, outcome_code: str | None) -> None:
    """Open a dispute or settle it. If it is settled in the buyer's favor, the money goes back by a reversal."""
    order, word = ledger.orders[capture.order], "RESOLVED" if outcome_code else "CREATED"
    resource = dispute_json(capture, order, f"PP-D-{capture.id[:6]}", ledger.now())
    if outcome_code:
        resource |= {"status": "RESOLVED", "dispute_outcome": {"outcome_code": outcome_code}}
    else:
        resource |= {"seller_response_due_date": timestamp(ledger.now() + DISPUTE_WINDOW_SECONDS)}
    ledger.tell(f"CUSTOMER.DISPUTE.{word}", "dispute", order, resource, f"Dispute {word.lower()}")
    if outcome_code == "RESOLVED_BUYER_FAVOUR":
        reverse(ledger, capture)


def _bank_says(order: Order) -> str | None:
    """Return the processor's refusal, if there is one."""
    commanded = None if order.decline_code in ISSUES else order.decline_code
    return commanded or INSTRUMENTS[order.instrument or ""].processor_code


def _refuse_closed(ledger: PayPalLedger, authorization: Authorization) -> None:
    if authorization.status == "VOIDED":
        expired = authorization.expires <= authorization.updated
        if expired:
            raise unprocessable("AUTHORIZATION_EXPIRED", "An expired authorization cannot be captured.")
        raise unprocessable("AUTHORIZATION_VOIDED", "A voided authorization cannot be captured or reauthorized.")
    if authorization.status == "DENIED":
        raise unprocessable("AUTHORIZATION_DENIED", "A denied authorization cannot be captured.")
    if authorization.status == "CAPTURED":
        raise unprocessable("AUTHORIZATION_ALREADY_CAPTURED", "Authorization has already been captured.")
    if authorization.expires <= ledger.now():
        raise unprocessable("AUTHORIZATION_EXPIRED", "An expired authorization cannot be captured.")


def left_of(ledger: PayPalLedger, authorization: Authorization) -> int:
    """Return what an authorization still holds."""
    is_open = authorization.status in ("CREATED", "PARTIALLY_CAPTURED")
    return max(0, authorization.amount - _taken_of(ledger, authorization)) if is_open else 0


def _taken_of(ledger: PayPalLedger, authorization: Authorization) -> int:
    captures = [ledger.captures[one] for one in ledger.orders[authorization.order].captures]
    of_it = [one for one in captures if one.authorization == authorization.id]
    return sum(one.amount for one in of_it if one.status in (*_TAKEN, "PENDING"))


def _refuse_invoice_twice(ledger: PayPalLedger, order: Order, invoice_id: str | None) -> None:
    """Refuse a second payment for the same invoice, as an account does that blocks accidental payments.

    This applies also to captures of the same authorization.
    """
    for capture in ledger.captures.values():
        same = capture.account == order.account and capture.invoice_id == invoice_id
        if invoice_id and same and capture.status in (*_TAKEN, "PENDING"):
            raise unprocessable("DUPLICATE_INVOICE_ID", "Duplicate Invoice ID detected.")


def _give_back(ledger: PayPalLedger, capture: Capture, amount: int) -> None:
    capture.refunded += amount
    whole = capture.refunded >= capture.amount
    capture.status = "REFUNDED" if whole else "PARTIALLY_REFUNDED" if capture.refunded else "COMPLETED"
    capture.updated = ledger.now()
    ledger.changes += 1


def _tell_authorization(ledger: PayPalLedger, word: str, authorization: Authorization) -> None:
    resource, order = authorization_json(ledger, authorization), ledger.orders[authorization.order]
    summary = f"A payment authorization was {word.lower()}"
    ledger.tell(f"PAYMENT.AUTHORIZATION.{word}", "authorization", order, resource, summary)


def _tell_capture(ledger: PayPalLedger, word: str, capture: Capture) -> None:
    resource, order = capture_json(ledger, capture), ledger.orders[capture.order]
    ledger.tell(f"PAYMENT.CAPTURE.{word}", "capture", order, resource, f"Payment {word.lower()}")


def _tell_refund(ledger: PayPalLedger, event_type: str, made: Refund) -> None:
    ledger.tell(event_type, "refund", ledger.orders[made.order], refund_json(ledger, made), "A refund")
