"""A named query: what is asked, by which role, and how many rows it may read.

A query that merely finds the tenant would read tens of thousands of rows. Each of the other modules lists the queries
of its subject in ``NAMED``, each as the flow or the statement that runs it.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from holdfast.database.transaction import Transaction
from holdfast.flows.addresses.locate_address import AddressSearch
from holdfast.flows.checkout.place_order import PlaceOrder, _try_to_place
from holdfast.flows.checkout.planning import CheckoutRequest, RequestedItem
from holdfast.flows.claims.idempotency import Claim
from holdfast.flows.operations.in_batches import BATCH_MAX_ROWS
from holdfast.runtime import Runtime
from holdfast.values.address import Address
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.shipping import ShippingPreference
from tests.database.acting import APP
from tests.database.large_shop import Shop

ROWS_MAX = 300
"""Enough for a page of a list with its joins."""

Ask = Callable[[Runtime, Shop], object]


@dataclass(frozen=True, slots=True)
class Named:
    """A named query."""

    ask: Ask
    role: str = APP
    rows_max: int = ROWS_MAX
    in_functions: bool = False
    """Whether it runs inside functions. Functions cache their plans, so the generic plan is checked as well."""


def customer(shop: Shop) -> Caller:
    return Caller(shop.organization_id, CallerKind.CUSTOMER, shop.customer_subject, "c@example.com")


def staff(shop: Shop) -> Caller:
    return Caller(shop.organization_id, CallerKind.STAFF, "a-staff-1")


def manager(shop: Shop) -> Caller:
    return Caller(shop.organization_id, CallerKind.STAFF, "a-staff-2")


def statement(sql: str, **more: Any) -> Ask:
    """Return a query that runs a statement: ``:o`` is the organization, other parameters are the shop's keys."""

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


def once_each() -> Callable[[], float]:
    """Return a function for the time left, which is up on every second call.

    Nothing is ever committed here, so a loop that ends when no work is left would not end.
    """
    left: Iterator[float] = itertools.cycle((1.0, 0.0))
    return lambda: next(left)


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


def batch(work: Callable[[Transaction, int], int]) -> Ask:
    return in_tenant(lambda transaction, _: work(transaction, BATCH_MAX_ROWS))


def system_wide(search: Callable[[Runtime, datetime, str], list[UUID]]) -> Ask:
    return lambda runtime, shop: search(runtime, shop.now, "system:reservation_expiry")
