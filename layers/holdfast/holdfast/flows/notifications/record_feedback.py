"""Record the mail service's feedback and suppress addresses that bounce for good or whose owner complains.

A suppressed address gets no more mail from that shop. Feedback that comes twice is recorded once, and a suppression
that a person lifted stays lifted. Of a mail whose recipient was erased, only that there was feedback is recorded.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.mail.ses_feedback import Told, read_feedback
from holdfast.notifications.model import NEEDED, Feedback, MailKind, MessageStatus, SuppressionReason
from holdfast.runtime import Runtime
from holdfast.values.ids import uuid7

ACTOR: Final = "system:mail_feedback"
PROCESS: Final = Process.ADDRESS_CHECK_BOUNCED

_REASONS: Final = {Feedback.BOUNCED: SuppressionReason.BOUNCE, Feedback.COMPLAINED: SuppressionReason.COMPLAINT}

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Mail:
    id: UUID
    kind: MailKind
    order_id: UUID
    recipient: str | None
    status: MessageStatus

    def addresses(self, told: Told) -> Sequence[str]:
        """Return whom the feedback is about: nobody if that was erased."""
        if self.recipient is not None:
            return [self.recipient]
        # While it is being sent, the feedback may come before the recipient is written down.
        return told.addresses if self.status is MessageStatus.SENDING else []


def record_feedback(runtime: Runtime, event: Mapping[str, Any], now: datetime) -> Feedback | None:
    """Record one event of the mail service.

    Returns ``None`` if it is about no mail of ours or is of no kind that counts. Raises KeyError or ValueError for an
    event that does not have the form that the service documents.
    """
    told = read_feedback(event)
    if told is None:
        return None
    with runtime.database.transaction(told.organization_id, now=now, actor=ACTOR) as transaction:
        mail = _noted(transaction, told)
        if mail is None:
            _logger.warning("the mail service told of mail %s, which is not ours", told.message_id)
            return None
        reason = _REASONS.get(told.feedback)
        if reason is not None:
            for address in mail.addresses(told):
                _suppress(transaction, mail, address, reason, told.feedback_id)
        if told.feedback is not Feedback.COMPLAINED and mail.kind in NEEDED:
            details = f"the mail {mail.kind} came back: the shopper does not know that the order waits for them"
            call_person(transaction, PROCESS, mail.order_id, details, {"mail_id": str(mail.id)})
    return told.feedback


def _noted(transaction: Transaction, told: Told) -> _Mail | None:
    """Store the feedback with its mail, unless later feedback is there (by the service's clock); return the mail."""
    transaction.execute(
        """
        UPDATE notifications.messages SET feedback = :feedback, feedback_at = :told_at
         WHERE organization_id = :organization_id AND id = :id AND (feedback_at IS NULL OR feedback_at < :told_at)
        """,
        organization_id=transaction.tenant,
        id=told.message_id,
        feedback=str(told.feedback),
        told_at=told.told_at,
    )
    row = transaction.row(
        """
        SELECT m.id, m.kind, m.order_id, m.recipient, m.status FROM notifications.messages m
         WHERE m.organization_id = :organization_id AND m.id = :id
           FOR UPDATE -- an erasure comes before or after
        """,
        organization_id=transaction.tenant,
        id=told.message_id,
    )
    if row is None:
        return None
    return _Mail(row.id, MailKind(row.kind), row.order_id, row.recipient, MessageStatus(row.status))


def _suppress(transaction: Transaction, mail: _Mail, address: str, reason: SuppressionReason, feedback_id: str) -> None:
    transaction.execute(
        """
        INSERT INTO notifications.suppressions (organization_id, id, address, reason, message_id, feedback_id,
                                                created_at)
        VALUES (:organization_id, :id, lower(:address), :reason, :message_id, :feedback_id, :now)
        ON CONFLICT DO NOTHING
        """,
        organization_id=transaction.tenant,
        id=uuid7(transaction.now),
        address=address,
        reason=str(reason),
        message_id=mail.id,
        feedback_id=feedback_id,
        now=transaction.now,
    )
