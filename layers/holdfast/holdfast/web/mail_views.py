"""The operations API's responses about mails, as models; see ``holdfast.web.views``."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from holdfast.notifications.model import Feedback, MailKind, MessageStatus, SuppressionReason


class ShopperMail(BaseModel):
    """A mail to a shopper. ``feedback`` is what the mail service told of it after it had taken it."""

    id: UUID
    kind: MailKind
    order_id: UUID
    shipment_id: UUID | None
    refund_id: UUID | None
    recipient: str | None
    language: str | None
    status: MessageStatus
    attempts: int
    next_attempt_at: datetime | None
    provider_id: str | None
    last_error: str | None
    feedback: Feedback | None
    feedback_at: datetime | None
    resends: int
    created_at: datetime
    sent_at: datetime | None


class MailAnswer(BaseModel):
    """One mail."""

    mail: ShopperMail


class MailPage(BaseModel):
    """Mails, newest first. ``next_before`` is the next page's ``before``; ``null`` on the last page."""

    mails: list[ShopperMail]
    next_before: UUID | None


class MailSuppression(BaseModel):
    """An address that takes no mail of this organization, until ``lifted_at``."""

    id: UUID
    address: str
    reason: SuppressionReason
    message_id: UUID
    created_at: datetime
    lifted_at: datetime | None
    lifted_by: str | None
    lift_reason: str | None


class MailSuppressionAnswer(BaseModel):
    """One suppression."""

    suppression: MailSuppression


class MailSuppressionPage(BaseModel):
    """Suppressions, newest first. ``next_before`` is the next page's ``before``; ``null`` on the last page."""

    suppressions: list[MailSuppression]
    next_before: UUID | None


ANSWERS: tuple[type[BaseModel], ...] = (MailAnswer, MailPage, MailSuppressionAnswer, MailSuppressionPage)
"""The models that routes refer to by name."""
