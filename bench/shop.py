"""A shop to buy from: many variants with plenty of stock and known shoppers, so that no SKU runs out."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Engine, text

from bench.cluster import APP_ROLE, ROLE_PASSWORD
from holdfast.flows.checkout.place_order import OPERATION, PlaceOrder, place_order
from holdfast.flows.checkout.planning import CheckoutRequest, RequestedItem
from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.gateways.port import AuthorizeRequest, Outcome, PaymentSnapshot
from holdfast.runtime import Runtime
from holdfast.settings import settings_from
from holdfast.values.address import Address as PostalAddress
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.shipping import ShippingPreference
from holdfast.web.answers import payment_answer
from local.postgres import Address

ORGANIZATION_ID: Final = UUID("01930000-0000-7000-8000-00000000beac")
ENDPOINT_KEY: Final = "bench-shop-stripe"
SECRET_REFERENCE: Final = "holdfast/bench/stripe"
VARIANTS: Final = 1_000
CUSTOMERS: Final = 1_000
STOCK: Final = 1_000_000
HOT_SKU: Final = "SKU-0001"
DENVER: Final = PostalAddress("Ada Lovelace", "12 Analytical Way", "Denver", "80202", "US", region="CO")

_SHOP: Final = (
    """
    INSERT INTO tenancy.organizations (id, name, slug, publishable_key, settings, created_at)
    VALUES (:o, 'Bench Shop', 'bench-shop', 'pk_bench_shop_0123456789', '{"currency": "USD"}', :now)
    """,
    """
    INSERT INTO addresses.geocode_reference (country, postal_code, latitude, longitude, quality, data_source,
                                             dataset_version, created_at)
    VALUES ('US', '80202', 39.7528, -104.9992, 'centroid', 'bench', '1', :now) ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO tenancy.gateway_accounts (organization_id, id, gateway, endpoint_key, secret_reference, created_at)
    VALUES (:o, gen_random_uuid(), 'stripe', 'bench-shop-stripe', 'holdfast/bench/stripe', :now)
    """,
    """
    INSERT INTO inventory.warehouses (organization_id, id, code, name, address, latitude, longitude, priority,
                                      shipping_cost_base, timezone, created_at)
    SELECT :o, gen_random_uuid(), code, code, '{}', latitude, longitude, priority, 600, timezone, :now
      FROM (VALUES ('EWR', 40.7357, -74.1724, 10, 'America/New_York'),
                   ('DFW', 32.7767, -96.7970, 20, 'America/Chicago'),
                   ('RNO', 39.5296, -119.8138, 30, 'America/Los_Angeles'))
           AS w (code, latitude, longitude, priority, timezone)
    """,
    """
    INSERT INTO tenancy.customers (organization_id, id, auth_subject, email, first_name, created_at)
    SELECT :o, ('01930000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, 'shopper-' || n,
           'shopper-' || n || '@example.com', 'Shopper', :now
      FROM generate_series(1, :customers) AS n
    """,
    """
    WITH made AS (
        INSERT INTO catalog.products (organization_id, id, name, slug, status, created_at)
        SELECT :o, tenancy.uuid_v7(:now), 'Product ' || n, 'product-' || n, 'active', :now
          FROM generate_series(1, :variants) AS n RETURNING id, slug)
    INSERT INTO catalog.variants (organization_id, id, product_id, sku, price, currency, created_at)
    SELECT :o, ('01930000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, made.id,
           'SKU-' || lpad(n::text, 4, '0'), 900 + mod(n * 37, 8000), 'USD', :now
      FROM made, LATERAL (SELECT split_part(made.slug, '-', 2)::integer AS n) AS numbered
    """,
    """
    INSERT INTO inventory.stock_levels (organization_id, warehouse_id, variant_id, created_at)
    SELECT :o, w.id, v.id, :now FROM inventory.warehouses w CROSS JOIN catalog.variants v
    """,
    """
    SELECT inventory.move_stock(:o, :now, 'receive', array_agg(warehouse_id), array_agg(variant_id),
                                array_agg(CAST(:stock AS integer)), 'bench', NULL, 'opening stock', 'bench')
      FROM inventory.stock_levels
    """,
    "VACUUM ANALYZE",
)


def open_shop(engine: Engine) -> None:
    """Write the shop into an empty database with the current schema, through the ledger, and analyse it."""
    parameters: dict[str, object] = {
        "o": ORGANIZATION_ID,
        "now": datetime.now(UTC),
        "customers": CUSTOMERS,
        "variants": VARIANTS,
        "stock": STOCK,
    }
    with engine.connect() as connection:
        for statement in _SHOP:
            wanted = {name: value for name, value in parameters.items() if f":{name}" in statement}
            connection.execute(text(statement), wanted)


def sku(number: int) -> str:
    """Return the SKU of variant ``number`` (from 1)."""
    return f"SKU-{number:04d}"


def make_runtime(address: Address, *, role: str = APP_ROLE, connections: int = 1) -> Runtime:
    """Return the application's runtime on a database, without queues."""
    return Runtime(
        settings_from(
            {
                "DATABASE_HOST": address.host,
                "DATABASE_PORT": str(address.port),
                "DATABASE_NAME": address.database,
                "DATABASE_USER": role,
                "DATABASE_PASSWORD": ROLE_PASSWORD,
                "DATABASE_AUTHENTICATION": "password",
                "DATABASE_TLS": "off",
                "DATABASE_POOL_MAX_CONNECTIONS": str(connections),
            }
        )
    )


class Placed(BaseException):
    """The order is placed and committed, and the flow is about to ask for the money.

    This is where a benchmark stops it.
    """


class _NobodyToAsk:
    """Takes the place of the gateways and ends the checkout there."""

    def gateway(self, *_: object) -> Any:
        raise Placed


class _AlwaysPays:
    """A gateway in this process that answers at once: the whole checkout without any network but the database's."""

    def gateway(self, *_: object) -> Any:
        return self

    def authorize(self, request: AuthorizeRequest, *, deadline_seconds: float) -> PaymentSnapshot:
        return PaymentSnapshot(
            gateway_transaction_id=f"pi_{request.payment_id.hex}",
            outcome=Outcome.SUCCEEDED,
            amount=request.amount,
            captured_minor=request.amount.amount_minor,
        )


def utc_now() -> datetime:
    """Return the time. This is the clock that flows are given."""
    return datetime.now(UTC)


class Shopper:
    """Places orders through the real flow."""

    def __init__(self, runtime: Runtime, *, pays: bool = False, seed: int | None = None) -> None:
        self.runtime = runtime
        self._pays = pays
        self._random = random.Random(seed)
        runtime.__dict__["gateways"] = _AlwaysPays() if pays else _NobodyToAsk()

    def lines(self, count: int) -> Mapping[str, int]:
        """Return ``count`` adjacent SKUs, one piece of each."""
        first = self._random.randint(1, VARIANTS - count)
        return {sku(first + offset): 1 for offset in range(count)}

    def command(self, items: Mapping[str, int]) -> PlaceOrder:
        """Return a checkout by a known shopper, as the handler would make it."""
        number = self._random.randint(1, CUSTOMERS)
        caller = Caller(ORGANIZATION_ID, CallerKind.CUSTOMER, f"shopper-{number}", f"shopper-{number}@example.com")
        return PlaceOrder(
            caller=caller,
            claim=Claim(caller.actor, OPERATION, uuid.uuid4().hex, fingerprint_of({"items": dict(items)})),
            request=CheckoutRequest(
                tuple(RequestedItem(quantity, sku=name) for name, quantity in items.items()),
                DENVER,
                ShippingPreference.STANDARD,
            ),
            billing_address=DENVER,
            email=None,
            gateway="stripe",
            token="pm_card_visa",
        )

    def place(self, items: Mapping[str, int]) -> None:
        """Place an order. With ``pays``, it is also paid and settled. Raises what the flow raises."""
        command = self.command(items)
        if self._pays:
            place_order(self.runtime, command, utc_now, payment_answer)
            return
        try:
            place_order(self.runtime, command, utc_now, payment_answer)
        except Placed:
            return
        raise AssertionError("the checkout ended before it asked for money")
