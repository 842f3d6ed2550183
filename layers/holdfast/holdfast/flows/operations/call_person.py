"""Ask for a person: the one way into the inbox of process failures for what a flow cannot settle by itself."""

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
    """Put a failure into the inbox, with the transaction that met it.

    The same trouble of the same thing is one open failure, however often it is met; ``renews``: its words and its
    payload are then those of the latest time. ``details`` is read by people and names nobody. Raises ValueError for a
    name that ``Process`` does not have.
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
