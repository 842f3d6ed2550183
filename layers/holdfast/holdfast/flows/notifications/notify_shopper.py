"""What an event tells the shopper: its mail is recorded once and sent at once."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.notifications.deliver_message import ACTOR, Claimed, Result, deliver_claimed, deliver_message
from holdfast.notifications.occasions import Occasion, occasion_of
from holdfast.notifications.retry_policy import LEASE_SECONDS
from holdfast.runtime import Runtime
from holdfast.values.ids import uuid7


def notify_shopper(
    runtime: Runtime, topic: str, event: Mapping[str, Any], clock: Callable[[], datetime]
) -> Result | None:
    """Handle one event of the bus.

    Returns ``None`` if it calls for no mail, or for one that is being sent or done. Raises KeyError or ValueError for
    an event without the ids that its topic promises.
    """
    occasion = occasion_of(topic, event)
    if occasion is None:
        return None
    organization_id = UUID(event["organization_id"])
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        made = _written_down(transaction, occasion)
    if made is not None:
        return deliver_claimed(runtime, organization_id, made, clock)
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        known: UUID = transaction.value(
            """
            SELECT m.id FROM notifications.messages m
             WHERE m.organization_id = :organization_id AND m.subject_id = :subject_id AND m.kind = :kind
            """,
            organization_id=transaction.tenant,
            subject_id=occasion.subject_id,
            kind=str(occasion.kind),
        )
    return deliver_message(runtime, organization_id, known, clock)


def _written_down(transaction: Transaction, occasion: Occasion) -> Claimed | None:
    """Create and claim the mail's row in one commit; return ``None`` if the event came before."""
    made: UUID | None = transaction.execute_and_commit(
        """
        INSERT INTO notifications.messages (organization_id, id, subject_id, kind, order_id, shipment_id, refund_id,
                                            status, attempts, next_attempt_at, created_at)
        VALUES (:organization_id, :id, :subject_id, :kind, :order_id, :shipment_id, :refund_id,
                'sending', 1, :lease_until, :now)
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
        lease_until=transaction.now + timedelta(seconds=LEASE_SECONDS),
        now=transaction.now,
    )
    if made is None:
        return None
    return Claimed(made, occasion.kind, occasion.order_id, occasion.shipment_id, occasion.refund_id, attempts=1)
