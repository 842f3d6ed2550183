"""The life of a payment (https://docs.adyen.com/online-payments/payment-result-codes)."""

import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final

from local.adyen_server.cards import CARDS, REFUSALS, STORED, Card
from local.adyen_server.ledger import Ledger, kept_json
from local.adyen_server.model import AdyenError, Payment, Stored, new_reference
from local.gateway_server.model import Json, random_text

CREATE_FIELDS: Final = frozenset(
    (
        "additionalData", "amount", "billingAddress", "browserInfo", "captureDelayHours", "channel", "countryCode",
        "deliveryAddress", "lineItems", "merchantAccount", "merchantOrderReference", "metadata", "origin",
        "paymentMethod", "recurringProcessingModel", "reference", "returnUrl", "shopperEmail", "shopperIP",
        "shopperInteraction", "shopperLocale", "shopperName", "shopperReference", "shopperStatement",
        "storePaymentMethod", "telephoneNumber",
    )
)  # fmt: skip
DETAILS_FIELDS: Final = frozenset(("authenticationData", "details", "paymentData", "threeDSAuthenticationOnly"))
SEALED: Final = "adyenjs_0_1_25$"
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


def create(ledger: Ledger, account: str, body: Json, base_url: str, commanded: tuple[str | None, str | None]) -> Json:
    """``POST /payments``.

    A refusal is a result, not an error. Raises ``AdyenError``. ``commanded`` holds a refusal and the fate of refunds.
    """
    refuse_unknown(body, CREATE_FIELDS)
    merchant_account, reference = text(body, "merchantAccount", 80), text(body, "reference", 80)
    amount, currency = amount_of(body)
    metadata = _metadata(body)
    method = body.get("paymentMethod")
    if not isinstance(method, dict) or not isinstance(method.get("type"), str):
        raise AdyenError("14_006", "Required object 'paymentMethod' is not provided.")
    shopper = text(body, "shopperReference", 256) if "shopperReference" in body else None
    store = _is_stored(body, shopper)
    number, card = _card(ledger, account, method, shopper)
    payment = Payment(
        id=new_reference(),
        account=account,
        merchant_account=merchant_account,
        reference=reference,
        amount=amount,
        currency=currency,
        brand=card.brand if card else "",
        last_four=number[-4:],
        kind=method["type"],
        result="Received",
        automatic=_is_automatic(body),
        return_url=body.get("returnUrl"),
        token=str(method.get("holderName") or method.get("storedPaymentMethodId") or ""),
        metadata=metadata,
        refund_fate=commanded[1],
        number=number,
        shopper_reference=shopper,
        store=store and card is not None,
    )
    refusal = commanded[0] or str(method.get("holderName"))
    if refusal in REFUSALS:
        payment.refusal, payment.refusal_code = REFUSALS[refusal]
    if (card.asks_authentication if card else method["type"] == "ideal") and not payment.return_url:
        raise AdyenError("130", "Required field 'returnUrl' is not provided.")
    ledger.payments[payment.id] = payment
    ledger.changes += 1
    if (card is None and method["type"] == "ideal") or (card and card.asks_authentication):
        payment.result = "RedirectShopper"
        url = f"{base_url}/_control/redirect/{payment.id}"
        # As at Adyen, this answer has neither reference.
        return {
            "resultCode": payment.result,
            "action": {"paymentMethodType": payment.kind, "url": url, "method": "GET", "type": "redirect"},
        }
    if card is None:
        return result_json(payment)
    return _decide(ledger, payment)


def details(ledger: Ledger, account: str, body: Json) -> Json:
    """``POST /payments/details``: the payment goes on with what the shopper came back with."""
    refuse_unknown(body, DETAILS_FIELDS)
    given = body.get("details")
    came_back_with = given.get("redirectResult") if isinstance(given, dict) else None
    for payment in ledger.payments.values():
        if payment.account == account and came_back_with and payment.redirect_result == came_back_with:
            if payment.result != "RedirectShopper":
                return result_json(payment)
            if not payment.authenticated:
                payment.refusal, payment.refusal_code = "3D Not Authenticated", "11"
            return _decide(ledger, payment)
    raise AdyenError("14_018", "Invalid payload provided")


def authenticate(ledger: Ledger, payment: Payment, *, succeed: bool) -> None:
    """Record what the shopper did at the bank. The payment goes on when the caller submits the result."""
    if payment.result != "RedirectShopper":
        raise AdyenError("14_018", f"This payment does not wait for the shopper: it is {payment.result}.")
    payment.redirect_result, payment.authenticated = random_text(64), succeed
    ledger.changes += 1


def settle(ledger: Ledger, payment: Payment) -> None:
    """Let a payment that takes its time (``Received``) arrive."""
    if payment.result == "Received":
        _decide(ledger, payment)


def expire(ledger: Ledger, payment: Payment) -> None:
    """Let the authorization expire: the held money is released."""
    if not payment.open:
        raise AdyenError("167", "Nothing is held.")
    payment.open = False
    ledger.tell("EXPIRE", payment, new_reference(), amount=payment.amount)


def result_json(payment: Payment) -> Json:
    """Return what ``/payments`` answers once there is a result."""
    answer: Json = {
        "pspReference": payment.id,
        "resultCode": payment.result,
        "amount": {"currency": payment.currency, "value": payment.amount},
        "merchantReference": payment.reference,
        "paymentMethod": {"type": payment.kind} | ({"brand": payment.brand} if payment.brand else {}),
        "additionalData": {
            "cardSummary": payment.last_four,
            "paymentMethod": payment.brand or payment.kind,
            **kept_json(payment),
        },
    }
    if payment.refusal:
        answer |= {"refusalReason": payment.refusal, "refusalReasonCode": payment.refusal_code}
    return answer


def _decide(ledger: Ledger, payment: Payment) -> Json:
    if payment.refusal:
        payment.result = "Refused"
    else:
        payment.result = "Authorised"
        payment.open, payment.captured = not payment.automatic, payment.amount if payment.automatic else 0
        if payment.store:
            shopper = payment.shopper_reference or ""
            kept = Stored(new_reference(), payment.account, payment.merchant_account, shopper, payment.number)
            ledger.stored[kept.id] = kept
            payment.stored = kept.id
    ledger.tell_authorisation(payment, success=not payment.refusal)
    return result_json(payment)


def forget(ledger: Ledger, account: str, identifier: str, query: Mapping[str, str]) -> None:
    """``DELETE /storedPaymentMethods/{id}``. Raises ``AdyenError``."""
    kept = ledger.stored.get(identifier)
    asked = (account, query.get("merchantAccount"), query.get("shopperReference"))
    if kept is None or (kept.account, kept.merchant_account, kept.shopper_reference) != asked:
        raise AdyenError("800", "Contract not found")
    del ledger.stored[identifier]
    ledger.changes += 1


def _is_stored(body: Json, shopper: str | None) -> bool:
    store = body.get("storePaymentMethod", False)
    if not isinstance(store, bool):
        raise AdyenError("702", "storePaymentMethod is true or false")
    if store and (shopper is None or len(shopper) < 3):
        raise AdyenError("130", "Required field 'shopperReference' is not provided.")
    if store and body.get("recurringProcessingModel") not in {"CardOnFile", "Subscription", "UnscheduledCardOnFile"}:
        raise AdyenError("130", "Required field 'recurringProcessingModel' is not provided.")
    return store


def _card(ledger: Ledger, account: str, method: Json, shopper: str | None) -> tuple[str, Card | None]:
    """Return the number and the card, or no card for a payment method that is none. Raises ``AdyenError``."""
    if method["type"] != "scheme":
        if method["type"] not in {"ideal", "sepadirectdebit"}:
            raise AdyenError("14_012", f"The provided paymentMethod type '{method['type']}' is not supported.")
        return "", None
    stored = method.get("storedPaymentMethodId")
    if stored is not None:
        kept = ledger.stored.get(stored)
        if kept is not None and (kept.account, kept.shopper_reference) == (account, shopper):
            return kept.number, CARDS[kept.number]
        if stored not in STORED:
            raise AdyenError("803", "PaymentDetail not found")
        return STORED[stored], CARDS[STORED[stored]]
    number = _decrypted(method.get("encryptedCardNumber"))
    if number not in CARDS:
        raise AdyenError("101", "Invalid card number")
    return number, CARDS[number]


def _decrypted(field: Any) -> str:
    """Return what an encrypted field holds: Adyen's own test form, or base64 where Adyen's library encrypts."""
    given = str(field)
    if not given.startswith(SEALED):
        return given.removeprefix("test_")
    try:
        return b64decode(given.removeprefix(SEALED), validate=True).decode()
    except ValueError:
        return ""


def _is_automatic(body: Json) -> bool:
    more = body.get("additionalData", {})
    if not isinstance(more, dict) or not all(isinstance(value, str) for value in more.values()):
        raise AdyenError("702", "additionalData is a map of strings")
    delay = body.get("captureDelayHours", 0)
    if isinstance(delay, bool) or not isinstance(delay, int):
        raise AdyenError("702", "captureDelayHours is a number")
    return more.get("manualCapture") != "true" and delay == 0


def _metadata(body: Json) -> dict[str, str]:
    metadata = body.get("metadata", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise AdyenError("702", "metadata is a map of strings")
    too_long = any(len(name) > 20 or len(value) > 80 for name, value in metadata.items())
    if len(metadata) > 20 or too_long:
        raise AdyenError("177", "Metadata size exceeds limit")
    return metadata


def refuse_unknown(body: Json, known: frozenset[str]) -> None:
    """Raise ``AdyenError`` for a field that Adyen does not have, as Adyen does."""
    unknown = sorted(body.keys() - known)
    if unknown:
        raise AdyenError("702", f"Unexpected input: {unknown[0]}", status=400)


def text(body: Json, name: str, longest: int) -> str:
    """Return a string of a bounded length. Raises ``AdyenError``."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise AdyenError("130", f"Required field '{name}' is not provided.")
    if len(value) > longest:
        raise AdyenError("131", f"Field '{name}' is too long.")
    return value


def amount_of(body: Json) -> tuple[int, str]:
    """Return a positive amount and its currency. Raises ``AdyenError``."""
    amount: Any = body.get("amount")
    if not isinstance(amount, dict) or amount.keys() != {"value", "currency"}:
        raise AdyenError("100", "No amount specified")
    value, currency = amount["value"], amount["currency"]
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise AdyenError("138", "Currency is not supported")
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise AdyenError("137", "Invalid amount specified")
    return value, currency
