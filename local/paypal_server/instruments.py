"""What buyers pay with here, and what becomes of each.

PayPal's own sandbox has other names for the same fates (https://developer.paypal.com/tools/sandbox/card-testing/ and
/tools/sandbox/negative-testing/).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class RefundFate(StrEnum):
    """What becomes of the refunds of a capture."""

    SUCCEEDS = "succeeds"
    FAILS_LATER = "fails_later"
    PENDING_FIRST = "pending_first"


@dataclass(frozen=True, slots=True)
class Instrument:
    """A card or a PayPal account."""

    kind: str
    """``card`` or ``paypal``."""
    last_digits: str = ""
    brand: str = "VISA"
    processor_code: str | None = None
    """The bank's refusal: the capture or authorization is created, as DECLINED or DENIED."""
    issue: str | None = None
    """PayPal's refusal: nothing is created, and the answer is 422 with this issue."""
    asks_authentication: bool = False
    capture_pends: bool = False
    refund_fate: RefundFate = RefundFate.SUCCEEDS


INSTRUMENTS: Final[dict[str, Instrument]] = {
    "visa4242": Instrument("card", "4242"),
    "amex0005": Instrument("card", "0005", brand="AMEX"),
    "declined5120": Instrument("card", "9995", processor_code="5120"),
    "declined0500": Instrument("card", "0002", processor_code="0500"),
    "expired5400": Instrument("card", "0069", processor_code="5400"),
    "asks3ds": Instrument("card", "3184", asks_authentication=True),
    "refundfails": Instrument("card", "5126", refund_fate=RefundFate.FAILS_LATER),
    "refundpends": Instrument("card", "7726", refund_fate=RefundFate.PENDING_FIRST),
    "wallet": Instrument("paypal"),
    "echeck": Instrument("paypal", capture_pends=True),
    "emptywallet": Instrument("paypal", issue="INSTRUMENT_DECLINED"),
    "lockedwallet": Instrument("paypal", issue="PAYER_ACCOUNT_LOCKED_OR_CLOSED"),
}

ISSUES: Final = {
    "INSTRUMENT_DECLINED": (
        "The instrument presented was either declined by the processor or bank, or it can't be used for this payment."
    ),
    "PAYER_ACCOUNT_LOCKED_OR_CLOSED": "The payer account cannot be used for this transaction.",
    "PAYER_CANNOT_PAY": "Payer cannot pay for this transaction.",
    "TRANSACTION_REFUSED": "The request was refused.",
}
