"""Reads and writes Stripe's objects: amounts, payment intents, refunds. Pure; shared by calls and webhooks.

Source: https://docs.stripe.com/currencies (minor units) and https://docs.stripe.com/api (objects).
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from holdfast.gateways.amounts import money_from, vendor_amount
from holdfast.gateways.fields import last_day_of
from holdfast.gateways.port import Outcome, PaymentSnapshot, RefundOutcome, RefundSnapshot, SavedMethod
from holdfast.values.errors import NotRepresentable
from holdfast.values.ids import uuid_or_none
from holdfast.values.money import Money, currency_exponent

_ZERO_DECIMAL: Final = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
)
# Whole units only, but written with two decimals, which must be 00 (the page's "special cases"). UGX is also in the
# page's list of zero-decimal currencies, but Stripe charges by the special case: 5 UGX is 500.
_WHOLE_UNITS_IN_HUNDREDTHS: Final = frozenset(("ISK", "UGX"))
# Written in thousandths, the last digit of which must be 0.
_THREE_DECIMAL: Final = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))

ASSUMED_HOLD: Final = timedelta(days=7)
"""How long money is taken to be held where its charge does not say.

Only cards say it (``capture_before``). Other methods are held for no less: Afterpay 13 days, Klarna 28.
https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
"""

_OUTCOME_OF_STATUS: Final[Mapping[str, Outcome]] = {
    "succeeded": Outcome.SUCCEEDED,
    "requires_capture": Outcome.AUTHORIZED,
    "requires_action": Outcome.REQUIRES_ACTION,
    "requires_confirmation": Outcome.REQUIRES_ACTION,
    "processing": Outcome.PROCESSING,
    # We confirm every intent as we create it, so a missing payment method means that one was refused.
    "requires_payment_method": Outcome.DECLINED,
    "canceled": Outcome.CANCELLED,
}

REFUND_OUTCOME_OF_STATUS: Final[Mapping[str, RefundOutcome]] = {
    "pending": RefundOutcome.PENDING,
    "requires_action": RefundOutcome.PENDING,
    "succeeded": RefundOutcome.SUCCEEDED,
    "failed": RefundOutcome.FAILED,
    "canceled": RefundOutcome.FAILED,
}


def stripe_amount(amount: Money) -> int:
    """Return ``amount`` in Stripe's units. Raises ``NotRepresentable`` if it would need rounding or is zero."""
    scaled = vendor_amount(amount, _stripe_exponent(amount.currency), "Stripe")
    if scaled % _stripe_step(amount.currency):
        raise NotRepresentable(f"Stripe cannot express {amount} exactly.", currency=amount.currency)
    return scaled


def money_of(stripe_minor: int, stripe_currency: str) -> Money:
    """Return an amount of Stripe's in ISO minor units. Raises ``NotRepresentable`` if that would need rounding."""
    currency = stripe_currency.upper()
    return money_from(stripe_minor, currency, _stripe_exponent(currency), "Stripe")


def _stripe_exponent(currency: str) -> int:
    if currency in _ZERO_DECIMAL:
        return 0
    if currency in _THREE_DECIMAL:
        return 3
    if currency_exponent(currency) > 2:
        raise NotRepresentable(f"Stripe does not take {currency}.", currency=currency)
    return 2


def _stripe_step(currency: str) -> int:
    if currency in _THREE_DECIMAL:
        return 10
    return 100 if currency in _WHOLE_UNITS_IN_HUNDREDTHS else 1


def snapshot_of_intent(intent: Mapping[str, Any]) -> PaymentSnapshot:
    """Return what a PaymentIntent says.

    Its ``latest_charge`` should be expanded; without it brand, authorization window and refunds are missing. Raises
    ``KeyError`` or ``ValueError`` if the intent does not have the form that we know.
    """
    currency = str(intent["currency"])
    charge = intent.get("latest_charge")
    charge = charge if isinstance(charge, Mapping) else {}
    error = intent.get("last_payment_error") or {}
    outcome = _OUTCOME_OF_STATUS.get(str(intent["status"]))
    if outcome is None:
        raise ValueError(f"unknown status of a payment intent: {intent['status']}")
    card = _card(charge.get("payment_method_details") or error.get("payment_method"))
    captured = _captured(intent, charge, outcome)
    return PaymentSnapshot(
        gateway_transaction_id=str(intent["id"]),
        outcome=outcome,
        amount=money_of(int(intent["amount"]), currency),
        captured_minor=money_of(captured, currency).amount_minor,
        refunded_minor=money_of(int(charge.get("amount_refunded") or 0), currency).amount_minor,
        capturable_minor=money_of(int(intent.get("amount_capturable") or 0), currency).amount_minor,
        authorization_expires_at=_held_until(charge) if outcome is Outcome.AUTHORIZED else None,
        failure_code=failure_code_of(error),
        failure_message=error.get("message"),
        client_action=_client_action(intent) if outcome is Outcome.REQUIRES_ACTION else None,
        method="card" if card else None,
        brand=card.get("brand"),
        last_four=card.get("last4"),
        saved_method=saved_method_of(intent),
    )


def saved_method_of(intent: Mapping[str, Any]) -> SavedMethod | None:
    """Return the method that Stripe saved with a successful payment; only its token if the charge is not expanded."""
    if intent.get("status") not in {"succeeded", "requires_capture"} or not intent.get("setup_future_usage"):
        return None
    customer, method = intent.get("customer"), intent.get("payment_method")
    if not isinstance(customer, str) or not isinstance(method, str):
        return None
    charge = intent.get("latest_charge")
    card = _card(charge.get("payment_method_details")) if isinstance(charge, Mapping) else {}
    return SavedMethod(
        gateway_customer_id=customer,
        token=method,
        brand=card.get("brand"),
        last_four=card.get("last4"),
        expires_on=last_day_of(card.get("exp_year"), card.get("exp_month")),
    )


def refund_snapshot_of(refund: Mapping[str, Any]) -> RefundSnapshot:
    """Return what a Refund says. Raises ``KeyError`` if it does not have the form that we know."""
    status = str(refund["status"])
    outcome = REFUND_OUTCOME_OF_STATUS[status]
    return RefundSnapshot(
        gateway_refund_id=str(refund["id"]),
        status=outcome,
        amount=money_of(int(refund["amount"]), str(refund["currency"])),
        failure_code=str(refund.get("failure_reason") or status) if outcome is RefundOutcome.FAILED else None,
    )


def capture_before(charge: Mapping[str, Any]) -> datetime | None:
    """Return the instant (UTC) until which an uncaptured charge can be captured, if the charge states it."""
    seconds = _card(charge.get("payment_method_details")).get("capture_before")
    return instant(seconds) if seconds else None


def _held_until(charge: Mapping[str, Any]) -> datetime | None:
    """Return until when the money of a charge is surely held; None if the charge is not expanded."""
    return capture_before(charge) or (instant(charge["created"]) + ASSUMED_HOLD if charge else None)


def instant(seconds: Any) -> datetime:
    """Return Unix seconds as an aware UTC instant."""
    return datetime.fromtimestamp(int(seconds), tz=UTC)


def failure_code_of(error: Mapping[str, Any]) -> str | None:
    """Return the most specific reason in an error of Stripe's."""
    return error.get("decline_code") or error.get("code") or error.get("type")


def uuid_in(metadata: Any, name: str) -> UUID | None:
    """Return one of our ids from an object's metadata; None if it is missing or not ours."""
    return uuid_or_none(metadata.get(name) if isinstance(metadata, Mapping) else None)


def _card(details: Any) -> Mapping[str, Any]:
    card = details.get("card") if isinstance(details, Mapping) else None
    return card if isinstance(card, Mapping) else {}


def _captured(intent: Mapping[str, Any], charge: Mapping[str, Any], outcome: Outcome) -> int:
    for holder, name in ((intent, "amount_received"), (charge, "amount_captured")):
        if holder.get(name) is not None:
            return int(holder[name])
    return int(intent["amount"]) if outcome is Outcome.SUCCEEDED else 0


def _client_action(intent: Mapping[str, Any]) -> Mapping[str, Any]:
    action: dict[str, Any] = {"type": "stripe_payment_intent", "client_secret": intent.get("client_secret")}
    redirect = (intent.get("next_action") or {}).get("redirect_to_url") or {}
    return {**action, "redirect_url": redirect["url"]} if redirect.get("url") else action
