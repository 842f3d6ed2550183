"""Named queries about stock and reservations, and about what a checkout reads of them."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from holdfast.flows.orders.expire_reservations import _release_batch, _with_due_holds
from holdfast.flows.orders.locked_order import lock_order
from holdfast.flows.stock import watch_capacity as watching
from holdfast.flows.stock.capacity_load import list_alerts, show_load
from holdfast.flows.stock.capacity_overrides import list_overrides
from holdfast.flows.stock.count_levels import beside_book, booked_since
from holdfast.flows.stock.fold_load import _fold, _with_crowded_load
from holdfast.flows.stock.import_stock import ImportStock, import_stock, list_imports
from holdfast.flows.stock.read_stock import list_levels, list_movements, show_availability
from holdfast.flows.stock.transfers import list_transfers
from holdfast.inventory.stock_file import ImportMode
from holdfast.inventory.transfers import TransferStatus
from holdfast.runtime import Runtime
from holdfast.values.errors import NotFound
from tests.database.acting import SYSTEM
from tests.database.large_shop import Shop
from tests.database.named_queries.asking import (
    Ask,
    Named,
    batch,
    in_tenant,
    manager,
    place,
    staff,
    statement,
    system_wide,
)


def levels(*, only_low: bool) -> Ask:
    return lambda runtime, shop: list_levels(
        runtime, staff(shop), warehouse_id=shop.warehouse_id, only_low=only_low, after=None, limit=20, now=shop.now
    )


def availability(of: Callable[[Shop], dict[str, Any]]) -> Ask:
    nothing: dict[str, Any] = {"product_id": None, "variant_id": None, "sku": None}

    def ask(runtime: Runtime, shop: Shop) -> object:
        with suppress(NotFound):
            return show_availability(runtime, staff(shop), **nothing | of(shop), now=shop.now)

    return ask


def other_warehouse(shop: Shop) -> UUID:
    """Return the shop's second warehouse, to which its transfers go."""
    return UUID(int=shop.warehouse_id.int // 2**48 * 2**48 + 2)


def same_file(shop: Shop) -> ImportStock:
    """Return a dry run of a file of a hundred rows."""
    rows = "".join(f"W1,SKU-{number * 7 + 1},1000\n" for number in range(100))
    return ImportStock(manager(shop), f"warehouse,sku,quantity\n{rows}", ImportMode.LEVELS, "test", dry_run=True)


def transfers_of(**which: Any) -> Ask:
    page = {"status": None, "to_warehouse_id": None, "before": None, "limit": 20} | which
    return lambda runtime, shop: list_transfers(runtime, staff(shop), **page, now=shop.now)


WAITING_MAX_ROWS = 6_000
"""The rows read to find what is sold but has not shipped: about ten rows and index entries per waiting parcel."""

NAMED: dict[str, Named] = {
    "tenants with reservations that are due": Named(system_wide(_with_due_holds), SYSTEM),
    "reservations that are due, one batch": Named(batch(_release_batch), SYSTEM, 20_000, in_functions=True),
    "order, its payments, refunds, holds and items": Named(
        in_tenant(lambda t, s: lock_order(t, s.order_id)), in_functions=True
    ),
    "live reservations of a variant": Named(
        statement(
            "SELECT id FROM inventory.reservations WHERE organization_id = :o AND variant_id = :variant"
            " AND status = 'active'"
        )
    ),
    "stock of a variant over warehouses": Named(place(1, by_id=True), in_functions=True),
    "stock of ten variants, and an order of them": Named(place(10), rows_max=600, in_functions=True),
    "low stock of a warehouse, page by page": Named(
        levels(only_low=True), rows_max=31_000 + WAITING_MAX_ROWS, in_functions=True
    ),
    "levels of a warehouse, page by page": Named(
        levels(only_low=False), rows_max=300 + WAITING_MAX_ROWS, in_functions=True
    ),
    "what is sold and has not left, and what left a warehouse since an instant": Named(
        in_tenant(
            lambda t, s: beside_book(t, ImportMode.LEVELS, [(s.warehouse_id, s.variant_id)], s.now - timedelta(hours=1))
        ),
        rows_max=WAITING_MAX_ROWS,
        in_functions=True,
    ),
    "goods booked since a count was begun": Named(
        in_tenant(lambda t, s: booked_since(t, [(s.warehouse_id, s.variant_id)], s.now - timedelta(hours=1))),
    ),
    "what can be sold of a variant": Named(availability(lambda shop: {"variant_id": shop.variant_id})),
    "what can be sold, by SKU": Named(availability(lambda _: {"sku": "SKU-77"})),
    "what can be sold of a product": Named(availability(lambda shop: {"product_id": shop.variant_id})),
    "imports of stock, newest first": Named(lambda r, s: list_imports(r, staff(s), before=None, limit=20, now=s.now)),
    "the same file again": Named(
        lambda r, s: import_stock(r, same_file(s), lambda: s.now, lambda: 0.0),
        rows_max=1_000 + WAITING_MAX_ROWS,
        in_functions=True,
    ),
    "transfers, newest first": Named(transfers_of()),
    "transfers by status, newest first": Named(transfers_of(status=TransferStatus.PENDING)),
    "transfers in transit to a warehouse": Named(
        lambda r, s: transfers_of(status=TransferStatus.IN_TRANSIT, to_warehouse_id=other_warehouse(s))(r, s)
    ),
    "overrides covering a date, and the load of every warehouse": Named(
        lambda r, s: show_load(r, staff(s), starts_on=None, days=7, now=s.now)
    ),
    "overrides of a warehouse that have not ended": Named(
        lambda r, s: list_overrides(r, staff(s), warehouse_id=s.warehouse_id, ended_since=None, now=s.now)
    ),
    "unresolved alerts": Named(lambda r, s: list_alerts(r, staff(s), warehouse_id=None, now=s.now)),
    "last alerts of a warehouse": Named(in_tenant(lambda t, _: watching._last_alerts(t)), SYSTEM),
    "movements of a level, in order": Named(
        lambda r, s: list_movements(
            r, staff(s), warehouse_id=s.warehouse_id, variant_id=s.variant_id, before=None, limit=50, now=s.now
        )
    ),
    "movements that an order caused": Named(
        statement("SELECT id FROM inventory.stock_movements WHERE organization_id = :o AND reference_id = :order")
    ),
    "daily load to fold, over all tenants": Named(system_wide(_with_crowded_load), SYSTEM, 5_000),
    "daily load of a tenant": Named(batch(_fold), SYSTEM, 5_000, in_functions=True),
}
