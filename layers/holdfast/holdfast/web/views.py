"""The API's responses, as models.

No function imports them: the OpenAPI document is built from them, and tests check the responses against it. Instants
are ISO 8601 with an offset; amounts are whole minor units of the ``currency`` beside them.
"""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from holdfast.web import (
    address_review_views,
    allocation_views,
    archive_views,
    dead_letter_views,
    mail_views,
    money_views,
    order_views,
    payment_method_views,
    process_failure_views,
    shipment_views,
    stock_views,
)


class GuestSession(BaseModel):
    """A token to send as ``Authorization: Bearer``, and the id of the customer it stands for."""

    token: str
    token_type: Literal["Bearer"]
    expires_in_seconds: int
    customer_id: UUID


class WebhookReceived(BaseModel):
    """The webhook is kept, now or from an earlier delivery."""

    received: Literal[True]


class Health(BaseModel):
    """The database answers."""

    status: Literal["ok"]


class OpenApiDocument(BaseModel):
    """This document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]


class FieldError(BaseModel):
    """What is wrong with one field of the request."""

    field: str
    message: str


class Problem(BaseModel):
    """RFC 9457 problem details. ``code`` is stable; further members depend on it, such as ``items`` or ``order``."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    correlation_id: str | None = None
    errors: list[FieldError] | None = None


class GatewayMessage(BaseModel):
    """API Gateway's own answer, when it lets no function see the request."""

    message: str


ANSWERS: tuple[type[BaseModel], ...] = (
    GatewayMessage,
    GuestSession,
    Health,
    OpenApiDocument,
    Problem,
    WebhookReceived,
    *address_review_views.ANSWERS,
    *allocation_views.ANSWERS,
    *archive_views.ANSWERS,
    *dead_letter_views.ANSWERS,
    *mail_views.ANSWERS,
    *money_views.ANSWERS,
    *order_views.ANSWERS,
    *payment_method_views.ANSWERS,
    *process_failure_views.ANSWERS,
    *shipment_views.ANSWERS,
    *stock_views.ANSWERS,
)
"""The models that routes refer to by name."""
