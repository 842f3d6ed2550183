"""Stripe's test payment methods, and how each behaves (https://docs.stripe.com/testing)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class RefundFate(StrEnum):
    """What becomes of the refunds of a charge."""

    SUCCEEDS = "succeeds"
    FAILS_LATER = "fails_later"
    PENDING_FIRST = "pending_first"


@dataclass(frozen=True, slots=True)
class Decline:
    """A bank's refusal."""

    code: str
    decline_code: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Card:
    """A test card and its behavior."""

    last4: str
    brand: str = "visa"
    decline: Decline | None = None
    asks_authentication: bool = False
    refund_fate: RefundFate = RefundFate.SUCCEEDS
    disputed: bool = False


_DECLINED: Final = "Your card was declined."
_MESSAGES: Final = {
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
}
# These are error codes of their own. Every other refusal is a card_declined with a decline_code.
_OWN_CODES: Final = frozenset(("expired_card", "incorrect_cvc", "processing_error"))


def decline_with(decline_code: str) -> Decline:
    """Return the refusal with this decline code."""
    code = decline_code if decline_code in _OWN_CODES else "card_declined"
    return Decline(code, decline_code, _MESSAGES.get(decline_code, _DECLINED))


CARDS: Final[dict[str, Card]] = {
    "pm_card_visa": Card("4242"),
    "pm_card_visa_debit": Card("5556"),
    "pm_card_mastercard": Card("4444", brand="mastercard"),
    "pm_card_amex": Card("8431", brand="amex"),
    "pm_card_chargeDeclined": Card("0002", decline=decline_with("generic_decline")),
    "pm_card_visa_chargeDeclined": Card("0002", decline=decline_with("generic_decline")),
    "pm_card_chargeDeclinedInsufficientFunds": Card("9995", decline=decline_with("insufficient_funds")),
    "pm_card_chargeDeclinedLostCard": Card("9987", decline=decline_with("lost_card")),
    "pm_card_chargeDeclinedStolenCard": Card("9979", decline=decline_with("stolen_card")),
    "pm_card_chargeDeclinedExpiredCard": Card("0069", decline=decline_with("expired_card")),
    "pm_card_chargeDeclinedIncorrectCvc": Card("0127", decline=decline_with("incorrect_cvc")),
    "pm_card_chargeDeclinedProcessingError": Card("0119", decline=decline_with("processing_error")),
    "pm_card_chargeDeclinedFraudulent": Card("0019", decline=decline_with("fraudulent")),
    "pm_card_authenticationRequired": Card("3184", asks_authentication=True),
    "pm_card_threeDSecure2Required": Card("3220", asks_authentication=True),
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": Card(
        "9995", asks_authentication=True, decline=decline_with("insufficient_funds")
    ),
    "pm_card_refundFail": Card("5126", refund_fate=RefundFate.FAILS_LATER),
    "pm_card_pendingRefund": Card("7726", refund_fate=RefundFate.PENDING_FIRST),
    "pm_card_createDispute": Card("0259", disputed=True),
}
