"""Raise alerts when a warehouse reaches 80, 95 and 100 % of the day's capacity, and resolve them when it falls below.

Two runs at the same time are safe: a constraint allows one open alert of each level, and an update applies only if the
alert is still as it was read.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.operations.in_turn import in_turn
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.stock.capacity_load import loads
from holdfast.inventory.capacity import PUBLISHED, AlertStep, AlertType, alert_step
from holdfast.runtime import Runtime
from holdfast.values.ids import uuid7

ACTOR: Final = "system:capacity_watch"
EVERY_SECONDS: Final = 300
"""The interval of the schedule."""

_logger = logging.getLogger(__name__)


def watch_capacity(
    runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]
) -> dict[AlertStep, int]:
    """Check every warehouse of every organization, and return how often each step was taken."""
    done = dict.fromkeys(AlertStep, 0)
    with runtime.database.transaction(None, now=clock(), actor=ACTOR) as transaction:
        organizations = [row[0] for row in transaction.rows("SELECT o.id FROM tenancy.organizations o ORDER BY o.id")]
    for organization_id in in_turn(organizations, clock(), every_seconds=EVERY_SECONDS):
        if time_left_seconds() <= 0:
            break
        try:
            steps = runtime.database.transact(organization_id, _watch, now=clock(), actor=ACTOR)
        except Exception:
            # A failure of one organization must not hold back the alerts of the others.
            _logger.exception("the capacity of organization %s could not be watched", organization_id)
            continue
        for step in steps:
            done[step] += 1
    if done[AlertStep.RAISE] or done[AlertStep.REMIND]:
        ring_outbox_bell(runtime)
    return done


def _watch(transaction: Transaction) -> list[AlertStep]:
    last = _last_alerts(transaction)
    taken = []
    for day in loads(transaction, None, 1):
        for type_ in AlertType:
            alert = last.get((UUID(day["warehouse_id"]), type_))
            step = alert_step(
                type_,
                day["utilization"],
                alert["notified_at"] if alert else None,
                is_open=alert is not None and alert["resolved_at"] is None,
                now=transaction.now,
            )
            if step is not None and _take(transaction, step, type_, day, alert):
                taken.append(step)
    return taken


def _last_alerts(transaction: Transaction) -> dict[tuple[UUID, AlertType], Mapping[str, Any]]:
    """Return the last alert of each type of each warehouse: the open one, if there is one."""
    rows = transaction.rows(
        """
        SELECT a.id, a.warehouse_id, a.type, a.notified_at, a.resolved_at
          FROM inventory.warehouses w
         CROSS JOIN unnest(CAST(:types AS text[])) AS t (type)
         CROSS JOIN LATERAL (SELECT * FROM inventory.capacity_alerts l
                              WHERE l.organization_id = :organization_id AND l.warehouse_id = w.id AND l.type = t.type
                              ORDER BY l.notified_at DESC LIMIT 1) AS a
         WHERE w.organization_id = :organization_id
        """,
        organization_id=transaction.tenant,
        types=[str(type_) for type_ in AlertType],
    )
    return {(row["warehouse_id"], AlertType(row["type"])): row for row in records(rows)}


def _take(
    transaction: Transaction,
    step: AlertStep,
    type_: AlertType,
    day: Mapping[str, Any],
    alert: Mapping[str, Any] | None,
) -> bool:
    """Write one step, and publish it in the same transaction if it is to be published.

    Return False if another run was faster.
    """
    now = transaction.now
    if step is AlertStep.RAISE:
        changed = transaction.execute(
            """
            INSERT INTO inventory.capacity_alerts (organization_id, id, warehouse_id, type, load_date, orders,
                                                   effective_capacity, utilization, raised_at, notified_at)
            VALUES (:organization_id, :id, :warehouse_id, :type, CAST(:load_date AS date), :orders, :capacity,
                    :utilization, :now, :now)
            ON CONFLICT DO NOTHING
            """,
            organization_id=transaction.tenant,
            id=uuid7(now),
            warehouse_id=UUID(day["warehouse_id"]),
            type=str(type_),
            load_date=day["load_date"],
            orders=day["orders"],
            capacity=day["effective_capacity"],
            utilization=day["utilization"],
            now=now,
        )
    elif step is AlertStep.RESOLVE:
        changed = transaction.execute(
            "UPDATE inventory.capacity_alerts SET resolved_at = :now"
            " WHERE organization_id = :organization_id AND id = :id AND resolved_at IS NULL",
            organization_id=transaction.tenant,
            id=alert["id"] if alert else None,
            now=now,
        )
    else:
        changed = transaction.execute(
            """
            UPDATE inventory.capacity_alerts
               SET resolved_at = NULL, load_date = CAST(:load_date AS date), orders = :orders,
                   effective_capacity = :capacity, utilization = :utilization, notified_at = :told
             WHERE organization_id = :organization_id AND id = :id AND notified_at = :seen
            """,
            organization_id=transaction.tenant,
            id=alert["id"] if alert else None,
            load_date=day["load_date"],
            orders=day["orders"],
            capacity=day["effective_capacity"],
            utilization=day["utilization"],
            seen=alert["notified_at"] if alert else None,
            told=now if step is AlertStep.REMIND else (alert["notified_at"] if alert else None),
        )
    if changed and type_ in PUBLISHED and step in (AlertStep.RAISE, AlertStep.REMIND):
        _publish(transaction, type_, day)
    return bool(changed)


def _publish(transaction: Transaction, type_: AlertType, day: Mapping[str, Any]) -> None:
    transaction.execute(
        """
        INSERT INTO operations.outbox (organization_id, id, topic, aggregate_type, aggregate_id, sequence, payload,
                                       created_at)
        VALUES (:organization_id, :id, 'capacity.reached', 'warehouse', :warehouse_id, :sequence,
                CAST(:payload AS jsonb), :now)
        """,
        organization_id=transaction.tenant,
        id=uuid7(transaction.now),
        warehouse_id=UUID(day["warehouse_id"]),
        # The minute, so that a later message has a higher number.
        sequence=int(transaction.now.timestamp()) // 60,
        payload={"type": str(type_), **day},
        now=transaction.now,
    )
