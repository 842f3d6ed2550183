"""Restore an archived order into the active tables, at a person's request or because of an event of its payment."""

import logging
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.archive.policy import ReconciliationType
from holdfast.database.transaction import Transaction
from holdfast.flows.archive.archived_documents import Entry, open_document, read_document
from holdfast.flows.archive.examine_orders import Tally, log_look
from holdfast.flows.archive.find_archived import find_archived
from holdfast.runtime import Runtime
from holdfast.values.errors import NotFound

_REFERENCE: Final = """
    SELECT r.order_id, r.payment_id
      FROM payments.payment_events e
      JOIN archive.payment_references r
        ON r.organization_id = e.organization_id AND r.gateway_account_id = e.gateway_account_id
       AND r.gateway_transaction_id = e.gateway_transaction_id
     WHERE e.organization_id = :organization_id AND e.id = :event_id
"""
_logger = logging.getLogger(__name__)


def restore_order(runtime: Runtime, organization_id: UUID, order_id: UUID, now: datetime, actor: str, why: str) -> bool:
    """Restore an order after its document was proven, replaying its history. Return whether there was anything to do.

    The archive keeps its copy, and archiving the order again adds a version. Raises NotFound for an order that is not
    in the archive.
    """
    entry = find_archived(runtime, organization_id, str(order_id), now, actor)
    if entry is None:
        raise NotFound("there is no such order in the archive")
    text = read_document(runtime, organization_id, entry, now, actor)
    return runtime.database.transact(
        organization_id, lambda opened: _bring_back(opened, runtime, entry, text, why), now=now, actor=actor
    )


def _bring_back(transaction: Transaction, runtime: Runtime, entry: Entry, text: str, why: str) -> bool:
    began = time.monotonic()
    _, personal = open_document(transaction, runtime, text)
    done = bool(
        transaction.value(
            "SELECT archive.bring_back(:organization_id, :order_id, :document, CAST(:personal AS jsonb))",
            organization_id=transaction.tenant,
            order_id=entry.order_id,
            document=text,
            personal=personal,
        )
    )
    if done:
        log_look(
            transaction,
            ReconciliationType.RESTORE,
            Tally(checked=1, resolved=1),
            duration_ms=int((time.monotonic() - began) * 1000),
            batch_id=entry.batch_id,
            details={"order_id": str(entry.order_id), "why": why, "from": entry.location},
        )
    return done


def recall_for_event(
    runtime: Runtime, organization_id: UUID, claimed: Mapping[str, Any], now: datetime, actor: str
) -> Mapping[str, Any] | None:
    """Return a claimed payment event with its order in the active tables, restoring the order if necessary.

    Return ``None`` if the event was applied before its order was archived; then nothing is restored.
    """
    if claimed["order_id"] is not None and not claimed["is_archived"]:
        return claimed
    event_id = UUID(claimed["id"])
    with runtime.database.transaction(organization_id, now=now, actor=actor) as transaction:
        reference = transaction.row(_REFERENCE, organization_id=organization_id, event_id=event_id)
    if reference is None:
        return claimed
    entry = find_archived(runtime, organization_id, str(reference.order_id), now, actor)
    if entry is not None:
        text = read_document(runtime, organization_id, entry, now, actor)
        if f'"gateway_event_id": "{claimed["gateway_event_id"]}"' in text and claimed["order_id"] is None:
            return None
        why = f"news of its payment: {claimed['event_type']}"
        runtime.database.transact(
            organization_id, lambda opened: _bring_back(opened, runtime, entry, text, why), now=now, actor=actor
        )
        _logger.info("order %s was brought back from the archive for a payment event", entry.order_id)
    with runtime.database.transaction(organization_id, now=now, actor=actor) as transaction:
        transaction.execute(
            "UPDATE payments.payment_events SET payment_id = :payment_id WHERE organization_id = :o AND id = :id",
            o=organization_id,
            payment_id=reference.payment_id,
            id=event_id,
        )
    return {
        **claimed,
        "order_id": str(reference.order_id),
        "payment_id": str(reference.payment_id),
        "is_archived": False,
    }
