"""Reads and writes PayPal's objects: amounts, orders with their payments, refunds. Pure; for calls and webhooks.

Source: https://developer.paypal.com/docs/api/orders/v2/, /docs/api/payments/v2/, /api/rest/reference/currency-codes/.

**Ids.** A payment's ``gateway_transaction_id`` is PayPal's *order* id: it exists from the first response on and never
changes, whereas authorizations and captures come later, may be several, and are found in the order. ``custom_id`` is a
list of our own ids, the payment's first: ``{payment}`` on an order and what results from it, ``{payment},cancelled`` on
an order that was given up before any money moved (PayPal has no call for that, see ``PayPalGateway.cancel``), and
``{payment},{refund},{order}`` on a refund, because a refund states only its capture. A capture takes no ``custom_id``
of its own; a capture of an authorization is identified by its ``invoice_id``, which is the order's plus a suffix.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from holdfast.gateways.fields import last_day_of
from holdfast.gateways.port import (
    CaptureOutcome,
    CaptureSnapshot,
    Outcome,
    PaymentSnapshot,
    RefundOutcome,
    RefundSnapshot,
    SavedMethod,
)
from holdfast.values.errors import NotRepresentable
from holdfast.values.money import Money, currency_exponent

PayPalObject = Mapping[str, Any]

APPROVAL_ACTION: Final = "paypal_approval"
"""The ``type`` of the client action: the shopper approves at ``url``, or in PayPal's buttons with ``order_id``."""

_WITHOUT_DECIMALS: Final = frozenset(("HUF", "JPY", "TWD"))
_WITH_TWO_DECIMALS: Final = frozenset(
    (
        "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "ILS", "INR", "MXN", "MYR", "NOK", "NZD",
        "PHP", "PLN", "SEK", "SGD", "THB", "USD",
    )
)  # fmt: skip
_DECIMAL: Final = re.compile(r"(?P<whole>[0-9]{1,16})(?:\.(?P<part>[0-9]{1,8}))?", re.ASCII)
_CANCELLED_MARK: Final = "cancelled"
AUTHORIZATIONS: Final = "/v2/payments/authorizations/"
CAPTURES: Final = "/v2/payments/captures/"
_INVOICE_MAX_CHARACTERS: Final = 127
_MARK_CHARACTERS: Final = 8

_TAKEN: Final = frozenset(("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"))
_HELD: Final = frozenset(("CREATED", "PARTIALLY_CAPTURED"))
_REFUSED: Final = frozenset(("DECLINED", "FAILED", "DENIED"))
_RELEASED: Final = frozenset(("VOIDED", "EXPIRED"))
_OUTCOME_OF_CAPTURE: Final[Mapping[str, CaptureOutcome]] = {
    "PENDING": CaptureOutcome.PENDING,
    **dict.fromkeys(_TAKEN, CaptureOutcome.SUCCEEDED),
    **dict.fromkeys(_REFUSED, CaptureOutcome.FAILED),
}
_OUTCOME_OF_ORDER: Final[Mapping[str, Outcome]] = {
    "CREATED": Outcome.REQUIRES_ACTION,
    "SAVED": Outcome.REQUIRES_ACTION,
    "PAYER_ACTION_REQUIRED": Outcome.REQUIRES_ACTION,
    # The shopper has nothing left to do, but the money still waits for us: `PayPalGateway.fetch` takes it.
    "APPROVED": Outcome.PROCESSING,
    "VOIDED": Outcome.CANCELLED,
}
REFUND_OUTCOME_OF_STATUS: Final[Mapping[str, RefundOutcome]] = {
    "PENDING": RefundOutcome.PENDING,
    "COMPLETED": RefundOutcome.SUCCEEDED,
    "FAILED": RefundOutcome.FAILED,
    "CANCELLED": RefundOutcome.FAILED,
}
_APPROVAL_LINKS: Final = ("payer-action", "approve")


def paypal_amount(amount: Money) -> dict[str, str]:
    """Return ``amount`` in PayPal's form, a decimal string. Raises ``NotRepresentable`` if it would need rounding or is
    not greater than zero, or if PayPal does not accept the currency."""
    decimals = _decimals(amount.currency)
    whole, part = divmod(amount.amount_minor, 10 ** currency_exponent(amount.currency))
    if amount.amount_minor <= 0 or (part and not decimals):
        raise NotRepresentable(f"PayPal cannot express {amount} exactly.", currency=amount.currency)
    return {"currency_code": amount.currency, "value": f"{whole}.{part:02d}" if decimals else str(whole)}


def money_of(amount: Any) -> Money:
    """Return an amount of PayPal's in ISO minor units. Raises ``KeyError``, ``TypeError`` or ``ValueError`` if it is no
    amount, ``NotRepresentable`` if it would need rounding."""
    currency = text_in(amount, "currency_code")
    read = _DECIMAL.fullmatch(text_in(amount, "value"))
    if read is None:
        raise ValueError("not an amount")
    exponent = currency_exponent(currency)
    part = (read["part"] or "").rstrip("0")
    if len(part) > exponent:
        raise NotRepresentable(f"{read[0]} {currency} is no whole number of minor units.", currency=currency)
    return Money(int(read["whole"] + part.ljust(exponent, "0")), currency)


def _decimals(currency: str) -> int:
    if currency in _WITHOUT_DECIMALS:
        return 0
    if currency in _WITH_TWO_DECIMALS:
        return 2
    raise NotRepresentable(f"PayPal does not take {currency}.", currency=currency)


def snapshot_of_order(order: PayPalObject) -> PaymentSnapshot:
    """Return what an order (its full representation) says about its payment.

    The most advanced state decides: money captured, money pending, money held, a refusal, money released, and only then
    the order's own status. Raises ``KeyError``, ``TypeError`` or ``ValueError`` if the order's form is unknown.
    """
    unit = unit_of(order)
    amount = money_of(unit["amount"])
    captures, refunds = payments_of(unit, "captures"), payments_of(unit, "refunds")
    captured = sum(money_of(capture["amount"]).amount_minor for capture in captures if capture["status"] in _TAKEN)
    returned = (refund for refund in refunds if refund["status"] not in ("FAILED", "CANCELLED"))
    held = open_authorization(order)
    outcome, culprit = _outcome(order, captured)
    code, message = failure_of(culprit)
    card = _source(order, "card")
    return PaymentSnapshot(
        gateway_transaction_id=text_in(order, "id"),
        outcome=outcome,
        amount=amount,
        captured_minor=captured,
        refunded_minor=sum(money_of(refund["amount"]).amount_minor for refund in returned),
        capturable_minor=_left_of(order, held) if held else 0,
        captures=tuple(capture_snapshot_of(capture) for capture in captures),
        authorization_expires_at=instant(held["expiration_time"]) if held and held.get("expiration_time") else None,
        failure_code=code,
        failure_message=message,
        client_action=approval_of(order) if outcome is Outcome.REQUIRES_ACTION else None,
        method="card" if card is not None else "paypal" if _source(order, "paypal") is not None else None,
        brand=str(card["brand"]).lower() if card and card.get("brand") else None,
        last_four=card.get("last_digits") if card else None,
        saved_method=saved_method_of(order) if outcome in _PAID else None,
    )


def capture_snapshot_of(capture: PayPalObject) -> CaptureSnapshot:
    """Return what a capture says.

    A success is dated by the capture's creation, as a capture succeeds at once unless it is pending first. A failure is
    dated by its last update. Raises ``KeyError`` or ``ValueError`` if the capture does not have the form that we know.
    """
    status = _OUTCOME_OF_CAPTURE[text_in(capture, "status")]
    made_at, updated_at = capture.get("create_time"), capture.get("update_time")
    decided_at = {CaptureOutcome.SUCCEEDED: made_at, CaptureOutcome.FAILED: updated_at or made_at}.get(status)
    code, message = failure_of(capture) if status is CaptureOutcome.FAILED else (None, None)
    return CaptureSnapshot(
        gateway_capture_id=text_in(capture, "id"),
        status=status,
        amount=money_of(capture["amount"]),
        is_final=capture.get("final_capture") is True,
        decided_at=instant(decided_at) if decided_at else None,
        failure_code=code,
        failure_message=message,
    )


def invoice_of_capture(order: PayPalObject, idempotency_key: str) -> str:
    """Return the ``invoice_id`` for a capture of an authorization. No two captures of an order may share one, and the
    same request always gets the same."""
    mark = hashlib.sha256(idempotency_key.encode()).hexdigest()[:_MARK_CHARACTERS]
    of_order = str(unit_of(order).get("invoice_id") or text_in(order, "id"))
    return f"{of_order[: _INVOICE_MAX_CHARACTERS - _MARK_CHARACTERS - 1]}-{mark}"


def _left_of(order: PayPalObject, held: PayPalObject) -> int:
    """Return what can still be captured of this authorization, within the order's amount. Pending captures are
    deducted too."""
    unit = unit_of(order)
    captures = [one for one in payments_of(unit, "captures") if one["status"] in (*_TAKEN, "PENDING")]
    amounts = {text_in(one, "id"): money_of(one["amount"]).amount_minor for one in captures}
    of_held = [one for one in captures if id_in_link(one, "up", AUTHORIZATIONS) in (held["id"], None)]
    left_of_held = money_of(held["amount"]).amount_minor - sum(amounts[one["id"]] for one in of_held)
    return max(0, min(left_of_held, money_of(unit["amount"]).amount_minor - sum(amounts.values())))


def saved_method_of(order: PayPalObject) -> SavedMethod | None:
    """Return what this order saved in PayPal's vault. A PayPal account has no digits for a shopper to recognize."""
    for kind in ("card", "paypal"):
        source = _source(order, kind) or {}
        kept = (source.get("attributes") or {}).get("vault") or {}
        customer = kept.get("customer") or {}
        if kept.get("status") == "VAULTED" and kept.get("id") and customer.get("id"):
            year, _, month = str(source.get("expiry") or "").partition("-")
            return SavedMethod(
                gateway_customer_id=str(customer["id"]),
                token=f"{kind}:{kept['id']}",
                brand=str(source["brand"]).lower() if source.get("brand") else "paypal" if kind == "paypal" else None,
                last_four=source.get("last_digits"),
                expires_on=last_day_of(year, month),
            )
    return None


def _outcome(order: PayPalObject, captured_minor: int) -> tuple[Outcome, PayPalObject | None]:
    """Return the payment's outcome, and the capture or authorization that failed last, which says why."""
    unit = unit_of(order)
    captures, authorizations = payments_of(unit, "captures"), payments_of(unit, "authorizations")
    statuses = {str(thing["status"]) for thing in (*captures, *authorizations)}
    refused = [thing for thing in (*authorizations, *captures) if thing["status"] in _REFUSED]
    culprit = refused[-1] if refused else None
    if captured_minor:
        return Outcome.SUCCEEDED, None
    by_precedence = (
        ("PENDING" in statuses, Outcome.PROCESSING),
        (bool(statuses & _HELD), Outcome.AUTHORIZED),
        (bool(refused) and not statuses & _RELEASED, Outcome.DECLINED),
        (bool(statuses & _RELEASED) or is_given_up(order), Outcome.CANCELLED),
    )
    for holds, outcome in by_precedence:
        if holds:
            return outcome, culprit
    status = text_in(order, "status")
    if status not in _OUTCOME_OF_ORDER:
        raise ValueError(f"an order that is {status} without a payment")
    return _OUTCOME_OF_ORDER[status], None


_PAID: Final = frozenset({Outcome.SUCCEEDED, Outcome.AUTHORIZED})


def declined(order: PayPalObject, code: str, message: str) -> PaymentSnapshot:
    """Return the snapshot of an order whose payment was refused without leaving a trace in it."""
    found = snapshot_of_order(order)
    return replace(found, outcome=Outcome.DECLINED, failure_code=code, failure_message=message, client_action=None)


def to_approve_again(order: PayPalObject, code: str, message: str, url: str | None) -> PaymentSnapshot:
    """Return the snapshot of an order whose shopper has to choose another way to pay at ``url``."""
    action = {**approval_of(order), **({"url": url} if url else {})}
    found = snapshot_of_order(order)
    return replace(
        found, outcome=Outcome.REQUIRES_ACTION, failure_code=code, failure_message=message, client_action=action
    )


def refund_snapshot_of(refund: PayPalObject) -> RefundSnapshot:
    """Return what a refund says. Raises ``KeyError`` or ``ValueError`` if it does not have the form that we know."""
    status = text_in(refund, "status")
    outcome = REFUND_OUTCOME_OF_STATUS[status]
    reason = (refund.get("status_details") or {}).get("reason")
    return RefundSnapshot(
        gateway_refund_id=text_in(refund, "id"),
        status=outcome,
        amount=money_of(refund["amount"]),
        failure_code=str(reason or status) if outcome is RefundOutcome.FAILED else None,
    )


def unit_of(order: PayPalObject) -> PayPalObject:
    """Return the one purchase unit of an order. Raises ``ValueError`` if there are several: ours have only one."""
    units = order["purchase_units"]
    if not isinstance(units, Sequence) or len(units) != 1 or not isinstance(units[0], Mapping):
        raise ValueError("an order of ours has one purchase unit")
    return units[0]


def payments_of(unit: PayPalObject, kind: str) -> list[PayPalObject]:
    """Return the unit's ``captures``, ``authorizations`` or ``refunds``, oldest first."""
    payments = unit.get("payments")
    found = payments.get(kind) if isinstance(payments, Mapping) else None
    return sorted(found, key=lambda thing: str(thing.get("create_time", ""))) if found else []


def open_authorization(order: PayPalObject) -> PayPalObject | None:
    """Return the latest authorization from which money can still be captured: a renewal replaces the one before."""
    found = [thing for thing in payments_of(unit_of(order), "authorizations") if thing["status"] in _HELD]
    return found[-1] if found else None


def voidable_authorization(order: PayPalObject) -> PayPalObject | None:
    """Return the authorization to void: the first one, because a renewal ends together with what it renews."""
    found = [thing for thing in payments_of(unit_of(order), "authorizations") if thing["status"] in _HELD]
    return found[0] if found else None


def with_payment(order: PayPalObject, kind: str, thing: PayPalObject) -> dict[str, Any]:
    """Return the order with one more capture, or with an authorization in its newest state."""
    unit = dict(unit_of(order))
    payments = dict(unit.get("payments") or {})
    payments[kind] = [known for known in payments.get(kind) or () if known["id"] != thing["id"]] + [thing]
    return {**order, "purchase_units": [{**unit, "payments": payments}]}


def approval_of(order: PayPalObject) -> dict[str, Any]:
    """Return what the shopper's client needs to have the order approved."""
    action: dict[str, Any] = {"type": APPROVAL_ACTION, "order_id": text_in(order, "id")}
    urls = [link_of(order, relation) for relation in _APPROVAL_LINKS]
    url = next((url for url in urls if url), None)
    return {**action, "url": url} if url else action


def link_of(thing: PayPalObject, relation: str) -> str | None:
    """Return the URL of the link with this relation, if there is one."""
    for link in thing.get("links") or ():
        if isinstance(link, Mapping) and link.get("rel") == relation and isinstance(link.get("href"), str):
            return str(link["href"])
    return None


def id_in_link(thing: PayPalObject, relation: str, folder: str) -> str | None:
    """Return the id at the end of a link, if the link's path is in ``folder`` (such as ``/v2/checkout/orders/``)."""
    path = urlsplit(link_of(thing, relation) or "").path
    found = path.removeprefix(folder)
    return found if found and found != path and "/" not in found else None


def is_given_up(order: PayPalObject) -> bool:
    """Return whether we marked the order as cancelled."""
    return _CANCELLED_MARK in str(unit_of(order).get("custom_id") or "").split(",")[1:]


def mark_given_up(custom_id: str | None) -> str:
    """Return the ``custom_id`` of an order that is given up."""
    return f"{(custom_id or '').split(',')[0]},{_CANCELLED_MARK}"


def custom_id_of_refund(order: PayPalObject, refund_id: UUID) -> str:
    """Return the ``custom_id`` of a refund, which identifies the payment, the refund and the order."""
    payment = str(unit_of(order).get("custom_id") or "").split(",")[0]
    return f"{payment},{refund_id},{text_in(order, 'id')}"


def ids_in(custom_id: Any) -> tuple[UUID | None, UUID | None, str | None]:
    """Return payment, refund and order from a ``custom_id``; None for each that is missing or not ours."""
    parts = [*(custom_id.split(",") if isinstance(custom_id, str) else ()), "", "", ""]
    payment_id, refund_id = _uuid(parts[0]), _uuid(parts[1])
    return payment_id, refund_id, (parts[2] or None) if payment_id and refund_id else None


def instant(text: Any) -> datetime:
    """Return an RFC 3339 time as an aware UTC instant. Raises ``TypeError`` or ``ValueError`` if it is not one."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without its offset")
    return at.astimezone(UTC)


def text_in(thing: Any, name: str) -> str:
    """Return a required non-empty string. Raises ``KeyError`` or ``TypeError``."""
    value = thing[name]
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name} is no text")
    return value


def failure_of(thing: PayPalObject | None) -> tuple[str | None, str | None]:
    """Return why a capture or an authorization failed: the processor's code or PayPal's reason, and a sentence."""
    if thing is None:
        return None, None
    answer = thing.get("processor_response") or {}
    reason = (thing.get("status_details") or {}).get("reason")
    code = answer.get("response_code") or reason or thing["status"]
    return str(code), PROCESSOR_CODES.get(str(code), f"The payment was refused ({code}).")


def _source(order: PayPalObject, kind: str) -> PayPalObject | None:
    source = order.get("payment_source")
    found = source.get(kind) if isinstance(source, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


# https://developer.paypal.com/api/rest/sandbox/card-testing/ and the response codes of /docs/api/payments/v2/.
PROCESSOR_CODES: Final[Mapping[str, str]] = {
    "0500": "The bank does not honor the payment.",
    "0580": "The bank refused an unauthorized transaction.",
    "1330": "The bank does not know the account.",
    "5100": "The bank declined the payment.",
    "5110": "The security code is wrong.",
    "5120": "There is not enough money in the account.",
    "5130": "The PIN is wrong.",
    "5140": "The card is closed.",
    "5180": "The card or account number is wrong.",
    "5400": "The card has expired.",
    "5650": "The bank wants the shopper to authenticate.",
    "5930": "The card was not activated.",
    "9100": "The bank declined; the payment may be tried again.",
    "9500": "The bank suspects fraud.",
    "9520": "The card was reported lost or stolen.",
    "00N7": "The security code was not accepted.",
}
