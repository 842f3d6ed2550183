"""Square's sandbox cards (https://developer.squareup.com/docs/devtools/sandbox/payments)."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Card:
    """The meaning of a payment token in the sandbox."""

    brand: str = "VISA"
    last_4: str = "5858"
    bin: str = "453275"
    error: str | None = None
    needs_verification: bool = False


CARDS: Final[dict[str, Card]] = {
    "cnon:card-nonce-ok": Card(),
    "cnon:card-nonce-requires-verification": Card(needs_verification=True),
    "cnon:card-nonce-declined": Card(error="GENERIC_DECLINE"),
    "cnon:card-nonce-rejected-cvv": Card(error="CVV_FAILURE"),
    "cnon:card-nonce-rejected-postalcode": Card(error="ADDRESS_VERIFICATION_FAILURE"),
    "cnon:card-nonce-rejected-expiration": Card(error="INVALID_EXPIRATION"),
    "ccof:customer-card-id-ok": Card(),
    "ccof:customer-card-id-declined": Card(error="GENERIC_DECLINE"),
    "ccof:customer-card-id-requires-verification": Card(needs_verification=True),
}
