"""Reads and writes Square's objects: amounts, payments, refunds. Pure; shared by calls and webhooks.

Source: https://developer.squareup.com/reference/square/objects/Payment, /PaymentRefund, and
https://developer.squareup.com/docs/build-basics/working-with-monetary-amounts.

**The requested amount.** To capture part of a held payment its amount is lowered first, after which no field of
Square's tells what was held. So the requested amount is written to the payment's ``note`` and read back from there.
**Our ids.** ``reference_id`` is our payment id. A refund has no such field, so our refund id is at the end of its
``reason``.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from holdfast.gateways.amounts import money_from, vendor_amount
from holdfast.gateways.fields import last_day_of, text, utc_instant
from holdfast.gateways.port import Outcome, PaymentSnapshot, RefundOutcome, RefundSnapshot, SavedMethod
from holdfast.values.errors import NotRepresentable
from holdfast.values.ids import uuid_or_none
from holdfast.values.money import Money, currency_exponent

REASON_MAX_CHARACTERS: Final = 192

# A seller has one currency, that of its country; Square operates in eight countries.
_CURRENCIES: Final = frozenset(("USD", "CAD", "AUD", "JPY", "GBP", "EUR"))

_OUTCOME_OF_STATUS: Final[Mapping[str, Outcome]] = {
    "APPROVED": Outcome.AUTHORIZED,
    "PENDING": Outcome.PROCESSING,
    "COMPLETED": Outcome.SUCCEEDED,
    "CANCELED": Outcome.CANCELLED,
    "FAILED": Outcome.DECLINED,
}
REFUND_OUTCOME_OF_STATUS: Final[Mapping[str, RefundOutcome]] = {
    "PENDING": RefundOutcome.PENDING,
    "COMPLETED": RefundOutcome.SUCCEEDED,
    "REJECTED": RefundOutcome.FAILED,
    "FAILED": RefundOutcome.FAILED,
}
_BRANDS: Final[Mapping[str, str]] = {"AMERICAN_EXPRESS": "amex"}
_ASKED: Final = re.compile(r": ([0-9]{1,18}) ([A-Z]{3}) asked\Z")
_REFUND_ID: Final = re.compile(r"\(refund ([0-9a-f-]{36})\)\Z")


def square_money(amount: Money) -> dict[str, Any]:
    """Return ``amount`` in Square's form. Raises ``NotRepresentable`` at zero and for a currency no seller has."""
    if amount.currency not in _CURRENCIES:
        raise NotRepresentable(f"Square does not take {amount.currency}.", currency=amount.currency)
    exponent = currency_exponent(amount.currency)
    return {"amount": vendor_amount(amount, exponent, "Square"), "currency": amount.currency}


def money_of(money: Mapping[str, Any]) -> Money:
    """Return an amount of Square's, which is in the smallest unit of the currency according to ISO 4217."""
    currency = text(money["currency"])
    return money_from(money["amount"], currency, currency_exponent(currency), "Square")


def note_of(order_number: str, amount: Money) -> str:
    """Return a payment's note, which the seller reads and from which we recover the requested amount."""
    return f"{order_number}: {amount.amount_minor} {amount.currency} asked"


def asked_of(payment: Mapping[str, Any]) -> Money | None:
    """Return the requested amount from the note; None for a payment that is not ours."""
    found = _ASKED.search(str(payment.get("note", "")))
    return Money(int(found[1]), found[2]) if found else None


def reason_of(reason: str | None, refund_id: UUID) -> str:
    """Return a refund's reason with our id at the end."""
    mark = f"(refund {refund_id})"
    return f"{(reason or 'refund')[: REASON_MAX_CHARACTERS - len(mark) - 1]} {mark}"


def refund_id_of(refund: Mapping[str, Any]) -> UUID | None:
    """Return our id of a refund; None for one that is not ours."""
    found = _REFUND_ID.search(str(refund.get("reason", "")))
    return uuid_or_none(found[1]) if found else None


def snapshot_of_payment(payment: Mapping[str, Any]) -> PaymentSnapshot:
    """Return what a Payment says. Raises one of ``UNREADABLE`` if it does not have the form that we know."""
    outcome = _OUTCOME_OF_STATUS[text(payment["status"])]
    amount = money_of(payment["amount_money"]).amount_minor
    code, message = failure_of(payment)
    card = _card(payment)
    brand = card.get("card_brand")
    declined = outcome is Outcome.DECLINED
    return PaymentSnapshot(
        gateway_transaction_id=text(payment["id"]),
        outcome=outcome,
        amount=asked_of(payment),
        captured_minor=amount if outcome is Outcome.SUCCEEDED else 0,
        refunded_minor=refunded_minor_of(payment),
        capturable_minor=amount if outcome is Outcome.AUTHORIZED else 0,
        authorization_expires_at=(
            utc_instant(payment["delayed_until"])
            if outcome is Outcome.AUTHORIZED and payment.get("delayed_until")
            else None
        ),
        failure_code=code if declined else None,
        failure_message=message if declined else None,
        method="card" if card else None,
        brand=_BRANDS.get(brand, brand.lower()) if isinstance(brand, str) else None,
        last_four=card.get("last_4"),
    )


def saved_method_of(card: Mapping[str, Any]) -> SavedMethod:
    """Return what a Card on file says. Raises one of ``UNREADABLE`` if it does not have the form that we know."""
    brand = card.get("card_brand")
    return SavedMethod(
        gateway_customer_id=text(card["customer_id"]),
        token=text(card["id"]),
        brand=_BRANDS.get(brand, brand.lower()) if isinstance(brand, str) else None,
        last_four=card.get("last_4"),
        expires_on=last_day_of(card.get("exp_year"), card.get("exp_month")),
    )


def refunded_minor_of(payment: Mapping[str, Any]) -> int:
    """Return the amount refunded so far, in minor units."""
    refunded = payment.get("refunded_money")
    return money_of(refunded).amount_minor if refunded else 0


def refund_snapshot_of(refund: Mapping[str, Any]) -> RefundSnapshot:
    """Return what a PaymentRefund says. Raises one of ``UNREADABLE`` if it does not have the form that we know."""
    status = text(refund["status"])
    outcome = REFUND_OUTCOME_OF_STATUS[status]
    return RefundSnapshot(
        gateway_refund_id=text(refund["id"]),
        status=outcome,
        amount=money_of(refund["amount_money"]),
        failure_code=status.lower() if outcome is RefundOutcome.FAILED else None,
    )


def failure_of(payment: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the failure code and message of a failed payment."""
    errors = (payment.get("card_details") or {}).get("errors") or [{}]
    code = errors[0].get("code")
    return (code.lower() if isinstance(code, str) else "failed"), errors[0].get("detail")


def _card(payment: Mapping[str, Any]) -> Mapping[str, Any]:
    return (payment.get("card_details") or {}).get("card") or {}
