"""What the server remembers of Adyen's own objects. Amounts are in Adyen's minor units."""

import string
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from local.gateway_server.model import Json, Refusal, random_text

_REFERENCE_ALPHABET: Final = string.ascii_uppercase + string.digits


class AdyenError(Refusal):
    """An error answer (https://docs.adyen.com/development-resources/error-codes)."""

    def __init__(self, code: str, message: str, *, status: int = 422, kind: str = "validation") -> None:
        body: Json = {"status": status, "errorCode": code, "message": message, "errorType": kind}
        super().__init__(status, body)


@dataclass(slots=True)
class Payment:
    """A payment, whatever its outcome. Its id is the PSP reference, which is assigned once there is a result."""

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
    """The last ``resultCode``. Authorised stays, whatever is done to the payment afterwards."""
    automatic: bool
    """Whether Adyen captures it automatically."""
    return_url: str | None = None
    refusal: str | None = None
    refusal_code: str | None = None
    redirect_result: str | None = None
    """What the shopper comes back with after acting."""
    authenticated: bool = False
    captured: int = 0
    lost: int = 0
    """What captures took but the scheme refused later."""
    refunded: int = 0
    open: bool = False
    """Whether an amount is held that can be captured or cancelled."""
    token: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    modifications: list[str] = field(default_factory=list)
    refund_fate: str | None = None
    """Set on command: the fate of its refunds."""
    number: str = ""
    shopper_reference: str | None = None
    store: bool = False
    """Whether its payment method is to be stored for the shopper once the payment is authorised."""
    stored: str | None = None
    """The id under which the payment method is stored."""

    @property
    def held(self) -> int:
        """The amount that is still held: what captures have left, or 0 when the authorization was released."""
        return self.amount - self.captured - self.lost if self.open else 0


@dataclass(slots=True)
class Stored:
    """A payment method that is stored for a shopper."""

    id: str
    account: str
    merchant_account: str
    shopper_reference: str
    number: str


@dataclass(slots=True)
class Modification:
    """A capture, a cancellation or a refund that was requested."""

    id: str
    account: str
    payment: str
    kind: str
    """capture, cancel, technical_cancel, refund or reversal"""
    amount: int
    currency: str
    reference: str | None = None
    status: str = "received"
    """received, done or failed; a refund or capture that was done may become undone"""


def new_reference() -> str:
    """Return a PSP reference: 16 characters."""
    return random_text(16, _REFERENCE_ALPHABET)


def event_date(at: datetime | None = None) -> str:
    """Return an instant as Adyen writes it: without fractions, with an offset."""
    return (at or datetime.now(UTC)).isoformat(timespec="seconds")
