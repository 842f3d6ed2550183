"""What the server remembers of Stripe's own objects. Times are Unix seconds, amounts are in Stripe's smallest units."""

from dataclasses import dataclass, field
from typing import Any, Final

API_VERSION: Final = "2026-10-28.endive"


@dataclass(slots=True)
class Intent:
    """A PaymentIntent."""

    id: str
    account: str
    amount: int
    currency: str
    created: int
    capture_method: str
    client_secret: str
    status: str = "requires_payment_method"
    amount_capturable: int = 0
    amount_received: int = 0
    card_token: str | None = None
    payment_method: str | None = None
    payment_method_types: list[str] = field(default_factory=lambda: ["card"])
    automatic_payment_methods: dict[str, Any] | None = None
    customer: str | None = None
    setup_future_usage: str | None = None
    description: str | None = None
    receipt_email: str | None = None
    return_url: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    canceled_at: int | None = None
    cancellation_reason: str | None = None
    last_payment_error: dict[str, Any] | None = None
    next_action: dict[str, Any] | None = None
    latest_charge: str | None = None
    charges: list[str] = field(default_factory=list)
    refunds: list[str] = field(default_factory=list)
    decline_code: str | None = None
    """Set on command: the bank's refusal, whatever the card is."""
    refund_fate: str | None = None
    """Set on command: the fate of its refunds, whatever the card is."""


@dataclass(slots=True)
class Charge:
    """One attempt at the bank."""

    id: str
    account: str
    intent: str
    amount: int
    currency: str
    created: int
    status: str
    card_token: str
    payment_method: str
    captured: bool = False
    amount_captured: int = 0
    amount_refunded: int = 0
    """Refunds alone. Since API version 2025-03-31, what was held and not captured does not count."""
    capture_before: int | None = None
    method: str = "card"
    failure_code: str | None = None
    decline_code: str | None = None
    failure_message: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    disputed: bool = False
    dispute_status: str = "needs_response"


@dataclass(slots=True)
class Refund:
    """Money on its way back."""

    id: str
    account: str
    intent: str
    charge: str
    amount: int
    currency: str
    created: int
    status: str
    reason: str | None = None
    failure_reason: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class PaymentMethod:
    """A payment method that was made from a test card."""

    id: str
    card_token: str
    account: str
    created: int
    customer: str | None = None
    """The customer it is attached to."""
    is_spent: bool = False
    """Whether it was used, or was attached and then detached. Only the customer it is attached to can use it again."""


@dataclass(slots=True)
class Customer:
    """Somebody who can save payment methods."""

    id: str
    account: str
    created: int
    description: str | None = None
    email: str | None = None
    name: str | None = None
    phone: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
