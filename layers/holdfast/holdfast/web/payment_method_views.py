"""The API's responses about saved payment methods, as models; see ``web.views``."""

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel


class PaymentMethod(BaseModel):
    """A method that a gateway keeps for its customer. ``expires_on`` is the last day on which it is good."""

    id: UUID
    gateway: str
    brand: str | None
    last_four: str | None
    expires_on: date | None
    is_default: bool
    created_at: datetime


class PaymentMethodList(BaseModel):
    """All that are kept for the customer, the default first."""

    payment_methods: list[PaymentMethod]


class PaymentMethodAnswer(BaseModel):
    """One of them, as it is now, or as it was when it was removed."""

    payment_method: PaymentMethod


ANSWERS: tuple[type[BaseModel], ...] = (PaymentMethodAnswer, PaymentMethodList)
"""The models that routes refer to by name."""
