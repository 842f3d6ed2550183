"""Check that the stock ledger adds up to the present levels, every night and by a command.

It is repaired by recorded movements only.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_OID, UUID, uuid5

from holdfast.database.transaction import Transaction, records
from holdfast.flows.claims.claimed_change import Render, change_once
from holdfast.flows.claims.idempotency import Answer, Claim
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.flows.stock.read_stock import levels_of
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, NotFound
from holdfast.values.ids import uuid7

ACTOR: Final = "system:ledger_check"
PROCESS: Final = Process.STOCK_LEDGER
LOOKED_AT_NIGHTLY: Final = timedelta(days=2)
"""Twice the time between two checks, so that no movement stays unchecked if one night is missed."""
DIFFERENCES_MAX: Final = 200
ORDERS_SHOWN_MAX: Final = 20

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LedgerCheck:
    """What one run found. ``finished`` is False if the time ran out, or an organization could not be checked."""

    organizations: int
    differences: int
    finished: bool


def check_ledger(
    runtime: Runtime,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    *,
    whole: bool = False,
) -> LedgerCheck:
    """Compare every level with its movements. Each difference becomes a process failure that names the orders.

    Every level is compared with its last movement. Whether each movement continues the one before it is checked for
    those of the last two days, or for all of them with ``whole``.
    """
    with runtime.database.transaction(None, now=clock(), actor=ACTOR) as transaction:
        organizations = [row[0] for row in transaction.rows("SELECT o.id FROM tenancy.organizations o ORDER BY o.id")]
    looked_at = differences = 0
    for organization_id in organizations:
        if time_left_seconds() <= 0:
            break
        try:
            differences += runtime.database.transact(
                organization_id, lambda transaction: _check(transaction, whole=whole), now=clock(), actor=ACTOR
            )
        except Exception:
            # A failure of one organization must not keep the others from being checked. The run counts as unfinished.
            _logger.exception("the ledger of organization %s could not be checked", organization_id)
            continue
        looked_at += 1
    return LedgerCheck(looked_at, differences, looked_at == len(organizations))


def _check(transaction: Transaction, *, whole: bool) -> int:
    found = records(
        transaction.rows(
            "SELECT * FROM inventory.ledger_differences(:organization_id, CAST(:since AS timestamptz), :limit)",
            organization_id=transaction.tenant,
            since=None if whole else transaction.now - LOOKED_AT_NIGHTLY,
            limit=DIFFERENCES_MAX,
        )
    )
    for difference in found:
        _report(transaction, difference)
    return len(found)


def _report(transaction: Transaction, difference: Mapping[str, Any]) -> None:
    payload = {
        **difference,
        "warehouse_id": str(difference["warehouse_id"]),
        "variant_id": str(difference["variant_id"]),
        "orders": _orders(transaction, difference),
    }
    details = (
        f"the level has {difference['on_hand']} on hand and {difference['reserved']} reserved, its ledger"
        f" {difference['ledger_on_hand']} and {difference['ledger_reserved']};"
        f" {difference['broken_joins']} movements do not join"
    )
    related_id = level_id(difference["warehouse_id"], difference["variant_id"])
    call_person(transaction, PROCESS, related_id, details, payload, renews=True)


def _orders(transaction: Transaction, difference: Mapping[str, Any]) -> Sequence[str]:
    """Return the orders that last moved the level, newest first."""
    rows = transaction.rows(
        """
        SELECT m.reference_id FROM inventory.stock_movements m
         WHERE m.organization_id = :organization_id AND m.warehouse_id = :warehouse_id AND m.variant_id = :variant_id
           AND m.reference_type = 'order'
         ORDER BY m.level_version DESC LIMIT :limit
        """,
        organization_id=transaction.tenant,
        warehouse_id=difference["warehouse_id"],
        variant_id=difference["variant_id"],
        limit=ORDERS_SHOWN_MAX,
    )
    return list(dict.fromkeys(str(row[0]) for row in rows))


def level_id(warehouse_id: UUID, variant_id: UUID) -> UUID:
    """Return one id for a level, which process failures about it use as their ``related_id``."""
    return uuid5(NAMESPACE_OID, f"{warehouse_id}/{variant_id}")


def compensate_ledger(
    runtime: Runtime,
    caller: Caller,
    claim: Claim,
    *,
    warehouse_id: UUID,
    variant_id: UUID,
    now: datetime,
    render: Render,
) -> Answer:
    """Bring the ledger of a level in line with its row, by recorded movements.

    Raises NotFound, or Conflict if they agree already.
    """

    def change(transaction: Transaction) -> Mapping[str, Any]:
        compensation_id = uuid7(now)
        written = transaction.value(
            """
            SELECT inventory.compensate_level(:organization_id, :now, :warehouse_id, :variant_id, :reference_id, :actor)
            """,
            organization_id=transaction.tenant,
            now=now,
            warehouse_id=warehouse_id,
            variant_id=variant_id,
            reference_id=compensation_id,
            actor=transaction.actor,
        )
        if written is None:
            raise NotFound("there is no such stock level")
        if written == 0:
            raise Conflict("the level and its ledger agree")
        [level] = levels_of(transaction, warehouse_id, [variant_id])
        return {"id": str(compensation_id), "movements": written, "level": level}

    return change_once(runtime, caller, claim, Operation.COMPENSATE_LEDGER, now, change, render)
