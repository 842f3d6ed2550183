"""Fold the rows of a warehouse's daily load, which checkouts append, into one row a day."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.operations.in_batches import in_batches, organizations_with
from holdfast.runtime import Runtime


def fold_load(
    runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float], *, actor: str
) -> int:
    """Fold what is there, once per organization, and return how many days of warehouses were folded.

    The load is the same before and after, because it is summed when it is read.
    """
    organizations = _with_crowded_load(runtime, clock(), actor)
    folded, _ = in_batches(runtime, organizations, _fold, clock, time_left_seconds, actor=actor, once=True)
    return folded


def _fold(transaction: Transaction, _: int) -> int:
    return int(
        transaction.execute_and_commit(
            "SELECT inventory.roll_up_daily_load(:organization_id, :now)",
            organization_id=transaction.tenant,
            now=transaction.now,
        )
    )


def _with_crowded_load(runtime: Runtime, now: datetime, actor: str) -> list[UUID]:
    return organizations_with(
        runtime,
        now,
        """
        SELECT DISTINCT organization_id FROM (
            SELECT organization_id FROM inventory.warehouse_daily_load
             GROUP BY organization_id, warehouse_id, load_date HAVING count(*) > 1) crowded
        """,
        actor=actor,
    )
