"""Reads and writes Adyen's data: amounts, references, results. Pure; shared by calls and webhooks.

Source: https://docs.adyen.com/development-resources/currency-codes, /online-payments/payment-result-codes,
/development-resources/refusal-reasons, and Adyen's OpenAPI document of Checkout v72.

**References.** A payment's ``reference`` is our payment id and how the payment is captured (``...-now``,
``...-hold``): Adyen reports no automatic capture, so the reader of AUTHORISATION must know that it was one. A refund's
reference is ``refund-`` and our refund id. The webhook's signature covers the reference.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from holdfast.gateways.amounts import money_from, vendor_amount
from holdfast.gateways.fields import last_day_of, text
from holdfast.gateways.port import Outcome, PaymentSnapshot, SavedMethod
from holdfast.values.errors import NotRepresentable
from holdfast.values.ids import uuid_or_none
from holdfast.values.money import Money, currency_exponent

# Currencies for which Adyen's number of decimals is not that of ISO 4217.
_OWN_EXPONENTS: Final[Mapping[str, int]] = {"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2}
_NOT_TAKEN: Final = frozenset(("CLF", "UYI", "UYW"))

_OUTCOME_OF_RESULT: Final[Mapping[str, Outcome]] = {
    "Authorised": Outcome.AUTHORIZED,
    "Refused": Outcome.DECLINED,
    "Error": Outcome.DECLINED,
    "Cancelled": Outcome.CANCELLED,
    "RedirectShopper": Outcome.REQUIRES_ACTION,
    "IdentifyShopper": Outcome.REQUIRES_ACTION,
    "ChallengeShopper": Outcome.REQUIRES_ACTION,
    "PresentToShopper": Outcome.REQUIRES_ACTION,
    "Pending": Outcome.PROCESSING,
    "Received": Outcome.PROCESSING,
}
_BRANDS: Final[Mapping[str, str]] = {"mc": "mastercard"}

# The minimum time for which a scheme keeps an authorization, for a payment that is final (not a pre-authorization).
# Adyen itself drops an authorization after 28 days and reports that with EXPIRE.
_WINDOW_DAYS: Final[Mapping[str, int]] = {"visa": 7, "mc": 7, "amex": 7, "discover": 10, "diners": 10, "jcb": 7}
_WINDOW_DAYS_OTHERWISE: Final = 7

NOW: Final = "now"
HOLD: Final = "hold"
PROVISIONAL: Final = "reference:"
"""The prefix of the id of a payment to which Adyen has not given one."""
_PAYMENT_REFERENCE: Final = re.compile(r"([0-9a-f-]{36})-(now|hold)")
_REFUND_REFERENCE: Final = re.compile(r"refund-([0-9a-f-]{36})")


def adyen_amount(amount: Money) -> dict[str, Any]:
    """Return ``amount`` in Adyen's form. Raises ``NotRepresentable`` if it would need rounding or is zero."""
    units = vendor_amount(amount, _exponent(amount.currency), "Adyen")
    return {"value": units, "currency": amount.currency}


def money_of(amount: Mapping[str, Any]) -> Money:
    """Return an amount of Adyen's in ISO minor units. Raises ``NotRepresentable`` if that would need rounding."""
    currency = text(amount["currency"])
    return money_from(amount["value"], currency, _exponent(currency), "Adyen")


def _exponent(currency: str) -> int:
    if currency in _NOT_TAKEN:
        raise NotRepresentable(f"Adyen does not take {currency}.", currency=currency)
    return _OWN_EXPONENTS.get(currency, currency_exponent(currency))


def payment_reference(payment_id: UUID, *, capture_now: bool) -> str:
    """Return the reference of a payment."""
    return f"{payment_id}-{NOW if capture_now else HOLD}"


def read_payment_reference(reference: Any) -> tuple[UUID | None, bool]:
    """Return our payment id and whether it is captured at once; (None, False) if the reference is not ours."""
    found = _PAYMENT_REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
    return (uuid_or_none(found[1]), found[2] == NOW) if found else (None, False)


def refund_reference(refund_id: UUID) -> str:
    """Return the reference of a refund."""
    return f"refund-{refund_id}"


def read_refund_reference(reference: Any) -> UUID | None:
    """Return our refund id; None if the reference is not ours."""
    found = _REFUND_REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
    return uuid_or_none(found[1]) if found else None


def window_of(payment_method: Any) -> timedelta:
    """Return the minimum time for which an authorization is valid."""
    days = _WINDOW_DAYS.get(payment_method, _WINDOW_DAYS_OTHERWISE) if isinstance(payment_method, str) else 0
    return timedelta(days=days or _WINDOW_DAYS_OTHERWISE)


def reason_code(reason: Any) -> str:
    """Return a refusal's reason as a code, the same for responses and webhooks.

    ``Not enough balance`` becomes ``not_enough_balance``.
    """
    return re.sub(r"[^a-z0-9]+", "_", str(reason or "refused").lower()).strip("_")


def snapshot_of_result(
    result: Mapping[str, Any], *, reference: str, amount: Money, capture_now: bool
) -> PaymentSnapshot:
    """Return what a response of ``/payments`` or ``/payments/details`` says about the requested payment.

    Raises one of ``UNREADABLE`` if the result does not have the form that we know.
    """
    outcome = _OUTCOME_OF_RESULT[text(result["resultCode"])]
    psp_reference = result.get("pspReference")
    if outcome is Outcome.AUTHORIZED:
        text(psp_reference)
        outcome = Outcome.SUCCEEDED if capture_now else outcome
    declined = outcome is Outcome.DECLINED
    more, method = result.get("additionalData") or {}, result.get("paymentMethod") or {}
    brand = str(method.get("brand") or more.get("paymentMethod") or "")
    return PaymentSnapshot(
        gateway_transaction_id=psp_reference or PROVISIONAL + reference,
        is_provisional=not psp_reference,
        outcome=outcome,
        amount=amount,
        captured_minor=amount.amount_minor if outcome is Outcome.SUCCEEDED else 0,
        capturable_minor=amount.amount_minor if outcome is Outcome.AUTHORIZED else 0,
        failure_code=reason_code(result.get("refusalReason")) if declined else None,
        failure_message=str(result.get("refusalReason") or "Refused") if declined else None,
        client_action=_client_action(result) if outcome is Outcome.REQUIRES_ACTION else None,
        method="card" if method.get("type") == "scheme" else method.get("type"),
        brand=_BRANDS.get(brand, brand) or None,
        last_four=more.get("cardSummary"),
        saved_method=saved_method_of(more, brand) if outcome in _PAID else None,
    )


def saved_method_of(more: Any, brand: Any) -> SavedMethod | None:
    """Return the method that Adyen stored, from the ``additionalData`` of a response or of AUTHORISATION.

    The newer field names take precedence over the older ones.
    """
    if not isinstance(more, Mapping):
        return None
    token = more.get("tokenization.storedPaymentMethodId") or more.get("recurring.recurringDetailReference")
    shopper = more.get("tokenization.shopperReference") or more.get("recurring.shopperReference")
    if not isinstance(token, str) or not isinstance(shopper, str):
        return None
    month, _, year = str(more.get("expiryDate") or "").partition("/")
    return SavedMethod(
        gateway_customer_id=shopper,
        token=token,
        brand=_BRANDS.get(brand, brand) or None if isinstance(brand, str) else None,
        last_four=more.get("cardSummary"),
        expires_on=last_day_of(year, month),
    )


_PAID: Final = frozenset({Outcome.SUCCEEDED, Outcome.AUTHORIZED})


def _client_action(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the action for Adyen's client library to carry out. A plain redirect works without the library."""
    action = result.get("action") or {}
    told: dict[str, Any] = {"type": "adyen_action", "action": action}
    return {**told, "redirect_url": action["url"]} if action.get("type") == "redirect" and action.get("url") else told
