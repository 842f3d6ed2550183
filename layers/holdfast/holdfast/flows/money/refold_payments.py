"""Recompute payments from their stored events with the present code, and report what differs. Writes nothing.

Whatever settles a payment is stored as an event, webhooks and answers alike, so folding all processed events gives the
row. Where it does not, either somebody changed the row or the folding code has changed since.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.money.dispute_meant import DisputeUnknown, names_payment, with_dispute
from holdfast.flows.money.event_record import tidings_from
from holdfast.payments.facts_record import to_json
from holdfast.payments.model import PaymentStatus
from holdfast.payments.state import PaymentFacts, derive_status, join
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import InvalidInput

PAGE_MAX_ROWS: Final = 200
ACTOR: Final = "system:refold_payments"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which payments to recompute: one, or those made since an instant, after a cursor (a payment's id)."""

    payment_id: UUID | None = None
    since: datetime | None = None
    after: UUID | None = None
    limit: int = PAGE_MAX_ROWS


def refold_for(runtime: Runtime, caller: Caller, chosen: Chosen, now: datetime) -> dict[str, Any]:
    """Return a page for a member of staff. Raises Forbidden."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.REFOLD_PAYMENTS)
        return refold_page(transaction, chosen)


def refold_all(runtime: Runtime, organization_id: UUID, chosen: Chosen, now: datetime) -> Iterator[dict[str, Any]]:
    """Yield every page of an organization, each read in a short transaction of its own."""
    while True:
        with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
            page = refold_page(transaction, chosen)
        yield page
        if page["next_after"] is None:
            return
        chosen = Chosen(chosen.payment_id, chosen.since, UUID(page["next_after"]), chosen.limit)


def refold_page(transaction: Transaction, chosen: Chosen) -> dict[str, Any]:
    """Return how many payments were folded, every difference, and the cursor of the next page."""
    limit = min(chosen.limit, PAGE_MAX_ROWS)
    payments = _payments(transaction, chosen, limit)
    events = _events(transaction, [row["id"] for row in payments])
    return {
        "checked": len(payments),
        "differences": [found for row in payments for found in _differences(row, events.get(row["id"], ()))],
        "next_after": str(payments[-1]["id"]) if len(payments) == limit else None,
    }


def _payments(transaction: Transaction, chosen: Chosen, limit: int) -> list[Mapping[str, Any]]:
    return records(
        transaction.rows(
            """
            SELECT p.id, p.amount, p.currency, p.gateway_transaction_id, p.facts, p.status, p.captured_amount,
                   p.capturable_amount, p.refunded_amount, p.charged_back_amount, p.failure_code, p.failure_message,
                   payments.refunding(p.organization_id, p.id) AS refunding
              FROM payments.payments p
             WHERE p.organization_id = :organization_id
               AND (CAST(:payment_id AS uuid) IS NULL OR p.id = CAST(:payment_id AS uuid))
               AND (CAST(:since AS timestamptz) IS NULL OR p.id >= tenancy.uuid_v7_floor(CAST(:since AS timestamptz)))
               AND (CAST(:after AS uuid) IS NULL OR p.id > CAST(:after AS uuid))
             ORDER BY p.id LIMIT :limit
            """,
            organization_id=transaction.tenant,
            payment_id=chosen.payment_id,
            since=chosen.since,
            after=chosen.after,
            limit=limit,
        )
    )


def _events(transaction: Transaction, payment_ids: Sequence[UUID]) -> dict[UUID, list[Mapping[str, Any]]]:
    """Return the processed events of each payment, in order of arrival.

    The order does not matter to the fold, except that news which does not identify its dispute must come last.
    """
    rows = transaction.rows(
        """
        SELECT e.id::text AS id, e.payment_id, e.event_type, e.news, e.gateway_transaction_id
          FROM payments.payment_events e
         WHERE e.organization_id = :organization_id AND e.payment_id = ANY (CAST(:payment_ids AS uuid[]))
           AND e.state = 'processed'
         ORDER BY e.payment_id, e.id
        """,
        organization_id=transaction.tenant,
        payment_ids=[str(payment_id) for payment_id in payment_ids],
    )
    return {payment_id: list(group) for payment_id, group in groupby(records(rows), lambda row: row["payment_id"])}


def _differences(row: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    try:
        facts = _fold(row, events)
    except (InvalidInput, DisputeUnknown) as impossible:
        yield _difference(row, "events", "processed", impossible.detail)
        return
    refolded, stored = to_json(facts), row["facts"] or to_json(PaymentFacts(amount_minor=row["amount"]))
    for name in sorted(refolded.keys() | stored.keys()):
        if stored.get(name) != refolded.get(name):
            yield _difference(row, f"facts.{name}", stored.get(name), refolded.get(name))
    columns = _columns(row, facts)
    for name, value in columns.items():
        if row[name] != value:
            yield _difference(row, name, row[name], value)


def _fold(row: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> PaymentFacts:
    facts, told = PaymentFacts(amount_minor=row["amount"]), []
    for event in events:
        try:
            tidings = tidings_from(event)
        except (KeyError, TypeError, ValueError) as unreadable:
            raise InvalidInput(f"event {event['id']} cannot be read any more: {unreadable!r}") from unreadable
        if tidings.currency not in (None, row["currency"]):
            raise InvalidInput(f"event {event['id']} is in {tidings.currency}")
        if {tidings.gateway_transaction_id, row["gateway_transaction_id"]} - {None, row["gateway_transaction_id"]}:
            raise InvalidInput(f"event {event['id']} is of {tidings.gateway_transaction_id}")
        told.append(tidings)
    reference = row["gateway_transaction_id"]
    for tidings in sorted(told, key=lambda one: (names_payment(one, reference), one.news.occurred_at)):
        facts = join(facts, with_dispute(tidings, facts, reference).news)
    return facts


def _columns(row: Mapping[str, Any], facts: PaymentFacts) -> dict[str, Any]:
    """Return the columns as a settlement writes them."""
    status = derive_status(facts)
    failed = status is PaymentStatus.FAILED
    left = facts.taken_minor - facts.refunded_minor - row["refunding"]
    return {
        "status": str(status),
        "captured_amount": facts.taken_minor,
        "capturable_amount": facts.remaining_minor,
        "refunded_amount": facts.refunded_minor,
        "charged_back_amount": max(min(facts.charged_back_minor, left), 0),
        "failure_code": facts.failure_code if failed else None,
        "failure_message": facts.failure_message if failed else None,
    }


def _difference(row: Mapping[str, Any], field: str, stored: Any, refolded: Any) -> dict[str, Any]:
    return {"payment_id": str(row["id"]), "field": field, "stored": stored, "refolded": refolded}
