"""How full each warehouse is, day by day, and the alerts about it."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.inventory.capacity import CapacityOverride, effective_capacity, utilization
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller

DAYS_MAX: Final = 31
ALERTS_MAX: Final = 200


def show_load(runtime: Runtime, caller: Caller, *, starts_on: date | None, days: int, now: datetime) -> dict[str, Any]:
    """Return the orders and the capacity of every warehouse, day by day. Raises Forbidden.

    The days begin at ``starts_on``, or else at the present date in the warehouse's own time zone.
    """
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.SHOW_CAPACITY_LOAD)
        found = loads(transaction, starts_on, min(days, DAYS_MAX))
    return {"days": found}


def loads(transaction: Transaction, starts_on: date | None, days: int) -> list[dict[str, Any]]:
    """Return the same inside a transaction of the caller. The load is the sum of the rows that checkouts appended.

    OFFSET 0 keeps the planner from inlining the date: a time zone expression is not leakproof, so it would be compared
    after the row-level security policy instead of in the index.
    """
    rows = transaction.rows(
        """
        SELECT w.id AS warehouse_id, w.code AS warehouse, d.load_date, w.base_daily_capacity,
               c.capacity_multiplier, c.hard_capacity_limit,
               COALESCE((SELECT sum(l.orders) FROM inventory.warehouse_daily_load l
                          WHERE l.organization_id = :organization_id AND l.warehouse_id = w.id
                            AND l.load_date = d.load_date), 0) AS orders
          FROM inventory.warehouses w
         CROSS JOIN LATERAL (SELECT COALESCE(CAST(:starts_on AS date),
                                             CAST(CAST(:now AS timestamptz) AT TIME ZONE w.timezone AS date)) + n
                                    AS load_date FROM generate_series(0, :days - 1) AS n OFFSET 0) AS d
          LEFT JOIN LATERAL (SELECT e.starts_on, e.capacity_multiplier, e.hard_capacity_limit
                               FROM inventory.capacity_overrides e
                              WHERE e.organization_id = :organization_id AND e.warehouse_id = w.id
                                AND e.ends_on >= d.load_date
                              ORDER BY e.ends_on LIMIT 1) AS c ON c.starts_on <= d.load_date
         WHERE w.organization_id = :organization_id
         ORDER BY w.priority, w.code, d.load_date
        """,
        organization_id=transaction.tenant,
        starts_on=starts_on,
        days=days,
        now=transaction.now,
    )
    return [_day(row) for row in records(rows)]


def _day(row: Mapping[str, Any]) -> dict[str, Any]:
    override = CapacityOverride(row["capacity_multiplier"], row["hard_capacity_limit"])
    capacity = effective_capacity(row["base_daily_capacity"], override)
    orders = int(row["orders"])
    return {
        "warehouse_id": str(row["warehouse_id"]),
        "warehouse": row["warehouse"],
        "load_date": row["load_date"].isoformat(),
        "orders": orders,
        "effective_capacity": capacity,
        "utilization": utilization(orders, capacity),
    }


def list_alerts(runtime: Runtime, caller: Caller, *, warehouse_id: UUID | None, now: datetime) -> dict[str, Any]:
    """Return the open alerts of all warehouses, or all alerts of one, resolved ones included. Newest first.

    Raises Forbidden.
    """
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_CAPACITY_ALERTS)
        tenant = transaction.tenant
        if warehouse_id is None:
            rows = transaction.rows(
                """
                SELECT a.id, a.warehouse_id, w.code AS warehouse, a.type, a.load_date, a.orders, a.effective_capacity,
                       a.utilization, a.raised_at, a.notified_at, a.resolved_at
                  FROM inventory.capacity_alerts a
                  JOIN inventory.warehouses w ON w.organization_id = a.organization_id AND w.id = a.warehouse_id
                 WHERE a.organization_id = :organization_id AND a.resolved_at IS NULL
                 ORDER BY a.raised_at DESC LIMIT :limit
                """,
                organization_id=tenant,
                limit=ALERTS_MAX,
            )
        else:
            rows = transaction.rows(
                """
                SELECT a.id, a.warehouse_id, w.code AS warehouse, a.type, a.load_date, a.orders, a.effective_capacity,
                       a.utilization, a.raised_at, a.notified_at, a.resolved_at
                  FROM inventory.capacity_alerts a
                  JOIN inventory.warehouses w ON w.organization_id = a.organization_id AND w.id = a.warehouse_id
                 WHERE a.organization_id = :organization_id AND a.warehouse_id = :warehouse_id
                 ORDER BY a.raised_at DESC LIMIT :limit
                """,
                organization_id=tenant,
                warehouse_id=warehouse_id,
                limit=ALERTS_MAX,
            )
    return {"alerts": [_alert(row) for row in records(rows)]}


def _alert(row: Mapping[str, Any]) -> Mapping[str, Any]:
    instants = ("load_date", "raised_at", "notified_at", "resolved_at")
    return {
        **row,
        "id": str(row["id"]),
        "warehouse_id": str(row["warehouse_id"]),
        **{name: row[name] and row[name].isoformat() for name in instants},
    }
