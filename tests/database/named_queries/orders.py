"""Named queries about orders: by id, by number, page by page, and the unpaid ones that are cancelled."""

from datetime import timedelta
from uuid import UUID

from holdfast.flows.allocation.explain_allocation import explain_allocation
from holdfast.flows.allocation.simulate_allocation import SimulateAllocation, simulate_allocation
from holdfast.flows.orders.cancel_unpaid_orders import _cancel_batch, _with_abandoned_orders
from holdfast.flows.orders.find_order import find_order, order_id_of
from holdfast.flows.orders.list_orders import list_orders
from holdfast.inventory.simulation import WhatIf
from holdfast.orders.lifecycle import OrderStatus
from holdfast.runtime import Runtime
from tests.database.acting import SYSTEM
from tests.database.large_shop import Shop
from tests.database.named_queries.asking import (
    Named,
    batch,
    customer,
    in_tenant,
    manager,
    staff,
    statement,
    system_wide,
)


def simulation(runtime: Runtime, shop: Shop) -> object:
    """Simulate a page of the orders of a quarter of an hour, with what was reserved for them."""
    starts_at = shop.now - timedelta(minutes=15)
    return simulate_allocation(runtime, SimulateAllocation(manager(shop), starts_at, shop.now, 500, WhatIf()), shop.now)


NAMED: dict[str, Named] = {
    "order by id": Named(lambda r, s: find_order(r, customer(s), str(s.order_id), s.now), in_functions=True),
    "order by number": Named(lambda r, s: find_order(r, customer(s), s.order_number, s.now), in_functions=True),
    "order by number, for staff": Named(in_tenant(lambda t, s: order_id_of(t, staff(s), s.order_number))),
    "orders of a customer, newest first": Named(
        lambda r, s: list_orders(r, customer(s), status=None, before=None, limit=50, now=s.now)
    ),
    "orders of a customer, next page": Named(
        lambda r, s: list_orders(r, customer(s), status=None, before=s.order_id, limit=50, now=s.now)
    ),
    "orders of a customer by status": Named(
        lambda r, s: list_orders(r, customer(s), status=OrderStatus.CONFIRMED, before=None, limit=50, now=s.now)
    ),
    "orders of the shop, newest first": Named(
        lambda r, s: list_orders(r, staff(s), status=None, before=None, limit=50, now=s.now)
    ),
    "orders by status and age": Named(
        lambda r, s: list_orders(r, staff(s), status=OrderStatus.PROCESSING, before=None, limit=50, now=s.now)
    ),
    "orders by status and last update": Named(
        statement(
            "SELECT id FROM orders.orders WHERE organization_id = :o"
            " AND status IN ('pending_payment', 'payment_failed') AND status_changed_at <= :now"
            " ORDER BY status_changed_at LIMIT 50"
        )
    ),
    "why an order ships from where it does": Named(
        lambda r, s: explain_allocation(r, staff(s), str(s.order_id), s.now)
    ),
    "orders of a period, to be decided again": Named(simulation),
    "orders needing address review": Named(
        statement(
            "SELECT id FROM orders.orders WHERE organization_id = :o AND geocode_requires_review ORDER BY id LIMIT 50"
        )
    ),
    "orders split and unshipped": Named(
        statement(
            "SELECT id FROM orders.orders WHERE organization_id = :o AND is_split_shipment AND shipped_at IS NULL"
            " ORDER BY id LIMIT 50"
        )
    ),
    "orders by warehouse and status": Named(
        statement(
            "SELECT o.id FROM orders.orders o WHERE o.organization_id = :o AND o.status = 'processing' AND EXISTS ("
            " SELECT 1 FROM orders.order_allocations a WHERE a.organization_id = o.organization_id"
            " AND a.warehouse_id = :warehouse AND a.order_id = o.id) ORDER BY o.id DESC LIMIT 50"
        ),
        rows_max=10_000,
    ),
    "orders of a warehouse that has hardly any": Named(
        statement(
            "SELECT order_id FROM orders.order_allocations WHERE organization_id = :o AND warehouse_id = :none"
            " ORDER BY order_id DESC LIMIT 50",
            none=UUID(int=1),
        )
    ),
    "abandoned orders, over all tenants": Named(system_wide(_with_abandoned_orders), SYSTEM),
    "abandoned orders of a tenant, one batch": Named(batch(_cancel_batch), SYSTEM, 40_000, in_functions=True),
}
