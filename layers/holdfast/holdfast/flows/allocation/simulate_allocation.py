"""Decide a period's orders again, by other rules or with other warehouses. Nothing is written.

Orders are read page by page, each page in a short transaction of its own, and decided as they come. Pages need not show
the same moment, because what was decided at checkout never changes.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.inventory.allocation import Assignment
from holdfast.inventory.recorded import read_record
from holdfast.inventory.simulation import PastOrder, Simulation, WhatIf
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.coordinates import Coordinates
from holdfast.values.errors import InvalidInput

PERIOD_MAX_DAYS: Final = 31
ORDERS_MAX: Final = 10_000
SECONDS_MAX: Final = 20.0
"""The time that one request may take, out of the 30 s after which API Gateway gives up."""
PAGE_MAX_ROWS: Final = 500

_WAREHOUSES: Final = """
    SELECT w.id, w.code, w.timezone FROM inventory.warehouses w WHERE w.organization_id = :organization_id
"""
# Ids are in order of time, so a period is a range of the primary key. Allocations and reservations made at checkout
# have the order's own creation time; later ones have another. An order that was readdressed since has its first
# destination in its first former address.
_PAGE: Final = """
    SELECT o.id, o.order_number, o.created_at, o.allocation_reasons,
           COALESCE((SELECT jsonb_build_array(v.latitude, v.longitude) FROM orders.order_address_versions v
                      WHERE v.organization_id = o.organization_id AND v.order_id = o.id AND v.version = 1),
                    jsonb_build_array(o.shipping_latitude, o.shipping_longitude)) AS place,
           (SELECT jsonb_agg(jsonb_build_array(a.warehouse_id, a.variant_id, a.quantity) ORDER BY a.id)
              FROM orders.order_allocations a
             WHERE a.organization_id = o.organization_id AND a.order_id = o.id AND a.created_at = o.created_at
           ) AS assignments,
           COALESCE((SELECT min(r.released_at) FROM inventory.reservations r
                      WHERE r.organization_id = o.organization_id AND r.order_id = o.id
                        AND r.created_at = o.created_at), o.cancelled_at) AS gave_back_at
      FROM orders.orders o
     WHERE o.organization_id = :organization_id AND o.id > :after
       AND o.id >= tenancy.uuid_v7_floor(:starts_at) AND o.id < tenancy.uuid_v7_floor(:ends_at)
     ORDER BY o.id LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class SimulateAllocation:
    """Which orders to simulate (placed from ``starts_at`` on, before ``ends_at``), and what is to be different."""

    caller: Caller
    starts_at: datetime
    ends_at: datetime
    orders_max: int
    what_if: WhatIf


def simulate_allocation(
    runtime: Runtime, command: SimulateAllocation, now: datetime, clock_seconds: Callable[[], float] = time.monotonic
) -> dict[str, Any]:
    """Return both outcomes in figures, and the orders that differ.

    ``cut`` says what stopped the simulation before the period's end. Raises Forbidden, or InvalidInput for a period
    that is empty or longer than 31 days, and for warehouse codes that are unknown (a change) or taken (an addition).
    """
    _check_period(command)
    give_up_at = clock_seconds() + SECONDS_MAX
    timezones = _begin(runtime, command, now)
    simulation = Simulation(command.what_if, timezones)
    counted = {"decided": 0, "without_record": 0}
    last: PastOrder | None = None
    cut, after = None, UUID(int=0)
    while cut is None:
        with runtime.database.transaction(
            command.caller.organization_id, now=now, actor=command.caller.actor
        ) as transaction:
            page = _page(transaction, command, after)
        for row in page:
            cut = _limit_reached(counted, command.orders_max, give_up_at - clock_seconds())
            if cut is not None:
                break
            after, order = row["id"], _past_order(row)
            if order is None:
                counted["without_record"] += 1
                continue
            simulation.decide(order)
            counted["decided"] += 1
            last = order
        if len(page) < PAGE_MAX_ROWS:
            break
    return {
        "starts_at": command.starts_at.isoformat(),
        "ends_at": command.ends_at.isoformat(),
        "orders": counted["decided"],
        "orders_without_record": counted["without_record"],
        "cut": cut,
        "last_order_at": last and last.decided_at.isoformat(),
        **simulation.comparison.to_json(),
    }


def _check_period(command: SimulateAllocation) -> None:
    period = command.ends_at - command.starts_at
    if not timedelta(0) < period <= timedelta(days=PERIOD_MAX_DAYS):
        message = f"later than starts_at, by at most {PERIOD_MAX_DAYS} days"
        raise InvalidInput("this is no period to simulate", errors=[{"field": "ends_at", "message": message}])


def _begin(runtime: Runtime, command: SimulateAllocation, now: datetime) -> Mapping[UUID, str]:
    """Return each warehouse's time zone. Raises Forbidden, or InvalidInput for codes that make no sense."""
    caller, what_if = command.caller, command.what_if
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.SIMULATE_ALLOCATION)
        warehouses = records(transaction.rows(_WAREHOUSES, organization_id=transaction.tenant))
    codes = {row["code"] for row in warehouses}
    errors = [
        {"field": f"warehouses[{position}].code", "message": "there is no such warehouse"}
        for position, code in enumerate(what_if.changes)
        if code not in codes
    ] + [
        {"field": f"additional_warehouses[{position}].code", "message": "a warehouse has this code"}
        for position, new in enumerate(what_if.additional)
        if new.code in codes
    ]
    if errors:
        raise InvalidInput("some warehouses cannot be simulated", errors=errors)
    return {row["id"]: row["timezone"] for row in warehouses}


def _limit_reached(counted: Mapping[str, int], orders_max: int, seconds_left: float) -> str | None:
    if sum(counted.values()) >= orders_max:
        return "orders"
    return "time" if seconds_left <= 0 else None


def _page(transaction: Transaction, command: SimulateAllocation, after: UUID) -> list[Mapping[str, Any]]:
    found = transaction.rows(
        _PAGE,
        organization_id=transaction.tenant,
        after=after,
        starts_at=command.starts_at,
        ends_at=command.ends_at,
        limit=PAGE_MAX_ROWS,
    )
    return list(records(found))


def _past_order(row: Mapping[str, Any]) -> PastOrder | None:
    """Return the order as decided then, or None if its record does not say what the decision was based on."""
    decision = read_record(row["allocation_reasons"])
    if decision is None or not row["assignments"]:
        return None
    latitude, longitude = row["place"]
    return PastOrder(
        order_id=row["id"],
        order_number=row["order_number"],
        decided_at=row["created_at"],
        destination=None if latitude is None or longitude is None else Coordinates(latitude, longitude),
        decision=decision,
        assignments=tuple(
            Assignment(UUID(warehouse_id), UUID(variant_id), quantity)
            for warehouse_id, variant_id, quantity in row["assignments"]
        ),
        gave_back_at=row["gave_back_at"],
    )
