"""`python -m local refold`: recompute payments from their stored events with the present code, on any database.

Nothing is written. It prints every difference and exits with 1 when there is one, so that a pipeline can stop at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.flows.money.refold_payments import Chosen, refold_all
from holdfast.runtime import Runtime


def refold(
    runtime: Runtime, chosen: Chosen, organization_id: UUID | None, now: datetime, write: Callable[[str], Any]
) -> int:
    """Fold every chosen payment, page by page, and return the exit status."""
    checked = differences = 0
    for organization in [organization_id] if organization_id else _organizations(runtime, now):
        for page in refold_all(runtime, organization, chosen, now):
            checked += page["checked"]
            differences += len(page["differences"])
            for found in page["differences"]:
                write(
                    f"payment {found['payment_id']} {found['field']}:"
                    f" {found['stored']!r} stored, {found['refolded']!r} by its events"
                )
    write(f"{checked} payments recomputed, {differences} differences, nothing written")
    return 1 if differences else 0


def _organizations(runtime: Runtime, now: datetime) -> Iterator[UUID]:
    with runtime.database.transaction(None, now=now, actor="system:refold_payments") as transaction:
        rows = transaction.rows("SELECT id FROM tenancy.organizations ORDER BY id")
    yield from (row.id for row in rows)
