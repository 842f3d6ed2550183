"""A failed shipment is sent again: new goods from a warehouse that has them, taken out by recorded stock movements.

The order's status stays as it is; its fulfillment status says that goods are still to come. The money was captured when
the goods left for the first time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.claims.claimed_change import Render, change_once
from holdfast.flows.claims.idempotency import Answer
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.shipping.deliver_shipment import resolve_failure
from holdfast.flows.shipping.follow_shipments import follow_shipments
from holdfast.flows.shipping.locked_shipments import (
    LockedParcels,
    LockedShipment,
    check_order_ships,
    check_version,
    lock_shipment,
)
from holdfast.flows.shipping.prepare_shipment import Request
from holdfast.flows.shipping.read_shipments import shipment_view
from holdfast.flows.stock.locked_levels import lock_levels, move_stock
from holdfast.fulfillment.contents import Piece, to_send_again, total
from holdfast.inventory.stock import LevelKey
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation
from holdfast.values.errors import Conflict, OutOfStock
from holdfast.values.ids import uuid7
from holdfast.values.shipping import ShipmentStatus


def reship_shipment(
    runtime: Runtime, request: Request, warehouse_id: UUID | None, now: datetime, render: Render
) -> Answer:
    """Create a pending shipment with everything that failed to arrive and was not refunded.

    It ships from ``warehouse_id`` if that is given. Otherwise it ships from the warehouse of the failed shipment if
    that has all of it, else from the first active warehouse by priority that has.

    Raises NotFound, Conflict (it changed since; it did not fail; it is sent again already; all of it was refunded; the
    order's money fell through), TransitionRefused (the order is over) or OutOfStock.
    """

    def change(transaction: Transaction) -> Mapping[str, Any]:
        parcels = lock_shipment(transaction, request.shipment_id)
        check_version(parcels.shipment, request.version)
        again = _check(parcels)
        new_id = _send_again(transaction, parcels, again, warehouse_id)
        follow_shipments(transaction, parcels.order)
        return shipment_view(transaction, new_id)

    answer = change_once(runtime, request.caller, request.claim, Operation.RESHIP_SHIPMENT, now, change, render)
    ring_outbox_bell(runtime)
    return answer


def _check(parcels: LockedParcels) -> tuple[Piece, ...]:
    """Return the pieces to be sent again. Raises Conflict or TransitionRefused if nothing may be."""
    shipment = parcels.shipment
    if shipment.status is not ShipmentStatus.FAILED:
        raise Conflict(
            f"the shipment is {shipment.status}: only a failed one is sent again", status_now=shipment.status
        )
    if shipment.is_reshipped:
        raise Conflict("the shipment is sent again already")
    check_order_ships(parcels.order)
    refunded: dict[UUID, int] = {}
    for refund in parcels.order.refunds:
        for item in refund.items if refund.counts else ():
            refunded[item.order_item_id] = refunded.get(item.order_item_id, 0) + item.quantity - item.unshipped
    again = to_send_again(shipment.pieces, refunded)
    if not again:
        raise Conflict("all that was in the shipment was refunded: nothing is sent again")
    return again


def _send_again(
    transaction: Transaction, parcels: LockedParcels, again: Sequence[Piece], warehouse_id: UUID | None
) -> UUID:
    variants = {item.id: item.variant_id for item in parcels.order.items}
    wanted: dict[UUID, int] = {}
    for order_item_id, quantity in total(again).items():
        wanted[variants[order_item_id]] = wanted.get(variants[order_item_id], 0) + quantity
    chosen = _warehouse(transaction, parcels.shipment, wanted, warehouse_id)
    new_id = uuid7(transaction.now)
    _write(transaction, parcels, again, chosen, new_id)
    resolve_failure(transaction, parcels.shipment, "sent again")
    _take_stock(transaction, {(chosen, variant_id): quantity for variant_id, quantity in wanted.items()}, new_id)
    return new_id


def _warehouse(
    transaction: Transaction, failed: LockedShipment, wanted: Mapping[UUID, int], warehouse_id: UUID | None
) -> UUID:
    """Return the warehouse that has all of it. Raises OutOfStock."""
    found: UUID | None = transaction.value(
        """
        SELECT w.id FROM inventory.warehouses w
         WHERE w.organization_id = :organization_id AND w.status = 'active'
           AND (CAST(:only AS uuid) IS NULL OR w.id = CAST(:only AS uuid))
           AND NOT EXISTS (
               SELECT 1 FROM unnest(CAST(:variants AS uuid[]), CAST(:quantities AS integer[]))
                               AS u (variant_id, quantity)
                 LEFT JOIN inventory.stock_levels s ON s.organization_id = w.organization_id
                       AND s.warehouse_id = w.id AND s.variant_id = u.variant_id
                WHERE COALESCE(s.on_hand - s.reserved, 0) < u.quantity)
         ORDER BY w.id <> :origin, w.priority, w.code LIMIT 1
        """,
        organization_id=transaction.tenant,
        only=warehouse_id,
        variants=list(wanted),
        quantities=list(wanted.values()),
        origin=failed.warehouse_id,
    )
    if found is None:
        where = "this warehouse does not have" if warehouse_id else "no warehouse has"
        raise OutOfStock(f"{where} all of what is to be sent again")
    return found


def _write(
    transaction: Transaction, parcels: LockedParcels, again: Sequence[Piece], warehouse_id: UUID, new_id: UUID
) -> None:
    """Write the new shipment and its allocations, beside the old allocations, whose goods are gone."""
    failed = parcels.shipment
    ids = [uuid7(transaction.now) for _ in again]
    transaction.execute(
        """
        WITH again AS (
            SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:allocations AS uuid[]), CAST(:quantities AS integer[]))
                       AS u (id, allocation_id, quantity)
        ), allocated AS (
            INSERT INTO orders.order_allocations (organization_id, id, order_id, order_item_id, warehouse_id,
                                                  variant_id, quantity, load_date, shipping_cost, score, created_at)
            SELECT a.organization_id, u.id, a.order_id, a.order_item_id, :warehouse_id, a.variant_id, u.quantity,
                   (CAST(:now AS timestamptz) AT TIME ZONE w.timezone)::date, w.shipping_cost_base, a.score, :now
              FROM again u
              JOIN orders.order_allocations a ON a.organization_id = :organization_id AND a.id = u.allocation_id
              JOIN inventory.warehouses w ON w.organization_id = :organization_id AND w.id = :warehouse_id
        ), given_up AS (
            UPDATE fulfillment.shipments SET reshipped_at = :now, version = version + 1
             WHERE organization_id = :organization_id AND id = :failed_id
        )
        INSERT INTO fulfillment.shipments (organization_id, id, order_id, warehouse_id, shipment_number, cost,
                                           reships_id, created_at)
        SELECT :organization_id, :new_id, :order_id, w.id, :number, w.shipping_cost_base, :failed_id, :now
          FROM inventory.warehouses w WHERE w.organization_id = :organization_id AND w.id = :warehouse_id
        """,
        organization_id=transaction.tenant,
        ids=ids,
        allocations=[piece.allocation_id for piece in again],
        quantities=[piece.quantity for piece in again],
        warehouse_id=warehouse_id,
        failed_id=failed.id,
        new_id=new_id,
        order_id=failed.order_id,
        number=f"{parcels.order.order_number}-{len(parcels.all) + 1}",
        now=transaction.now,
    )
    transaction.execute(
        """
        INSERT INTO fulfillment.shipment_items (organization_id, order_id, shipment_id, allocation_id, order_item_id,
                                                quantity)
        SELECT a.organization_id, a.order_id, :new_id, a.id, a.order_item_id, a.quantity
          FROM orders.order_allocations a WHERE a.organization_id = :organization_id AND a.id = ANY (:ids)
        """,
        organization_id=transaction.tenant,
        new_id=new_id,
        ids=ids,
    )


def _take_stock(transaction: Transaction, wanted: Mapping[LevelKey, int], new_id: UUID) -> None:
    """Reserve and sell the goods in one step. Raises OutOfStock if somebody else was faster."""
    levels = lock_levels(transaction, wanted)
    if any(levels[key].available < quantity for key, quantity in wanted.items()):
        raise OutOfStock("what is to be sent again was sold at this moment")
    for movement in ("reserve", "sale"):
        move_stock(transaction, movement, wanted, reference=("shipment", new_id), reason="sent again")
