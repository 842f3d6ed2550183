"""The named queries of the data model that have their tables here, each as the flow or the statement that asks it.

``NAMED`` maps a name to who asks (the role), what is asked, and how many rows it may read: a query that merely finds
the tenant would read tens of thousands.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from holdfast.addresses.cache_policy import use_document
from holdfast.addresses.model import AddressReviewStatus
from holdfast.archive.policy import BatchStatus
from holdfast.flows.addresses.locate_address import AddressSearch
from holdfast.flows.addresses.read_reviews import list_reviews
from holdfast.flows.addresses.watch_reviews import _remind, watch_reviews
from holdfast.flows.allocation.explain_allocation import explain_allocation
from holdfast.flows.allocation.simulate_allocation import SimulateAllocation, simulate_allocation
from holdfast.flows.archive import scan_archive
from holdfast.flows.archive.archived_documents import find_entry
from holdfast.flows.archive.operate_archive import list_discrepancies
from holdfast.flows.archive.verify_archive import batches_by_status
from holdfast.flows.checkout.payment_methods import forget_methods
from holdfast.flows.checkout.place_order import PlaceOrder, _try_to_place
from holdfast.flows.checkout.planning import CheckoutRequest, RequestedItem
from holdfast.flows.claims.idempotency import Claim
from holdfast.flows.dead_letters.alert_dead_letters import alert_dead_letters
from holdfast.flows.dead_letters.auto_replay import _due
from holdfast.flows.dead_letters.change_error_classes import Proposal
from holdfast.flows.dead_letters.classify_dead_letters import _waiting
from holdfast.flows.dead_letters.count_dead_letters import count_dead_letters
from holdfast.flows.dead_letters.group_dead_letters import list_dead_letter_groups
from holdfast.flows.dead_letters.list_dead_letters import Filters, list_dead_letters
from holdfast.flows.dead_letters.replay_group import _next_of
from holdfast.flows.dead_letters.try_error_class import try_error_class
from holdfast.flows.money.gateway_health import gateway_health
from holdfast.flows.money.list_disputes import DisputeStatus, list_disputes
from holdfast.flows.money.money_report import show_money_report
from holdfast.flows.money.owed_operations import Kind, claim_due
from holdfast.flows.money.refold_payments import Chosen, refold_for
from holdfast.flows.money.settlement import Settlement, write
from holdfast.flows.money.sweep_days import REFUND_LOOK_DAYS, _next_page, sweep_days
from holdfast.flows.money.watch_authorizations import watch_authorizations
from holdfast.flows.money.watch_payments import check_payments, resume_returns, sweep_payment_events
from holdfast.flows.notifications.deliver_message import is_suppressed
from holdfast.flows.notifications.read_facts import read_facts
from holdfast.flows.notifications.resume_messages import resume_messages
from holdfast.flows.notifications.work_messages import list_messages, list_suppressions
from holdfast.flows.operations import keep_house as house_keeping
from holdfast.flows.operations.process_failures import (
    FailureStatus,
    count_process_failures,
    find_process_failure,
    list_process_failures,
)
from holdfast.flows.operations.process_failures import Filters as FailureFilters
from holdfast.flows.operations.relay_outbox import relay_outbox
from holdfast.flows.orders import expire_reservations as expiry
from holdfast.flows.orders.find_order import find_order, order_id_of
from holdfast.flows.orders.list_orders import list_orders
from holdfast.flows.orders.locked_order import lock_order
from holdfast.flows.orders.order_timeline import order_timeline
from holdfast.flows.shipping.follow_shipments import plan_shipments
from holdfast.flows.shipping.locked_shipments import shipments_of as shipments_of_order
from holdfast.flows.shipping.read_shipments import Wanted as Parcels
from holdfast.flows.shipping.read_shipments import list_shipments
from holdfast.flows.stock import watch_capacity as watching
from holdfast.flows.stock.capacity_load import list_alerts, show_load
from holdfast.flows.stock.capacity_overrides import list_overrides
from holdfast.flows.stock.import_stock import ImportStock, import_stock, list_imports
from holdfast.flows.stock.read_stock import list_levels, list_movements, show_availability
from holdfast.flows.stock.transfers import list_transfers
from holdfast.inventory.simulation import WhatIf
from holdfast.inventory.stock_file import ImportMode
from holdfast.inventory.transfers import TransferStatus
from holdfast.notifications.model import MailKind, MessageStatus
from holdfast.orders.lifecycle import OrderStatus
from holdfast.payments.dead_letters import DeadLetterStatus
from holdfast.runtime import Runtime
from holdfast.values.address import Address
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import NotFound
from holdfast.values.shipping import ShipmentStatus, ShippingPreference
from tests.database.acting import APP, SYSTEM
from tests.database.large_shop import Shop

ROWS_MAX = 300
"""Enough for a page of a list with its joins."""
GATEWAY_ROWS_MAX = 20_000
"""An hour of calls, and whatever is open or unprocessed."""

Ask = Callable[[Runtime, Shop], object]


@dataclass(frozen=True, slots=True)
class Named:
    """A named query."""

    ask: Ask
    role: str = APP
    rows_max: int = ROWS_MAX
    in_functions: bool = False
    """It runs inside functions, whose plans are kept: the generic plan is looked at as well."""


def customer(shop: Shop) -> Caller:
    return Caller(shop.organization_id, CallerKind.CUSTOMER, shop.customer_subject, "c@example.com")


def staff(shop: Shop) -> Caller:
    return Caller(shop.organization_id, CallerKind.STAFF, "a-staff-1")


def manager(shop: Shop) -> Caller:
    return Caller(shop.organization_id, CallerKind.STAFF, "a-staff-2")


def statement(sql: str, **more: Any) -> Ask:
    """A statement of one tenant; ``:o`` is the organization, other words are those of the shop."""

    def ask(runtime: Runtime, shop: Shop) -> object:
        values = {
            "o": shop.organization_id,
            "order": shop.order_id,
            "customer": shop.customer_id,
            "warehouse": shop.warehouse_id,
            "variant": shop.variant_id,
            "payment": shop.payment_id,
            "account": shop.gateway_account_id,
            "transaction": shop.transaction_id,
            "now": shop.now,
            **more,
        }
        used = {name: value for name, value in values.items() if f":{name}" in sql}
        tenant = None if ":o" not in sql else shop.organization_id
        with runtime.database.transaction(tenant, now=shop.now) as transaction:
            return transaction.rows(sql, **used)

    return ask


def in_tenant(work: Callable[[Any, Shop], object]) -> Ask:
    def ask(runtime: Runtime, shop: Shop) -> object:
        with runtime.database.transaction(shop.organization_id, now=shop.now) as transaction:
            return work(transaction, shop)

    return ask


def dead_letters(**filters: Any) -> Ask:
    """A page from the middle of the queue."""

    def ask(runtime: Runtime, shop: Shop) -> object:
        chosen = Filters(**filters)
        page = list_dead_letters(runtime, staff(shop), chosen, after=None, limit=5, now=shop.now)
        last = page["dead_letters"][-1]["id"]
        return list_dead_letters(runtime, staff(shop), chosen, after=UUID(last), limit=20, now=shop.now)

    return ask


ANY_CLASS = Proposal("any", None, 1, None, None, None, (), 300, 85.0)


def a_class(runtime: Runtime, shop: Shop) -> UUID:
    with runtime.database.transaction(shop.organization_id, now=shop.now) as transaction:
        found: UUID = transaction.value("SELECT id FROM payments.error_classes WHERE class_name = 'class 4'")
    return found


class _Bus:
    def publish(self, events: list[Any]) -> set[UUID]:
        return {event.id for event in events}


class _Queue:
    def send_all(self, messages: list[Any]) -> int:
        return len(messages)


def once_each() -> Callable[[], float]:
    """A time that is up every other time it is asked for: loops that end when nothing is left would not end here."""
    left: Iterator[float] = itertools.cycle((1.0, 0.0))
    return lambda: next(left)


def relay(runtime: Runtime, shop: Shop) -> object:
    runtime.__dict__["event_bus"] = _Bus()
    return relay_outbox(runtime, lambda: shop.now, once_each())


def purge(table: str) -> Ask:
    def ask(runtime: Runtime, shop: Shop) -> object:
        delete, age = house_keeping._PURGES[table]
        with runtime.database.transaction(None, now=shop.now) as transaction:
            return transaction.execute(delete, before=shop.now + timedelta(days=1) - age, limit=500)

    return ask


def sweep(runtime: Runtime, shop: Shop) -> object:
    runtime.__dict__["payment_events_queue"] = _Queue()
    return sweep_payment_events(runtime, shop.now)


def place(lines: int, *, by_id: bool = False, postal_code: str = "00202") -> Ask:
    def ask(runtime: Runtime, shop: Shop) -> object:
        items = [RequestedItem(1, sku=f"SKU-{number * 7 + 1}") for number in range(lines)]
        if by_id:
            items = [RequestedItem(1, variant_id=shop.variant_id)]
        address = Address("Ada Lovelace", "12 Analytical Way", "Denver", postal_code, "US", region="CO")
        caller = customer(shop)
        command = PlaceOrder(
            caller,
            Claim(caller.actor, "checkout", uuid4().hex, "f"),
            CheckoutRequest(tuple(items), address, ShippingPreference.STANDARD),
            address,
            None,
            "stripe",
            "pm_card_visa",
        )
        search = AddressSearch(runtime, shop.organization_id, address)
        return _try_to_place(runtime, command, search, shop.now, {})

    return ask


def listed_reviews(status: AddressReviewStatus | None) -> Ask:
    """A page from the middle of the queue."""

    def ask(runtime: Runtime, shop: Shop) -> object:
        how: dict[str, Any] = {"status": status, "due_before": None, "now": shop.now}
        page = list_reviews(runtime, manager(shop), **how, after=None, limit=5)
        last = UUID(page["address_reviews"][-1]["id"])
        return list_reviews(runtime, manager(shop), **how, after=last, limit=20)

    return ask


def note_place(transaction: Any, shop: Shop) -> object:
    note = {
        "country": "CA",
        "postal_code": "K1A8",
        "key": hashlib.sha256(b"8").hexdigest(),
        "found": {"latitude": 45, "longitude": -75, "quality": "rooftop", "expires_at": shop.now.isoformat()},
        "used": use_document(shop.now),
    }
    sql = "SELECT addresses.note_place(:o, :order, :now, CAST(:note AS jsonb))"
    return transaction.value(sql, o=shop.organization_id, order=shop.order_id, now=shop.now, note=note)


def settle(transaction: Any, shop: Shop) -> object:
    order = lock_order(transaction, shop.order_id)
    return write(transaction, order, Settlement(order_id=order.id, path=(OrderStatus.PROCESSING,), notes="test"))


def store_event(transaction: Any, shop: Shop) -> object:
    event = {
        "id": str(uuid4()),
        "gateway": "stripe",
        "gateway_account_id": str(shop.gateway_account_id),
        "gateway_event_id": "evt_new",
        "gateway_transaction_id": shop.transaction_id,
        "event_type": "capture_succeeded",
        "gateway_event_type": "payment_intent.succeeded",
        "news": {},
        "payload": {},
        "occurred_at": shop.now.isoformat(),
        "received_at": shop.now.isoformat(),
        "state": "pending",
    }
    sql = "SELECT payments.store_event(:o, CAST(:event AS jsonb))"
    stored = transaction.value(sql, o=shop.organization_id, event=event)
    claim = "SELECT payments.claim_event(:o, :id, :now, 90)"
    return transaction.value(claim, o=shop.organization_id, id=stored, now=shop.now)


def batch(name: str) -> Ask:
    return in_tenant(lambda transaction, _: getattr(expiry, name)(transaction))


def system_wide(name: str) -> Ask:
    return lambda runtime, shop: getattr(expiry, name)(runtime, shop.now)


def failures(**which: Any) -> Ask:
    return lambda runtime, shop: list_process_failures(
        runtime, manager(shop), FailureFilters(**which), before=None, limit=50, now=shop.now
    )


def failure(runtime: Runtime, shop: Shop) -> object:
    """One that is open, with its history."""
    page = list_process_failures(runtime, manager(shop), FailureFilters(), before=None, limit=1, now=shop.now)
    return find_process_failure(runtime, manager(shop), UUID(page["process_failures"][0]["id"]), shop.now)


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
    """The second of the shop, of which transfers go to."""
    return UUID(int=shop.warehouse_id.int // 2**48 * 2**48 + 2)


def same_file(shop: Shop) -> ImportStock:
    """A file of a hundred rows, only looked at."""
    rows = "".join(f"W1,SKU-{number * 7 + 1},1000\n" for number in range(100))
    return ImportStock(manager(shop), f"warehouse,sku,quantity\n{rows}", ImportMode.LEVELS, "test", dry_run=True)


def simulation(runtime: Runtime, shop: Shop) -> object:
    """A page of the orders of a quarter of an hour, with what was held for them."""
    starts_at = shop.now - timedelta(minutes=15)
    return simulate_allocation(runtime, SimulateAllocation(manager(shop), starts_at, shop.now, 500, WhatIf()), shop.now)


def transfers_of(**which: Any) -> Ask:
    page = {"status": None, "to_warehouse_id": None, "before": None, "limit": 20} | which
    return lambda runtime, shop: list_transfers(runtime, staff(shop), **page, now=shop.now)


def messages_of(which: Callable[[Shop], dict[str, Any]]) -> Ask:
    page: dict[str, Any] = {"order_id": None, "status": None, "before": None, "limit": 20}
    return lambda runtime, shop: list_messages(runtime, manager(shop), **page | which(shop), now=shop.now)


def suppressions_of(address: str | None) -> Ask:
    return lambda runtime, shop: list_suppressions(
        runtime, manager(shop), address=address, before=None, limit=20, now=shop.now
    )


def due_messages(runtime: Runtime, shop: Shop) -> object:
    """A tick of the sender, which finds no mail service and stops."""
    return resume_messages(runtime, lambda: shop.now, once_each())


def shipments_of(of: Callable[[Shop], Parcels]) -> Ask:
    return lambda runtime, shop: list_shipments(runtime, staff(shop), of(shop), after=None, limit=20, now=shop.now)


NAMED: dict[str, Named] = {
    # orders
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
    "abandoned orders, over all tenants": Named(system_wide("_with_abandoned_orders"), SYSTEM),
    "abandoned orders of a tenant, one batch": Named(batch("_cancel_batch"), SYSTEM, 40_000, in_functions=True),
    # reservations and stock
    "tenants with reservations that are due": Named(system_wide("_with_due_holds"), SYSTEM),
    "reservations that are due, one batch": Named(batch("_release_batch"), SYSTEM, 20_000, in_functions=True),
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
    "low stock of a warehouse, page by page": Named(levels(only_low=True), rows_max=31_000),
    "levels of a warehouse, page by page": Named(levels(only_low=False)),
    "what can be sold of a variant": Named(availability(lambda shop: {"variant_id": shop.variant_id})),
    "what can be sold, by SKU": Named(availability(lambda _: {"sku": "SKU-77"})),
    "what can be sold of a product": Named(availability(lambda shop: {"product_id": shop.variant_id})),
    "imports of stock, newest first": Named(lambda r, s: list_imports(r, staff(s), before=None, limit=20, now=s.now)),
    "the same file again": Named(lambda r, s: import_stock(r, same_file(s), lambda: s.now, lambda: 0.0)),
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
    "daily load to fold, over all tenants": Named(system_wide("_with_crowded_load"), SYSTEM, 5_000),
    "daily load of a tenant": Named(batch("_roll_up"), SYSTEM, 5_000, in_functions=True),
    # fulfillment
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
    # addresses
    "an order whose address nobody found": Named(place(1, postal_code="99999"), in_functions=True),
    "a cached place that is used, and found again": Named(in_tenant(note_place), in_functions=True),
    "cache by postal code": Named(
        statement(
            "SELECT address_key FROM addresses.geocode_cache WHERE organization_id = :o AND country = 'CA'"
            " AND postal_code = 'K1A8'"
        )
    ),
    "reference by postal code": Named(
        statement("SELECT latitude FROM addresses.geocode_reference WHERE country = 'US' AND postal_code = '00008'")
    ),
    "staged rows of an import": Named(
        statement("SELECT line FROM addresses.geocode_import_staging WHERE import_id = :none", none=UUID(int=1)),
        SYSTEM,
    ),
    "reallocations of an order": Named(
        statement(
            "SELECT sequence FROM orders.reallocations WHERE organization_id = :o AND order_id = :order"
            " ORDER BY sequence"
        )
    ),
    "earlier addresses of an order": Named(
        statement(
            "SELECT version FROM orders.order_address_versions WHERE organization_id = :o AND order_id = :order"
            " ORDER BY version"
        )
    ),
    "geocode failures of an order, newest first": Named(
        statement(
            "SELECT id FROM addresses.geocode_failures WHERE organization_id = :o AND order_id = :order"
            " ORDER BY id DESC"
        )
    ),
    "reviews of an order": Named(
        statement("SELECT id FROM addresses.reviews WHERE organization_id = :o AND order_id = :order")
    ),
    "open reviews by deadline": Named(listed_reviews(None)),
    "reviews by status and deadline": Named(listed_reviews(AddressReviewStatus.CORRECTED)),
    "reviews past their deadline, and reminders that are due, over all tenants": Named(
        lambda r, s: watch_reviews(r, lambda: s.now, lambda: 0.0), SYSTEM, 1_100
    ),
    "reminders of an organization": Named(in_tenant(lambda t, _: _remind(t)), SYSTEM, 5_000),
    "steps of a review": Named(
        statement(
            "SELECT step FROM addresses.review_steps WHERE organization_id = :o AND review_id = :order"
            " ORDER BY sequence"
        )
    ),
    # the archive
    "orders that may be archived, in order": Named(
        statement("SELECT archive.claim_orders(:o, :now, :now, CAST(:none AS uuid), 50)", none=UUID(int=0)),
        SYSTEM,
        20_000,
        in_functions=True,
    ),
    "archived order by id or number": Named(in_tenant(lambda t, _: find_entry(t, "A7"))),
    "archived orders of a customer, newest first": Named(
        lambda r, s: list_orders(r, customer(s), status=None, before=None, limit=50, now=s.now, include_archived=True)
    ),
    "archived orders by status, newest first": Named(
        lambda r, s: list_orders(
            r, staff(s), status=OrderStatus.REFUNDED, before=None, limit=50, now=s.now, include_archived=True
        )
    ),
    "archived orders of a batch": Named(
        statement(
            "SELECT e.order_id FROM (SELECT b.id FROM archive.archive_batches b WHERE b.organization_id = :o"
            " ORDER BY b.chain_position LIMIT 1) AS b, archive.examine(:o, b.id, ARRAY(SELECT l.order_id"
            " FROM archive.batch_leaves l WHERE l.organization_id = :o AND l.batch_id = b.id),"
            " ARRAY(SELECT CAST(NULL AS text) FROM generate_series(1, 10))) AS e"
        ),
        in_functions=True,
    ),
    "archived orders by verification age": Named(
        statement(
            "SELECT x.order_id FROM archive.archive_index x WHERE x.organization_id = :o"
            " ORDER BY x.last_verified_at LIMIT 50"
        )
    ),
    "archive batches by status, oldest first": Named(
        lambda r, s: batches_by_status(r, s.organization_id, BatchStatus.COMPLETED, s.now, "system:test"), SYSTEM
    ),
    "the last full scan of the archive": Named(
        lambda r, s: scan_archive._continues_after(r, s.organization_id, s.now), SYSTEM
    ),
    "discrepancies that stand open": Named(
        lambda r, s: list_discrepancies(r, manager(s), only_open=True, before=None, limit=50, now=s.now)
    ),
    "discrepancies of a batch": Named(
        statement(
            "SELECT d.id FROM archive.discrepancies d WHERE d.organization_id = :o AND d.batch_id = ("
            "SELECT b.id FROM archive.archive_batches b WHERE b.organization_id = :o ORDER BY b.chain_position LIMIT 1)"
        )
    ),
    "the archived order of a gateway's transaction": Named(
        statement(
            "SELECT r.order_id FROM archive.payment_references r WHERE r.organization_id = :o"
            " AND r.gateway_account_id = :account AND r.gateway_transaction_id = 'pi_filed_7'"
        )
    ),
    # payments
    "payment by gateway id": Named(in_tenant(store_event), in_functions=True),
    "payments pending too long": Named(lambda r, s: check_payments(r, lambda: s.now, lambda: 0.0), SYSTEM, 1_100),
    "authorizations about to expire": Named(
        lambda r, s: watch_authorizations(r, lambda: s.now, lambda: 0.0), SYSTEM, 1_100
    ),
    "payment events unprocessed and due": Named(sweep, SYSTEM, 1_100),
    "events of a payment": Named(
        statement(
            "SELECT id FROM payments.payment_events WHERE organization_id = :o AND payment_id = :payment ORDER BY id"
        )
    ),
    "payment events unmatched": Named(
        statement(
            "SELECT id FROM payments.payment_events WHERE organization_id = :o AND payment_id IS NULL"
            " ORDER BY id LIMIT 50"
        )
    ),
    "refunds of a payment": Named(
        statement("SELECT id FROM payments.refunds WHERE organization_id = :o AND payment_id = :payment")
    ),
    "refunds pending": Named(
        statement(
            "SELECT organization_id, id FROM payments.refunds WHERE status IN ('pending', 'processing')"
            " ORDER BY created_at LIMIT 50"
        ),
        SYSTEM,
    ),
    "disputes by status, newest first": Named(
        statement(
            "SELECT id FROM payments.disputes WHERE organization_id = :o AND status = 'opened'"
            " ORDER BY id DESC LIMIT 50"
        )
    ),
    "items of a refund": Named(
        statement("SELECT id FROM payments.refund_items WHERE organization_id = :o AND refund_id = :order")
    ),
    "refunds of an item": Named(
        statement("SELECT id FROM payments.refund_items WHERE organization_id = :o AND order_item_id = :order")
    ),
    "money owed back that is due": Named(lambda r, s: resume_returns(r, lambda: s.now, lambda: 0.0), SYSTEM),
    "operations of an order": Named(in_tenant(lambda t, s: claim_due(t, s.order_id, tuple(Kind)))),
    "a settled decision, written": Named(in_tenant(settle), in_functions=True),
    # dead letters
    "dead letters as a queue by status and priority": Named(dead_letters()),
    "dead letters of a class": Named(
        lambda r, s: dead_letters(error_class_id=a_class(r, s), status=DeadLetterStatus.REPLAYED)(r, s)
    ),
    "dead letters of an assignee": Named(dead_letters(assigned_to="a-staff-1")),
    "dead letters of one trouble": Named(
        in_tenant(lambda t, _: _next_of(t, "fingerprint-3", None)),
    ),
    "dead letters by trouble": Named(lambda r, s: list_dead_letter_groups(r, staff(s), 20, s.now), rows_max=600),
    "dead letters that a class would match": Named(
        lambda r, s: try_error_class(r, staff(s), ANY_CLASS, None, s.now), rows_max=1_000
    ),
    "group replays that are due": Named(
        statement(
            "SELECT organization_id, id FROM payments.group_replays WHERE state = 'running' AND next_at <= :now"
            " ORDER BY next_at LIMIT 20"
        ),
        SYSTEM,
    ),
    "dead letters that replay by themselves and are due": Named(lambda r, s: _due(r, s.now), SYSTEM),
    "dead letters whose alert was not sent": Named(
        lambda r, s: alert_dead_letters(r, lambda: s.now, lambda: 0.0), SYSTEM
    ),
    "dead letters that are open, or were resolved since yesterday": Named(
        lambda r, s: count_dead_letters(r, s.now), SYSTEM, 30_000
    ),
    "dead letters that wait, by the batch": Named(
        in_tenant(lambda t, _: _waiting(t, DeadLetterStatus.PENDING_REVIEW, (0, UUID(int=0))))
    ),
    # operations
    "outbox rows unpublished, in order": Named(relay, SYSTEM, 1_500),
    "health of the gateways": Named(
        lambda runtime, shop: gateway_health(runtime, manager(shop), shop.now), rows_max=GATEWAY_ROWS_MAX
    ),
    "an account's last webhook": Named(
        statement(
            "SELECT max(received_at) FROM payments.payment_events WHERE organization_id = :o"
            " AND gateway_account_id = :account AND gateway_event_type <> 'answer'"
        )
    ),
    "process failures open by process": Named(
        statement(
            "SELECT id FROM operations.process_failures WHERE organization_id = :o AND process_name = 'PaymentEvent'"
            " AND status = 'open' LIMIT 50"
        )
    ),
    "messages that are due": Named(due_messages, SYSTEM, 1_500),
    "messages of an order": Named(messages_of(lambda s: {"order_id": s.order_id})),
    "messages by status, newest first": Named(messages_of(lambda _: {"status": MessageStatus.FAILED})),
    "messages, newest first": Named(messages_of(lambda _: {})),
    "facts of an order for a mail": Named(
        lambda r, s: in_tenant(
            lambda t, _: read_facts(r, t, MailKind.ORDER_CONFIRMED, s.order_id, shipment_id=None, refund_id=None)
        )(r, s),
        SYSTEM,
    ),
    "suppression of an address": Named(in_tenant(lambda t, _: is_suppressed(t, "c6@example.com")), SYSTEM),
    "suppressions, newest first": Named(suppressions_of(None)),
    "suppressions of an address": Named(suppressions_of("c51@example.com")),
    "process failures by status, newest first": Named(failures()),
    "process failures of a process, newest first": Named(failures(process_name="PaymentEvent")),
    "process failures that are resolved, next page": Named(failures(status=FailureStatus.RESOLVED)),
    "process failures of an assignee, newest first": Named(failures(assigned_to="grace")),
    "process failures about a thing, for managers": Named(
        lambda r, s: failures(status=None, related_id=s.order_id)(r, s)
    ),
    "a process failure with its history": Named(failure),
    "process failures counted by process": Named(
        lambda r, s: count_process_failures(r, manager(s), s.now), rows_max=30_000
    ),
    "disputes by status, for managers": Named(
        lambda r, s: list_disputes(r, manager(s), status=DisputeStatus.OPENED, before=None, limit=50, now=s.now)
    ),
    "payments recomputed from their events": Named(
        lambda r, s: refold_for(r, manager(s), Chosen(payment_id=s.payment_id), s.now)
    ),
    "differences of a day": Named(
        lambda r, s: show_money_report(r, manager(s), (s.now - timedelta(days=9)).date(), s.now), rows_max=2_000
    ),
    "days that are over and not compared with the gateways": Named(
        lambda r, s: sweep_days(r, s.organization_id, lambda: s.now, lambda: 0.0), SYSTEM
    ),
    "payments to ask about of a day": Named(in_tenant(lambda t, s: _next_page(t, s.now.date(), 100)), SYSTEM, 4_000),
    "refunds to look at again": Named(
        in_tenant(lambda t, s: _next_page(t, s.now.date() + timedelta(days=max(REFUND_LOOK_DAYS)), 100)),
        SYSTEM,
        2_000,
    ),
    "everything about one order, by time": Named(
        lambda r, s: order_timeline(r, manager(s), str(s.order_id), s.now), in_functions=True
    ),
    "audit of a record": Named(
        statement(
            "SELECT id FROM operations.audit_log WHERE organization_id = :o AND table_name = 'orders.orders'"
            " AND record_id = :order ORDER BY id DESC LIMIT 50"
        )
    ),
    **{
        f"{table} that have outlived their use, one batch": Named(purge(table), SYSTEM, 3_000)
        for table in house_keeping._PURGES
    },
    "keys of an order": Named(
        statement("SELECT key FROM orders.idempotency_keys WHERE organization_id = :o AND order_id = :order")
    ),
    # customers and catalog
    "addresses of a customer": Named(
        statement("SELECT id FROM tenancy.customer_addresses WHERE organization_id = :o AND customer_id = :customer")
    ),
    "saved cards of a customer": Named(
        statement("SELECT id FROM tenancy.payment_methods WHERE organization_id = :o AND customer_id = :customer")
    ),
    "saved cards that gateways are to forget": Named(
        lambda r, s: forget_methods(r, lambda: s.now, lambda: 0.0), SYSTEM
    ),
    "product by slug": Named(
        statement(
            "SELECT id FROM catalog.products WHERE organization_id = :o AND slug = 'product-77' AND deleted_at IS NULL"
        )
    ),
    "products by category and status": Named(
        statement(
            "SELECT id FROM catalog.products WHERE organization_id = :o AND category = 'category-7'"
            " AND status = 'active' AND deleted_at IS NULL LIMIT 50"
        )
    ),
    "variants of a product": Named(
        statement("SELECT id FROM catalog.variants WHERE organization_id = :o AND product_id = :variant")
    ),
    "overrides covering a date": Named(
        statement(
            "SELECT id FROM inventory.capacity_overrides WHERE organization_id = :o AND warehouse_id = :warehouse"
            " AND ends_on >= current_date AND starts_on <= current_date ORDER BY ends_on LIMIT 1"
        )
    ),
}
