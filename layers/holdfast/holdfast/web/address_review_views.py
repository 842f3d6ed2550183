"""The API's responses about address reviews, as models; see ``holdfast.web.views``."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from holdfast.addresses.model import AddressReviewStatus, AddressReviewStep, GeocodeFailureReason, GeocodeFallback
from holdfast.values.shipping import ShippingPreference


class AddressUnderReview(BaseModel):
    """An address, without who lives there."""

    line1: str
    line2: str | None
    city: str
    region: str | None
    postal_code: str
    country: str


class AddressCheck(BaseModel):
    """What the correction page shows. ``reason`` is why the address was not found; ``timezone`` whose wall clock the
    deadline was counted on."""

    order_number: str
    status: AddressReviewStatus
    reason: GeocodeFailureReason | None
    address: AddressUnderReview
    deadline_at: datetime
    timezone: str


class AddressCheckAnswer(BaseModel):
    """A review, as its shopper sees it."""

    address_review: AddressCheck


class AddressReview(BaseModel):
    """A review, as staff see it. ``address`` is the order's as it is now; ``fallback`` where the order was taken to go
    when its address was not found; ``extendable_until_at`` the latest deadline it may be given."""

    id: UUID
    order_id: UUID
    order_number: str
    status: AddressReviewStatus
    shipping_preference: ShippingPreference
    address: dict[str, str | None]
    reason: GeocodeFailureReason | None
    fallback: GeocodeFallback | None
    timezone: str
    deadline_at: datetime
    extendable_until_at: datetime
    reminder_at: datetime
    reminded_at: datetime | None
    notified_at: datetime | None
    resolved_at: datetime | None
    resolved_by: str | None
    version: int
    created_at: datetime


class AddressReviewEntry(BaseModel):
    """Something that was done about a review."""

    sequence: int
    step: AddressReviewStep
    taken_by: str
    notes: str | None
    details: dict[str, Any]
    at: datetime


class AddressReviewWithSteps(AddressReview):
    """A review with its history, oldest step first."""

    steps: list[AddressReviewEntry]


class AddressReviewAnswer(BaseModel):
    """One review."""

    address_review: AddressReviewWithSteps


class AddressReviewPage(BaseModel):
    """Reviews, the nearest deadline first. ``next_after`` is the next page's ``after``; ``null`` on the last page."""

    address_reviews: list[AddressReview]
    next_after: UUID | None


ANSWERS: tuple[type[BaseModel], ...] = (AddressCheckAnswer, AddressReviewAnswer, AddressReviewPage)
"""The models that routes refer to by name."""
