"""The shop that is proved: three warehouses, few goods, shoppers who come back, staff; and the database it lives in."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

import pg8000.native

from holdfast.database.migrations.run import upgrade
from holdfast.values.address import Address as PostalAddress
from holdfast.values.caller import Caller, CallerKind
from local.postgres import Address, Server
from local.testing import build_template
from prove.replacing import edit

WITNESSES: Final = Path(__file__).parent / "witness.sql"
ROLE_PASSWORD: Final = "only-for-proof"
ORGANIZATION: Final = UUID("01930000-0000-7000-8000-00000000d0d0")
ENDPOINT_KEY: Final = "prove-stripe"
SECRET_REFERENCE: Final = "holdfast/prove/stripe"
SENDER: Final = "orders@proof.example"
ARCHIVE_KEY_REFERENCE: Final = "holdfast/prove/archive"
API_KEY: Final = "sk_test_prove"
WEBHOOK_SECRET: Final = "whsec_prove"
BEGINS_AT: Final = datetime(2026, 6, 29, 15, 0, tzinfo=UTC)
"""Shortly before the end of a month, so that partitions change during a seed."""
ADDRESSES: Final = (
    PostalAddress("Ada Lovelace", "12 Analytical Way", "Denver", "80202", "US", region="CO"),
    PostalAddress("Grace Hopper", "1 Compiler Street", "Newark", "07102", "US", region="NJ"),
    PostalAddress("Alan Turing", "7 Bombe Road", "Reno", "89501", "US", region="NV"),
)
WAREHOUSES: Final = {code: uuid5(ORGANIZATION, code) for code in ("EWR", "DFW", "RNO")}
SKUS: Final = ("TEE", "MUG", "CAP", "LAMP", "DESK")
STOCK: Final = (6, 5, 4, 3, 2)
"""The stock of each SKU in each warehouse: so few that shoppers compete for the last."""
VARIANTS: Final = {sku: uuid5(ORGANIZATION, sku) for sku in SKUS}
MANAGER: Final = Caller(ORGANIZATION, CallerKind.STAFF, "grace-the-manager")
CLERK: Final = Caller(ORGANIZATION, CallerKind.STAFF, "linus-the-clerk")
CUSTOMERS: Final = tuple(
    Caller(ORGANIZATION, CallerKind.CUSTOMER, name, f"{name}@example.com")
    for name in ("ada", "barbara", "claude", "donald")
)

_SHOP: Final = """
    INSERT INTO tenancy.organizations (id, name, slug, publishable_key, settings, created_at)
    VALUES (:o, 'Proof Shop', 'proof-shop', 'pk_proof_shop_0123456789', '{"currency": "USD"}', :now);
    INSERT INTO tenancy.gateway_accounts (organization_id, id, gateway, endpoint_key, secret_reference, created_at)
    VALUES (:o, tenancy.uuid_v7(:now), 'stripe', :endpoint_key, :secret_reference, :now);
    INSERT INTO addresses.geocode_reference (country, postal_code, latitude, longitude, quality, data_source,
                                             dataset_version, created_at)
    VALUES ('US', '80202', 39.7528, -104.9992, 'centroid', 'prove', '1', :now),
           ('US', '07102', 40.7357, -74.1724, 'centroid', 'prove', '1', :now),
           ('US', '89501', 39.5296, -119.8138, 'centroid', 'prove', '1', :now) ON CONFLICT DO NOTHING;
    INSERT INTO inventory.warehouses (organization_id, id, code, name, address, latitude, longitude, priority,
                                      base_daily_capacity, shipping_cost_base, timezone, created_at)
    SELECT :o, id, code, code, '{}', latitude, longitude, priority, capacity, 600, timezone, :now
      FROM (VALUES (CAST(:ewr AS uuid), 'EWR', 40.7357, -74.1724, 10, NULL, 'America/New_York'),
                   (CAST(:dfw AS uuid), 'DFW', 32.7767, -96.7970, 20, 12, 'America/Chicago'),
                   (CAST(:rno AS uuid), 'RNO', 39.5296, -119.8138, 30, 20, 'America/Los_Angeles'))
           AS w (id, code, latitude, longitude, priority, capacity, timezone);
    WITH staff AS (
        INSERT INTO tenancy.users (id, auth_subject, email, full_name, created_at)
        VALUES (tenancy.uuid_v7(:now), :manager, 'grace@shop.example', 'Grace', :now),
               (tenancy.uuid_v7(:now), :clerk, 'linus@shop.example', 'Linus', :now) RETURNING id)
    INSERT INTO tenancy.organization_members (organization_id, user_id, role, created_at)
    SELECT :o, id, 'manager', :now FROM staff;
"""
_GOODS: Final = """
    WITH made AS (
        INSERT INTO catalog.products (organization_id, id, name, slug, status, created_at)
        VALUES (:o, tenancy.uuid_v7(:now), :sku, lower(:sku), 'active', :now) RETURNING id)
    INSERT INTO catalog.variants (organization_id, id, product_id, sku, price, currency, created_at)
    SELECT :o, :variant, id, :sku, :price, 'USD', :now FROM made;
    INSERT INTO inventory.stock_levels (organization_id, warehouse_id, variant_id, created_at)
    SELECT :o, w.id, :variant, :now FROM inventory.warehouses w;
    SELECT inventory.move_stock(:o, :now, 'receive', array_agg(w.id), array_agg(CAST(:variant AS uuid)),
                                array_agg(CAST(:stock AS integer)), 'prove', NULL, 'the first delivery', 'prove')
      FROM inventory.warehouses w;
"""


@dataclass(frozen=True, slots=True)
class Template:
    """A database with the schema, the shop and the witnesses, which is copied for each seed."""

    name: str


def build(server: Server, change: Callable[[pg8000.native.Connection], None] = lambda _: None) -> Template:
    """Build the template, once for each server. ``change`` is what a mutation does to the schema."""

    def fill(owner: Address) -> None:
        upgrade(owner.url, role_password=ROLE_PASSWORD)
        superuser = replace(server.admin, database=owner.database)
        superuser.execute(WITNESSES.read_text())
        connection = superuser.connect()
        try:
            edit(connection, "tenancy.uuid_v7", ("gen_random_uuid()", "prove.chance()"))
            _open_shop(connection)
            change(connection)
        finally:
            connection.close()

    return Template(build_template(server, fill))


def _open_shop(connection: pg8000.native.Connection) -> None:
    now = BEGINS_AT - timedelta(days=1)
    given: dict[str, Any] = {
        "o": ORGANIZATION,
        "now": now,
        "endpoint_key": ENDPOINT_KEY,
        "secret_reference": SECRET_REFERENCE,
        "manager": MANAGER.subject,
        "clerk": CLERK.subject,
        **{code.lower(): identifier for code, identifier in WAREHOUSES.items()},
    }
    connection.run("SELECT operations.make_partitions(CAST(:start AS date), 4)", start="2026-05-01")
    _run(connection, _SHOP, given)
    for number, sku in enumerate(SKUS, start=1):
        goods = {
            "o": ORGANIZATION,
            "now": now,
            "sku": sku,
            "variant": VARIANTS[sku],
            "price": 700 * number + 99,
            "stock": STOCK[number - 1],
        }
        _run(connection, _GOODS, goods)


def _run(connection: pg8000.native.Connection, script: str, given: dict[str, Any]) -> None:
    for statement in filter(str.strip, script.split(";")):
        named = {name: value for name, value in given.items() if f":{name}" in statement}
        connection.run(statement, **named)


def settings(capture_policy: str, *, hold_seconds: int) -> str:
    """Return the shop's settings for one seed, as JSON."""
    return json.dumps({"currency": "USD", "capture_policy": capture_policy, "hold_seconds": hold_seconds})
