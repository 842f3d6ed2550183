"""Named queries about shipments."""

from collections.abc import Callable

from holdfast.flows.shipping.follow_shipments import plan_shipments
from holdfast.flows.shipping.locked_shipments import shipments_of as shipments_of_order
from holdfast.flows.shipping.read_shipments import Wanted as Parcels
from holdfast.flows.shipping.read_shipments import list_shipments
from holdfast.values.shipping import ShipmentStatus
from tests.database.acting import SYSTEM
from tests.database.large_shop import Shop
from tests.database.named_queries.asking import Ask, Named, in_tenant, staff, statement


def shipments_of(of: Callable[[Shop], Parcels]) -> Ask:
    return lambda runtime, shop: list_shipments(runtime, staff(shop), of(shop), after=None, limit=20, now=shop.now)


NAMED: dict[str, Named] = {
    "shipments of an order, planned anew": Named(
        in_tenant(lambda t, s: plan_shipments(t, s.order_id)), rows_max=400, in_functions=True
    ),
    "shipments of an order": Named(shipments_of(lambda s: Parcels(order=s.order_number))),
    "shipments of an order that is locked": Named(in_tenant(lambda t, s: shipments_of_order(t, s.order_id))),
    "shipments by status and warehouse": Named(
        shipments_of(lambda s: Parcels(ShipmentStatus.PICKED, warehouse_id=s.warehouse_id))
    ),
    "shipments by status": Named(shipments_of(lambda _: Parcels(ShipmentStatus.PENDING))),
    "shipments of a warehouse": Named(shipments_of(lambda s: Parcels(warehouse_id=s.warehouse_id))),
    "shipments by tracking number": Named(shipments_of(lambda _: Parcels(tracking_number="T1005"))),
    "shipments whose customer was not told, over all tenants": Named(
        statement(
            "SELECT organization_id, id FROM fulfillment.shipments WHERE shipped_at IS NOT NULL"
            " AND notification_sent_at IS NULL ORDER BY shipped_at LIMIT 50"
        ),
        SYSTEM,
    ),
    "where the pieces of an allocation are": Named(
        statement(
            "SELECT quantity FROM fulfillment.shipment_items WHERE organization_id = :o AND allocation_id = :order"
        )
    ),
}
