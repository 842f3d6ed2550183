"""What an event tells the shopper: the mail is written down once, and sent at once."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.notifications.deliver_message import ACTOR, Result, deliver_message
from holdfast.notifications.occasions import Occasion, occasion_of
from holdfast.runtime import Runtime
from holdfast.values.ids import uuid7


def notify_shopper(
    runtime: Runtime, topic: str, event: Mapping[str, Any], clock: Callable[[], datetime]
) -> Result | None:
    """Take one event of the bus; ``None``: it calls for no mail, or for one that is under way or done.

    Raises KeyError or ValueError for an event without the ids that its topic promises.
    """
    occasion = occasion_of(topic, event)
    if occasion is None:
        return None
    organization_id = UUID(event["organization_id"])
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        message_id = _owed(transaction, occasion)
    return deliver_message(runtime, organization_id, message_id, clock)


def _owed(transaction: Transaction, occasion: Occasion) -> UUID:
    """The mail's row: a new one, or the one that is there when the event came before."""
    made: UUID | None = transaction.value(
        """
        INSERT INTO notifications.messages (organization_id, id, subject_id, kind, order_id, shipment_id, refund_id,
                                            next_attempt_at, created_at)
        VALUES (:organization_id, :id, :subject_id, :kind, :order_id, :shipment_id, :refund_id, :now, :now)
        ON CONFLICT ON CONSTRAINT messages_once DO NOTHING
        RETURNING id
        """,
        organization_id=transaction.tenant,
        id=uuid7(transaction.now),
        subject_id=occasion.subject_id,
        kind=str(occasion.kind),
        order_id=occasion.order_id,
        shipment_id=occasion.shipment_id,
        refund_id=occasion.refund_id,
        now=transaction.now,
    )
    if made is not None:
        return made
    known: UUID = transaction.value(
        """
        SELECT m.id FROM notifications.messages m
         WHERE m.organization_id = :organization_id AND m.subject_id = :subject_id AND m.kind = :kind
        """,
        organization_id=transaction.tenant,
        subject_id=occasion.subject_id,
        kind=str(occasion.kind),
    )
    return known
