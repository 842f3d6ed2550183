"""What the server remembers of Square's own objects. Instants are RFC 3339, amounts in the currency's smallest unit."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from local.gateway_server.model import Json, Refusal

API_VERSION: Final = "2026-09-16"


class SquareError(Refusal):
    """An error answer (https://developer.squareup.com/docs/build-basics/general-considerations/handling-errors)."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        category: str = "INVALID_REQUEST_ERROR",
        status: int = 400,
        field: str | None = None,
        stored: bool = False,
        **more: Any,
    ) -> None:
        error = {"category": category, "code": code, "detail": detail}
        super().__init__(status, {"errors": [error | ({"field": field} if field else {})], **more}, stored=stored)


@dataclass(slots=True)
class Seller:
    """The account behind an access token. Its id is the token."""

    id: str
    merchant_id: str
    location_id: str
    currency: str = "USD"


@dataclass(slots=True)
class Payment:
    """A card payment."""

    id: str
    account: str
    location_id: str
    amount: int
    currency: str
    source_id: str
    created_at: str
    updated_at: str
    delay_duration: str
    delay_action: str
    delayed_until: str
    status: str
    version: int = 0
    approved: int = 0
    refunded: int = 0
    reference_id: str | None = None
    note: str | None = None
    customer_id: str | None = None
    failure_code: str | None = None
    authorized_at: str | None = None
    captured_at: str | None = None
    voided_at: str | None = None
    refunds: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    """What the control surface can select payments by: ``reference_id`` and ``note``."""
    refund_fate: str | None = None
    """Set on command: the fate of its refunds."""
    idempotency_key: str = ""
    is_on_file: bool = False
    """Whether it was made with a card that its customer has on file."""


@dataclass(slots=True)
class Customer:
    """Somebody who can have cards on file."""

    id: str
    account: str
    created_at: str
    given: dict[str, str]
    """Names, the reference and whatever else was given."""


@dataclass(slots=True)
class OnFile:
    """A card that a customer has on file."""

    id: str
    account: str
    customer_id: str
    source_id: str
    """The sandbox card that it stands for."""
    created_at: str
    reference_id: str | None = None
    enabled: bool = True


@dataclass(slots=True)
class Refund:
    """Money on its way back."""

    id: str
    account: str
    payment: str
    amount: int
    currency: str
    created_at: str
    updated_at: str
    status: str = "PENDING"
    reason: str | None = None


def rfc3339(at: datetime | None = None) -> str:
    """Return an instant as Square writes it; the present, if none is given."""
    return (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def money(amount: int, currency: str) -> Json:
    """Return an amount as Square writes it."""
    return {"amount": amount, "currency": currency}
