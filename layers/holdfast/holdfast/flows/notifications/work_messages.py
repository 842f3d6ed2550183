"""What the operations team does with mails: list them, resend one, lift an address's suppression."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.claims.claimed_change import Render, change_once
from holdfast.flows.claims.idempotency import Answer, Claim
from holdfast.notifications.model import MessageStatus
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, NotFound

PAGE_MAX_ROWS: Final = 100
_WAITING: Final = (MessageStatus.PENDING, MessageStatus.SENDING)


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, and under which idempotency key."""

    caller: Caller
    claim: Claim


def list_messages(
    runtime: Runtime,
    caller: Caller,
    *,
    order_id: UUID | None,
    status: MessageStatus | None,
    before: UUID | None,
    limit: int,
    now: datetime,
) -> dict[str, Any]:
    """Return a page of mails, newest first, and the cursor of the next page. Raises Forbidden."""
    limit = min(limit, PAGE_MAX_ROWS)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_MAILS)
        rows = transaction.rows(
            """
            SELECT m.id, m.kind, m.order_id, m.shipment_id, m.refund_id, m.recipient, m.language, m.status, m.attempts,
                   m.next_attempt_at, m.provider_id, m.last_error, m.feedback, m.feedback_at, m.resends, m.created_at,
                   m.sent_at
              FROM notifications.messages m
             WHERE m.organization_id = :organization_id
               AND (CAST(:order_id AS uuid) IS NULL OR m.order_id = :order_id)
               AND (CAST(:status AS text) IS NULL OR m.status = :status)
               AND (CAST(:before AS uuid) IS NULL OR m.id < CAST(:before AS uuid))
             ORDER BY m.id DESC LIMIT :limit
            """,
            organization_id=transaction.tenant,
            order_id=order_id,
            status=status,
            before=before,
            limit=limit,
        )
    mails = [_shown(row) for row in records(rows)]
    return {"mails": mails, "next_before": mails[-1]["id"] if len(mails) == limit else None}


def resend_message(runtime: Runtime, request: Request, mail_id: UUID, now: datetime, render: Render) -> Answer:
    """Have a mail sent again, written anew from the order as it is. The sender's next run takes it.

    Raises Forbidden, NotFound, or Conflict if the mail waits to be sent anyway, its order is gone or its address is
    suppressed.
    """

    def change(transaction: Transaction) -> Mapping[str, Any]:
        row = transaction.row(
            """
            SELECT m.status, o.email
              FROM notifications.messages m
              LEFT JOIN orders.orders o ON o.organization_id = m.organization_id AND o.id = m.order_id
             WHERE m.organization_id = :organization_id AND m.id = :id FOR NO KEY UPDATE OF m
            """,
            organization_id=transaction.tenant,
            id=mail_id,
        )
        if row is None:
            raise NotFound("there is no such mail")
        if row.status in _WAITING:
            raise Conflict(f"the mail is {row.status}: it is sent without being asked for")
        if row.email is None:
            raise Conflict("the order of the mail is no longer here")
        if is_suppressed(transaction, row.email):
            raise Conflict("the address takes no mail: lift its suppression first")
        transaction.execute(
            """
            UPDATE notifications.messages
               SET status = 'pending', attempts = 0, next_attempt_at = :now, last_error = NULL, resends = resends + 1
             WHERE organization_id = :organization_id AND id = :id
            """,
            organization_id=transaction.tenant,
            id=mail_id,
            now=now,
        )
        return _found(transaction, mail_id)

    return change_once(runtime, request.caller, request.claim, Operation.RESEND_MAIL, now, change, render)


def list_suppressions(
    runtime: Runtime, caller: Caller, *, address: str | None, before: UUID | None, limit: int, now: datetime
) -> dict[str, Any]:
    """Return a page of suppressions, newest first and lifted ones included, and the cursor of the next page.

    Raises Forbidden.
    """
    limit = min(limit, PAGE_MAX_ROWS)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_MAIL_SUPPRESSIONS)
        rows = transaction.rows(
            """
            SELECT s.id, s.address, s.reason, s.message_id, s.created_at, s.lifted_at, s.lifted_by, s.lift_reason
              FROM notifications.suppressions s
             WHERE s.organization_id = :organization_id
               AND (CAST(:address AS text) IS NULL OR s.address = lower(:address))
               AND (CAST(:before AS uuid) IS NULL OR s.id < CAST(:before AS uuid))
             ORDER BY s.id DESC LIMIT :limit
            """,
            organization_id=transaction.tenant,
            address=address,
            before=before,
            limit=limit,
        )
    found = [_suppression(row) for row in records(rows)]
    return {"suppressions": found, "next_before": found[-1]["id"] if len(found) == limit else None}


def lift_suppression(
    runtime: Runtime, request: Request, suppression_id: UUID, reason: str, now: datetime, render: Render
) -> Answer:
    """Let the address receive mail again, and record the reason.

    Raises Forbidden, NotFound, or Conflict if the suppression is lifted already.
    """

    def change(transaction: Transaction) -> Mapping[str, Any]:
        changed = transaction.execute(
            """
            UPDATE notifications.suppressions SET lifted_at = :now, lifted_by = :actor, lift_reason = :reason
             WHERE organization_id = :organization_id AND id = :id AND lifted_at IS NULL
            """,
            organization_id=transaction.tenant,
            id=suppression_id,
            now=now,
            actor=transaction.actor,
            reason=reason,
        )
        rows = transaction.rows(
            """
            SELECT s.id, s.address, s.reason, s.message_id, s.created_at, s.lifted_at, s.lifted_by, s.lift_reason
              FROM notifications.suppressions s WHERE s.organization_id = :organization_id AND s.id = :id
            """,
            organization_id=transaction.tenant,
            id=suppression_id,
        )
        if not rows:
            raise NotFound("there is no such suppression")
        if not changed:
            raise Conflict("the suppression is lifted already")
        return _suppression(records(rows)[0])

    return change_once(runtime, request.caller, request.claim, Operation.LIFT_MAIL_SUPPRESSION, now, change, render)


def _found(transaction: Transaction, mail_id: UUID) -> Mapping[str, Any]:
    rows = transaction.rows(
        """
        SELECT m.id, m.kind, m.order_id, m.shipment_id, m.refund_id, m.recipient, m.language, m.status, m.attempts,
               m.next_attempt_at, m.provider_id, m.last_error, m.feedback, m.feedback_at, m.resends, m.created_at,
               m.sent_at
          FROM notifications.messages m WHERE m.organization_id = :organization_id AND m.id = :id
        """,
        organization_id=transaction.tenant,
        id=mail_id,
    )
    return _shown(records(rows)[0])


def _shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    ids = ("id", "order_id", "shipment_id", "refund_id")
    instants = ("next_attempt_at", "feedback_at", "created_at", "sent_at")
    return {
        **row,
        **{name: row[name] and str(row[name]) for name in ids},
        **{name: row[name] and row[name].isoformat() for name in instants},
    }


def _suppression(row: Mapping[str, Any]) -> Mapping[str, Any]:
    instants = {name: row[name] and row[name].isoformat() for name in ("created_at", "lifted_at")}
    return {**row, **instants, "id": str(row["id"]), "message_id": str(row["message_id"])}


def is_suppressed(transaction: Transaction, address: str) -> bool:
    """Return whether the address is suppressed in this organization."""
    found = transaction.value(
        """
        SELECT s.id FROM notifications.suppressions s
         WHERE s.organization_id = :organization_id AND s.address = lower(:address) AND s.lifted_at IS NULL
        """,
        organization_id=transaction.tenant,
        address=address,
    )
    return found is not None
