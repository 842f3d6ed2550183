"""Overrides by which a warehouse takes more or fewer orders than usual for some days: set, change, remove and list."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from holdfast.database.errors import ConstraintViolated
from holdfast.database.transaction import Transaction, records
from holdfast.flows.claims.claimed_change import Render, change_once
from holdfast.flows.claims.idempotency import Answer, Claim
from holdfast.flows.stock.read_stock import warehouse_code
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, NotFound
from holdfast.values.ids import uuid7

LIST_MAX_ROWS: Final = 200
_OVERLAP: Final = "capacity_overrides_do_not_overlap"


@dataclass(frozen=True, slots=True)
class Override:
    """What applies from ``starts_on`` through ``ends_on``: a hard limit of orders a day, or a factor on the base."""

    starts_on: date
    ends_on: date
    multiplier: Decimal | None
    hard_limit: int | None
    reason: str


def list_overrides(
    runtime: Runtime, caller: Caller, *, warehouse_id: UUID, ended_since: date | None, now: datetime
) -> dict[str, Any]:
    """Return a warehouse's overrides that end on or after ``ended_since``, by default the present UTC date.

    They are sorted by their end. Raises Forbidden or NotFound.
    """
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_CAPACITY_OVERRIDES)
        warehouse_code(transaction, warehouse_id)
        rows = transaction.rows(
            """
            SELECT c.id, c.warehouse_id, c.starts_on, c.ends_on, c.capacity_multiplier, c.hard_capacity_limit, c.reason,
                   c.created_by, c.version, c.created_at, c.updated_at
              FROM inventory.capacity_overrides c
             WHERE c.organization_id = :organization_id AND c.warehouse_id = :warehouse_id AND c.ends_on >= :since
             ORDER BY c.ends_on LIMIT :limit
            """,
            organization_id=transaction.tenant,
            warehouse_id=warehouse_id,
            since=ended_since or now.date(),
            limit=LIST_MAX_ROWS,
        )
        return {"overrides": [_shown(row) for row in records(rows)]}


def set_override(
    runtime: Runtime,
    caller: Caller,
    claim: Claim,
    warehouse_id: UUID,
    override: Override,
    now: datetime,
    render: Render,
) -> Answer:
    """Create an override. Raises NotFound, or Conflict naming the override that has a day in common with it."""

    def change(transaction: Transaction) -> Mapping[str, Any]:
        warehouse_code(transaction, warehouse_id)
        override_id = uuid7(now)
        transaction.execute(
            """
            INSERT INTO inventory.capacity_overrides (organization_id, id, warehouse_id, starts_on, ends_on,
                                                      capacity_multiplier, hard_capacity_limit, reason, created_by,
                                                      created_at)
            VALUES (:organization_id, :id, :warehouse_id, :starts_on, :ends_on, :multiplier, :hard_limit, :reason,
                    :created_by, :now)
            """,
            organization_id=transaction.tenant,
            id=override_id,
            warehouse_id=warehouse_id,
            created_by=transaction.actor,
            now=now,
            **_columns(override),
        )
        return _found(transaction, override_id)

    try:
        return change_once(runtime, caller, claim, Operation.SET_CAPACITY_OVERRIDE, now, change, render)
    except ConstraintViolated as violation:
        if violation.constraint != _OVERLAP:
            raise
    raise _overlap(runtime, caller, warehouse_id, override, None, now)


def change_override(
    runtime: Runtime, caller: Caller, override_id: UUID, version: int, override: Override, now: datetime
) -> Mapping[str, Any]:
    """Change an override if ``version`` is its current one. Raises Forbidden, NotFound or Conflict."""
    try:
        with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
            require(transaction, caller, Operation.CHANGE_CAPACITY_OVERRIDE)
            before = _found(transaction, override_id)
            changed = transaction.execute(
                """
                UPDATE inventory.capacity_overrides
                   SET starts_on = :starts_on, ends_on = :ends_on, capacity_multiplier = :multiplier,
                       hard_capacity_limit = :hard_limit, reason = :reason, version = version + 1
                 WHERE organization_id = :organization_id AND id = :id AND version = :version
                """,
                organization_id=transaction.tenant,
                id=override_id,
                version=version,
                **_columns(override),
            )
            after = _found(transaction, override_id)
            if not changed:
                raise Conflict(f"the override was changed since version {version}", version=after["version"])
            return after
    except ConstraintViolated as violation:
        if violation.constraint != _OVERLAP:
            raise
    raise _overlap(runtime, caller, UUID(before["warehouse_id"]), override, override_id, now)


def remove_override(
    runtime: Runtime, caller: Caller, override_id: UUID, version: int, now: datetime
) -> Mapping[str, Any]:
    """Remove an override; the audit log keeps it. Raises Forbidden, NotFound or Conflict."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.REMOVE_CAPACITY_OVERRIDE)
        found = _found(transaction, override_id)
        removed = transaction.execute(
            "DELETE FROM inventory.capacity_overrides"
            " WHERE organization_id = :organization_id AND id = :id AND version = :version",
            organization_id=transaction.tenant,
            id=override_id,
            version=version,
        )
        if not removed:
            raise Conflict(f"the override was changed since version {version}", version=found["version"])
        return found


def _overlap(
    runtime: Runtime, caller: Caller, warehouse_id: UUID, override: Override, own_id: UUID | None, now: datetime
) -> Conflict:
    """Return the Conflict that names the override in the way. It may be gone by now; then none is named.

    Overrides do not overlap each other, so it is enough to look at the one that ends first among those with a day in
    common.
    """
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        rows = transaction.rows(
            """
            SELECT c.id, c.warehouse_id, c.starts_on, c.ends_on, c.capacity_multiplier, c.hard_capacity_limit, c.reason,
                   c.created_by, c.version, c.created_at, c.updated_at
              FROM inventory.capacity_overrides c
             WHERE c.organization_id = :organization_id AND c.warehouse_id = :warehouse_id
               AND c.ends_on >= :starts_on AND c.starts_on <= :ends_on AND c.id IS DISTINCT FROM CAST(:own_id AS uuid)
             ORDER BY c.ends_on LIMIT 1
            """,
            organization_id=transaction.tenant,
            warehouse_id=warehouse_id,
            starts_on=override.starts_on,
            ends_on=override.ends_on,
            own_id=own_id,
        )
        found = [_shown(row) for row in records(rows)]
    if not found:
        return Conflict("another override had a day in common with this one; try again")
    other = found[0]
    return Conflict(
        f"the override {other['id']} holds from {other['starts_on']} through {other['ends_on']}",
        conflicting_override=other,
    )


def _columns(override: Override) -> dict[str, Any]:
    return {
        "starts_on": override.starts_on,
        "ends_on": override.ends_on,
        "multiplier": override.multiplier,
        "hard_limit": override.hard_limit,
        "reason": override.reason,
    }


def _found(transaction: Transaction, override_id: UUID) -> Mapping[str, Any]:
    rows = records(
        transaction.rows(
            """
            SELECT c.id, c.warehouse_id, c.starts_on, c.ends_on, c.capacity_multiplier, c.hard_capacity_limit, c.reason,
                   c.created_by, c.version, c.created_at, c.updated_at
              FROM inventory.capacity_overrides c WHERE c.organization_id = :organization_id AND c.id = :id
            """,
            organization_id=transaction.tenant,
            id=override_id,
        )
    )
    if not rows:
        raise NotFound("there is no such override")
    return _shown(rows[0])


def _shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    multiplier = row["capacity_multiplier"]
    return {
        **row,
        "id": str(row["id"]),
        "warehouse_id": str(row["warehouse_id"]),
        "starts_on": row["starts_on"].isoformat(),
        "ends_on": row["ends_on"].isoformat(),
        "capacity_multiplier": None if multiplier is None else str(multiplier),
        "created_at": row["created_at"].isoformat(),
        "updated_at": row["updated_at"] and row["updated_at"].isoformat(),
    }
