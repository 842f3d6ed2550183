"""Call a person: the only way for a flow to put what it cannot settle itself into the inbox of process failures."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.operations.process_names import Process
from holdfast.values.ids import uuid7


def call_person(
    transaction: Transaction,
    process: Process,
    related_id: UUID,
    details: str,
    payload: Mapping[str, Any] | None = None,
    *,
    renews: bool = False,
) -> None:
    """Put a failure into the inbox, in the transaction that met it.

    The same process about the same thing (``related_id``) has one open failure, however often it is met. With
    ``renews``, its details and payload become those of the latest occurrence. ``details`` is read by people and must
    not name a person. Raises ValueError for a name that ``Process`` does not have.
    """
    transaction.execute(
        """
        INSERT INTO operations.process_failures AS f (organization_id, id, process_name, related_id, details, payload,
                                                      created_at)
        VALUES (:organization_id, :id, :process_name, :related_id, :details, CAST(:payload AS jsonb), :now)
        ON CONFLICT (organization_id, process_name, related_id) WHERE status = 'open'
        DO UPDATE SET details = excluded.details, payload = excluded.payload WHERE CAST(:renews AS boolean)
        """,
        organization_id=transaction.tenant,
        id=uuid7(transaction.now),
        process_name=Process(process),
        related_id=related_id,
        details=details,
        payload=dict(payload or {}),
        now=transaction.now,
        renews=renews,
    )
