"""Adyen's test payment methods (https://docs.adyen.com/development-resources/testing/test-card-numbers)."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Card:
    """The meaning of a card number in the test environment."""

    brand: str
    asks_authentication: bool = False


CARDS: Final[dict[str, Card]] = {
    "4111111111111111": Card("visa"),
    "5555444433331111": Card("mc"),
    "370000000000002": Card("amex"),
    "4917610000000000": Card("visa", asks_authentication=True),
}
"""The cards by number. An encrypted test number is written with ``test_`` before it."""
STORED: Final[dict[str, str]] = {"8416038790273850": "4111111111111111", "8416038790273851": "4917610000000000"}
"""Stored payment methods that every company has."""
REFUSALS: Final[dict[str, tuple[str, str]]] = {
    "DECLINED": ("Refused", "2"),
    "BLOCK_CARD": ("Blocked Card", "5"),
    "CARD_EXPIRED": ("Expired Card", "6"),
    "INVALID_CARD": ("Invalid Card Number", "8"),
    "ISSUER_UNAVAILABLE": ("Issuer Unavailable", "9"),
    "NOT_ENOUGH_BALANCE": ("Not enough balance", "12"),
    "FRAUD": ("FRAUD", "20"),
    "CVC_DECLINED": ("CVC Declined", "24"),
}
"""``holderName`` -> refusalReason and refusalReasonCode. Any other holder, such as ``APPROVED``, may pay."""
