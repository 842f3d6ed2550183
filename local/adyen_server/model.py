"""What the server remembers of Adyen's own objects. Amounts are in Adyen's minor units."""

import string
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from local.gateway_server.model import Json, Refusal, random_text

_REFERENCE_ALPHABET: Final = string.ascii_uppercase + string.digits


class AdyenError(Refusal):
    """An answer that is no success (https://docs.adyen.com/development-resources/error-codes)."""

    def __init__(self, code: str, message: str, *, status: int = 422, kind: str = "validation") -> None:
        body: Json = {"status": status, "errorCode": code, "message": message, "errorType": kind}
        super().__init__(status, body)


@dataclass(slots=True)
class Payment:
    """A payment, whatever became of it. Its id is the PSP reference, given out once there is a result."""

    id: str
    account: str
    merchant_account: str
    reference: str
    amount: int
    currency: str
    brand: str
    last_four: str
    kind: str
    """``paymentMethod.type``"""
    result: str
    """The last ``resultCode``; Authorised stays, whatever is done to the payment afterwards."""
    automatic: bool
    """Captured by Adyen itself."""
    return_url: str | None = None
    refusal: str | None = None
    refusal_code: str | None = None
    redirect_result: str | None = None
    """What the shopper comes back with, once they acted."""
    authenticated: bool = False
    captured: int = 0
    lost: int = 0
    """What captures took and the scheme refused after all."""
    refunded: int = 0
    open: bool = False
    """Whether something is held that can be captured or cancelled."""
    token: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    modifications: list[str] = field(default_factory=list)
    refund_fate: str | None = None
    """Set on command: what becomes of its refunds."""
    number: str = ""
    shopper_reference: str | None = None
    store: bool = False
    """Whether its method is to be kept for the shopper once it is authorised."""
    stored: str | None = None
    """Under which id it is kept."""

    @property
    def held(self) -> int:
        """What captures have left, if it was not let go."""
        return self.amount - self.captured - self.lost if self.open else 0


@dataclass(slots=True)
class Stored:
    """A payment method that is kept for a shopper."""

    id: str
    account: str
    merchant_account: str
    shopper_reference: str
    number: str


@dataclass(slots=True)
class Modification:
    """A capture, a cancellation or a refund on its way."""

    id: str
    account: str
    payment: str
    kind: str
    """capture, cancel, technical_cancel, refund or reversal"""
    amount: int
    currency: str
    reference: str | None = None
    status: str = "received"
    """received, done, failed; a refund or a capture that was done may be undone"""


def new_reference() -> str:
    """A PSP reference: 16 characters."""
    return random_text(16, _REFERENCE_ALPHABET)


def event_date(at: datetime | None = None) -> str:
    """An instant as Adyen writes it: no fractions, with an offset."""
    return (at or datetime.now(UTC)).isoformat(timespec="seconds")
