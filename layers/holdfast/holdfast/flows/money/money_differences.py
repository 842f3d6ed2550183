"""Differences of money: recorded once each, brought to a person, and closed when a check finds them gone."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.operations.process_names import Process
from holdfast.payments.reconciliation import FROM_GATEWAY, DifferenceKind
from holdfast.values.ids import uuid7

PROCESS: Final = Process.MONEY_DIFFERENCE

Found = Mapping[str, Any]
"""A difference: {kind, subject_id, order_id, payment_id, ours, gateways, amount_at_risk, currency, details}."""


def record_differences(transaction: Transaction, day: str, found: Sequence[Found]) -> None:
    """Open new differences, refresh known ones, and call a person about each.

    A person who resolves the call has put to rest what it said: the difference is closed and not opened again until its
    kind, its amount or its details are others.
    """
    if not found:
        return
    now = transaction.now
    rows = [
        {**each, "id": str(uuid7(now)), "failure_id": str(uuid7(now)), "subject_id": str(each["subject_id"])}
        | {name: each[name] and str(each[name]) for name in ("order_id", "payment_id")}
        for each in found
    ]
    transaction.execute(
        """
        WITH looked_at AS (
            SELECT f.*, EXISTS (
                       SELECT 1 FROM operations.process_failures x
                        WHERE x.organization_id = :organization_id AND x.related_id = f.subject_id
                          AND x.process_name = :process AND x.status = 'resolved'
                          AND NOT starts_with(x.resolved_by, 'system:') AND x.details = f.details
                          AND x.payload ->> 'kind' = f.kind
                          AND x.payload ->> 'amount_at_risk' = f.amount_at_risk::text) AS rests
              FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS f (
                id uuid, failure_id uuid, kind text, subject_id uuid, order_id uuid, payment_id uuid, ours bigint,
                gateways bigint, amount_at_risk bigint, currency text, details text)
        ), rested AS (
            UPDATE payments.money_differences d SET status = 'resolved', resolved_at = :now, resolution = :rested
              FROM looked_at f
             WHERE f.rests AND d.organization_id = :organization_id AND d.kind = f.kind
               AND d.subject_id = f.subject_id AND d.status = 'open'
        ), found AS (
            SELECT * FROM looked_at WHERE NOT rests
        ), raised AS (
            INSERT INTO operations.process_failures
                (organization_id, id, process_name, related_id, details, payload, created_at)
            SELECT DISTINCT ON (f.subject_id) CAST(:organization_id AS uuid), f.failure_id, :process, f.subject_id,
                   f.details, jsonb_build_object('kind', f.kind, 'amount_at_risk', f.amount_at_risk,
                   'currency', f.currency, 'order_id', f.order_id, 'payment_id', f.payment_id), :now
              FROM found f ORDER BY f.subject_id, f.kind
            ON CONFLICT (organization_id, process_name, related_id) WHERE status = 'open' DO NOTHING
        )
        INSERT INTO payments.money_differences (
            organization_id, id, day, kind, subject_id, order_id, payment_id, ours, gateways, amount_at_risk, currency,
            details, first_seen_at, last_seen_at)
        SELECT :organization_id, f.id, CAST(:day AS date), f.kind, f.subject_id, f.order_id, f.payment_id, f.ours,
               f.gateways, f.amount_at_risk, f.currency, f.details, :now, :now
          FROM found f
        ON CONFLICT (organization_id, kind, subject_id) WHERE status = 'open' DO UPDATE
           SET ours = excluded.ours, gateways = excluded.gateways, amount_at_risk = excluded.amount_at_risk,
               details = excluded.details, last_seen_at = excluded.last_seen_at
        """,
        organization_id=transaction.tenant,
        rows=json.dumps(rows),
        process=PROCESS,
        rested="put to rest by a person: see the process failure",
        day=day,
        now=now,
    )


def close_differences(
    transaction: Transaction,
    kinds: Sequence[DifferenceKind],
    *,
    not_seen_since: datetime,
    subject_id: UUID | None = None,
    resolution: str = "no longer there",
) -> int:
    """Close the open differences of these kinds (of one subject or of all) not seen since ``not_seen_since``.

    Returns how many were closed.
    """
    return transaction.execute(
        """
        WITH closed AS (
            UPDATE payments.money_differences
               SET status = 'resolved', resolved_at = :now, resolution = :resolution
             WHERE organization_id = :organization_id AND status = 'open' AND kind = ANY (CAST(:kinds AS text[]))
               AND last_seen_at < :not_seen_since
               AND (CAST(:subject_id AS uuid) IS NULL OR subject_id = CAST(:subject_id AS uuid))
            RETURNING id, subject_id
        ), told AS (
            UPDATE operations.process_failures f
               SET status = 'resolved', resolved_at = :now, resolved_by = :actor, resolution_notes = :resolution,
                   version = version + 1
             WHERE f.organization_id = :organization_id AND f.process_name = :process AND f.status = 'open'
               AND f.related_id IN (SELECT subject_id FROM closed)
               AND NOT EXISTS (
                   SELECT 1 FROM payments.money_differences d
                    WHERE d.organization_id = f.organization_id AND d.subject_id = f.related_id AND d.status = 'open'
                      AND d.id NOT IN (SELECT id FROM closed))
        )
        SELECT id FROM closed
        """,
        organization_id=transaction.tenant,
        kinds=[str(kind) for kind in kinds],
        not_seen_since=not_seen_since,
        subject_id=subject_id,
        resolution=resolution,
        process=PROCESS,
        actor=transaction.actor,
        now=transaction.now,
    )


def close_archived(transaction: Transaction) -> None:
    """Close the open differences that only a gateway can resolve about orders that lie in the archive.

    Such an order was archived because whoever was called about its money resolved that. News of it brings it back.
    """
    transaction.execute(
        """
        UPDATE payments.money_differences d
           SET status = 'resolved', resolved_at = :now, resolution = 'the order lies in the archive'
          FROM archive.archive_index x
         WHERE d.organization_id = :organization_id AND d.status = 'open' AND d.kind = ANY (CAST(:kinds AS text[]))
           AND x.organization_id = d.organization_id AND x.order_id = d.order_id AND x.location <> 'restored'
        """,
        organization_id=transaction.tenant,
        kinds=sorted(FROM_GATEWAY),
        now=transaction.now,
    )


def open_at_gateways(transaction: Transaction, limit: int) -> list[Mapping[str, Any]]:
    """Return payments with an open difference that only their gateway can resolve, longest unseen first."""
    return records(
        transaction.rows(
            """
            SELECT payment_id, order_id FROM payments.money_differences
             WHERE organization_id = :organization_id AND status = 'open' AND kind = ANY (CAST(:kinds AS text[]))
             GROUP BY payment_id, order_id ORDER BY min(last_seen_at) LIMIT :limit
            """,
            organization_id=transaction.tenant,
            kinds=sorted(FROM_GATEWAY),
            limit=limit,
        )
    )
