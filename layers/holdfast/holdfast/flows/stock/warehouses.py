"""Warehouses: list, open, and change with a version check."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.claims.claimed_change import Render, change_once
from holdfast.flows.claims.idempotency import Answer, Claim
from holdfast.inventory.warehouses import WarehouseFacts
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, InvalidInput, NotFound
from holdfast.values.ids import uuid7


def list_warehouses(runtime: Runtime, caller: Caller, now: datetime) -> dict[str, Any]:
    """Return all warehouses of the shop, in the order in which ties are broken. Raises Forbidden."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_WAREHOUSES)
        rows = transaction.rows(
            """
            SELECT w.id, w.code, w.name, w.address, w.latitude, w.longitude, w.status, w.priority,
                   w.base_daily_capacity, w.shipping_cost_base AS shipping_cost_base_minor, w.timezone, w.version,
                   w.created_at, w.updated_at
              FROM inventory.warehouses w WHERE w.organization_id = :organization_id
             ORDER BY w.priority, w.code
            """,
            organization_id=transaction.tenant,
        )
        return {"warehouses": [_shown(row) for row in records(rows)]}


def open_warehouse(
    runtime: Runtime,
    caller: Caller,
    claim: Claim,
    code: str,
    facts: WarehouseFacts,
    now: datetime,
    render: Render,
) -> Answer:
    """Create a warehouse. Raises InvalidInput, or Conflict if the code is taken."""

    def change(transaction: Transaction) -> Mapping[str, Any]:
        _check_timezone(transaction, facts.timezone)
        warehouse_id = uuid7(now)
        transaction.execute(
            """
            INSERT INTO inventory.warehouses (organization_id, id, code, name, address, latitude, longitude, status,
                                              priority, base_daily_capacity, shipping_cost_base, timezone, created_at)
            VALUES (:organization_id, :id, :code, :name, CAST(:address AS jsonb), :latitude, :longitude, :status,
                    :priority, :capacity, :cost, :timezone, :now)
            """,
            organization_id=transaction.tenant,
            id=warehouse_id,
            code=code,
            now=now,
            **_columns(facts),
        )
        return _found(transaction, warehouse_id)

    return change_once(runtime, caller, claim, Operation.CREATE_WAREHOUSE, now, change, render)


def change_warehouse(
    runtime: Runtime, caller: Caller, warehouse_id: UUID, version: int, facts: WarehouseFacts, now: datetime
) -> Mapping[str, Any]:
    """Change a warehouse if ``version`` is its current one. Raises Forbidden, NotFound, InvalidInput or Conflict."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.CHANGE_WAREHOUSE)
        _check_timezone(transaction, facts.timezone)
        changed = transaction.execute(
            """
            UPDATE inventory.warehouses
               SET name = :name, address = CAST(:address AS jsonb), latitude = :latitude, longitude = :longitude,
                   status = :status, priority = :priority, base_daily_capacity = :capacity,
                   shipping_cost_base = :cost, timezone = :timezone, version = version + 1
             WHERE organization_id = :organization_id AND id = :id AND version = :version
            """,
            organization_id=transaction.tenant,
            id=warehouse_id,
            version=version,
            **_columns(facts),
        )
        found = _found(transaction, warehouse_id)
        if not changed:
            raise Conflict(f"the warehouse was changed since version {version}", version=found["version"])
        return found


def _columns(facts: WarehouseFacts) -> dict[str, Any]:
    return {
        "name": facts.name,
        "address": facts.address,
        "latitude": facts.coordinates.latitude,
        "longitude": facts.coordinates.longitude,
        "status": facts.status,
        "priority": facts.priority,
        "capacity": facts.base_daily_capacity,
        "cost": facts.shipping_cost_base_minor,
        "timezone": facts.timezone,
    }


def _check_timezone(transaction: Transaction, timezone: str) -> None:
    """Raise InvalidInput for a time zone that PostgreSQL does not know.

    Every checkout asks PostgreSQL for the date in that time zone, so an unknown name would stop them all.
    """
    known = transaction.value("SELECT count(*) FROM pg_timezone_names WHERE name = :name", name=timezone)
    if not known:
        raise InvalidInput("the timezone is not known", errors=[{"field": "timezone", "message": "is not known"}])


def _found(transaction: Transaction, warehouse_id: UUID) -> Mapping[str, Any]:
    rows = records(
        transaction.rows(
            """
            SELECT w.id, w.code, w.name, w.address, w.latitude, w.longitude, w.status, w.priority,
                   w.base_daily_capacity, w.shipping_cost_base AS shipping_cost_base_minor, w.timezone, w.version,
                   w.created_at, w.updated_at
              FROM inventory.warehouses w WHERE w.organization_id = :organization_id AND w.id = :id
            """,
            organization_id=transaction.tenant,
            id=warehouse_id,
        )
    )
    if not rows:
        raise NotFound("there is no such warehouse")
    return _shown(rows[0])


def _shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    instants = {name: row[name] and row[name].isoformat() for name in ("created_at", "updated_at")}
    return {**row, **instants, "id": str(row["id"])}
