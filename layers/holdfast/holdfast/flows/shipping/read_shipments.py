"""Shipments for the operations team: one by id, or pages by status, warehouse, order or tracking number."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.orders.find_order import order_id_of
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import InvalidInput, NotFound
from holdfast.values.shipping import ShipmentStatus

PAGE_MAX_ROWS: Final = 100

_SHOWN: Final = """
    SELECT s.id, s.shipment_number, s.order_id, o.order_number, o.status AS order_status, o.fulfillment_status,
           s.warehouse_id, w.code AS warehouse, s.status, s.carrier, s.tracking_number, s.tracking_url,
           s.cost AS cost_minor, o.currency, s.estimated_delivery_at, s.actual_delivery_at, s.leaving_since,
           s.reships_id, s.reshipped_at, s.failure_reason, s.failure_notes, s.cancel_reason, s.version, s.created_at,
           s.picked_at, s.packed_at, s.shipped_at, s.delivered_at, s.failed_at, s.cancelled_at, s.notification_sent_at,
           (SELECT COALESCE(jsonb_agg(jsonb_build_object('order_item_id', c.order_item_id, 'sku', i.sku, 'name', i.name,
                                                         'quantity', c.quantity) ORDER BY i.position), '[]')
              FROM (SELECT si.order_item_id, sum(si.quantity) AS quantity FROM fulfillment.shipment_items si
                     WHERE si.organization_id = s.organization_id AND si.shipment_id = s.id
                     GROUP BY si.order_item_id) AS c
              JOIN orders.order_items i ON i.organization_id = s.organization_id AND i.id = c.order_item_id) AS items
      FROM {rows} AS s
      JOIN orders.orders o ON o.organization_id = s.organization_id AND o.id = s.order_id
      JOIN inventory.warehouses w ON w.organization_id = s.organization_id AND w.id = s.warehouse_id
     ORDER BY s.id
"""
_ONE: Final = _SHOWN.format(
    rows="(SELECT * FROM fulfillment.shipments f WHERE f.organization_id = :organization_id AND f.id = :id)"
)
_OF_ORDER: Final = _SHOWN.format(
    rows="""(SELECT * FROM fulfillment.shipments f
              WHERE f.organization_id = :organization_id AND f.order_id = :order_id
                AND (CAST(:status AS text) IS NULL OR f.status = :status)
                AND (CAST(:after AS uuid) IS NULL OR f.id > CAST(:after AS uuid))
              ORDER BY f.id LIMIT :limit)"""
)
_BY_TRACKING_NUMBER: Final = _SHOWN.format(
    rows="""(SELECT * FROM fulfillment.shipments f
              WHERE f.organization_id = :organization_id AND f.tracking_number = :tracking_number
                AND (CAST(:after AS uuid) IS NULL OR f.id > CAST(:after AS uuid))
              ORDER BY f.id LIMIT :limit)"""
)
_BY_STATUS: Final = _SHOWN.format(
    rows="""(SELECT * FROM fulfillment.shipments f
              WHERE f.organization_id = :organization_id AND f.status = :status
                AND (CAST(:warehouse_id AS uuid) IS NULL OR f.warehouse_id = CAST(:warehouse_id AS uuid))
                AND (CAST(:after AS uuid) IS NULL OR f.id > CAST(:after AS uuid))
              ORDER BY f.id LIMIT :limit)"""
)
_OF_WAREHOUSE: Final = _SHOWN.format(
    rows="""(SELECT * FROM fulfillment.shipments f
              WHERE f.organization_id = :organization_id AND f.warehouse_id = :warehouse_id
                AND (CAST(:after AS uuid) IS NULL OR f.id > CAST(:after AS uuid))
              ORDER BY f.id LIMIT :limit)"""
)

_INSTANTS: Final = (
    "estimated_delivery_at",
    "actual_delivery_at",
    "leaving_since",
    "reshipped_at",
    "created_at",
    "picked_at",
    "packed_at",
    "shipped_at",
    "delivered_at",
    "failed_at",
    "cancelled_at",
    "notification_sent_at",
)
_IDS: Final = ("id", "order_id", "warehouse_id")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which shipments to list: by order, by tracking number, or by status and warehouse.

    By default the pending ones are listed.
    """

    status: ShipmentStatus | None = None
    warehouse_id: UUID | None = None
    order: str | None = None
    tracking_number: str | None = None


def list_shipments(
    runtime: Runtime, caller: Caller, wanted: Wanted, *, after: UUID | None, limit: int, now: datetime
) -> dict[str, Any]:
    """Return a page of shipments, oldest first, and the cursor of the next page.

    Raises Forbidden, NotFound (no such order), or InvalidInput for filters that do not go together.
    """
    limit = min(limit, PAGE_MAX_ROWS)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_SHIPMENTS)
        statement, chosen = _chosen(transaction, caller, wanted)
        rows = transaction.rows(statement, organization_id=transaction.tenant, after=after, limit=limit, **chosen)
    shipments = [_shown(row) for row in records(rows)]
    return {"shipments": shipments, "next_after": shipments[-1]["id"] if len(shipments) == limit else None}


def _chosen(transaction: Transaction, caller: Caller, wanted: Wanted) -> tuple[str, dict[str, Any]]:
    """Return the statement for the filters that are set, and its parameters."""
    if wanted.order is not None:
        if wanted.warehouse_id is not None or wanted.tracking_number is not None:
            raise _mixed("order", "goes with status alone")
        order_id = order_id_of(transaction, caller, wanted.order, Operation.LIST_SHIPMENTS)
        return _OF_ORDER, {"order_id": order_id, "status": wanted.status}
    if wanted.tracking_number is not None:
        if wanted.status is not None or wanted.warehouse_id is not None:
            raise _mixed("tracking_number", "goes with no other filter")
        return _BY_TRACKING_NUMBER, {"tracking_number": wanted.tracking_number}
    if wanted.status is None and wanted.warehouse_id is not None:
        return _OF_WAREHOUSE, {"warehouse_id": wanted.warehouse_id}
    return _BY_STATUS, {"status": wanted.status or ShipmentStatus.PENDING, "warehouse_id": wanted.warehouse_id}


def _mixed(field: str, message: str) -> InvalidInput:
    return InvalidInput(f"{field} {message}", errors=[{"field": field, "message": message}])


def find_shipment(runtime: Runtime, caller: Caller, shipment_id: UUID, now: datetime) -> Mapping[str, Any]:
    """Return one shipment. Raises Forbidden or NotFound."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.FIND_SHIPMENT)
        return shipment_view(transaction, shipment_id)


def shipment_view(transaction: Transaction, shipment_id: UUID) -> Mapping[str, Any]:
    """Return a shipment as the API shows it. Raises NotFound."""
    rows = records(transaction.rows(_ONE, organization_id=transaction.tenant, id=shipment_id))
    if not rows:
        raise NotFound("there is no such shipment")
    return _shown(rows[0])


def _shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        **row,
        **{name: str(row[name]) for name in _IDS},
        "reships_id": row["reships_id"] and str(row["reships_id"]),
        **{name: row[name] and row[name].isoformat() for name in _INSTANTS},
    }
