"""A gateway's news in our own terms. Whoever only stores news needs no more of the flows than this module."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from holdfast.payments.state import PaymentNews


@dataclass(frozen=True, slots=True)
class Tidings:
    """News of one payment with what accompanies it."""

    news: PaymentNews
    currency: str | None = None
    event_id: UUID | None = None
    gateway_transaction_id: str | None = None
    refund_id: UUID | None = None
    gateway_capture_id: str | None = None
    """For a refund: the capture that it gives back, if the gateway tells."""
    saved_method: Mapping[str, Any] | None = None
    """The payment method that the gateway keeps on file, if any."""
    client_action: Mapping[str, Any] | None = None
    method: str | None = None
    brand: str | None = None
    last_four: str | None = None
