"""The demo shop: three warehouses, 200 products, one of them sold out, staff, a customer, and a few orders.

Catalog and stock are written in a handful of set-based statements; the stock comes in through the ledger like any
other, and the orders are placed by the real checkout. Safe to run twice: a shop that is there is left as it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import Connection, create_engine, text

from holdfast.flows.checkout.place_order import PlaceOrder, place_order
from holdfast.flows.checkout.planning import CheckoutRequest, RequestedItem
from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.runtime import Runtime
from holdfast.settings import settings_from
from holdfast.values.address import Address
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.ids import uuid7
from holdfast.values.shipping import ShippingPreference
from holdfast.web.answers import payment_answer

if TYPE_CHECKING:
    from local.gateway_accounts import Connected
    from local.system import LocalSystem

ORGANIZATION_ID: Final = UUID("01930000-0000-7000-8000-000000000001")
PUBLISHABLE_KEY: Final = "pk_demo_shop_0123456789"
ENDPOINT_KEY: Final = "default-stripe"
GOOD_SKU: Final = "TEE-BLK-M"
SOLD_OUT_SKU: Final = "LAMP-SOLD-OUT"
CUSTOMER_SUBJECT: Final = "demo-customer"
CUSTOMER_EMAIL: Final = "ada@example.com"
STAFF: Final = ("owner", "admin", "manager", "member", "viewer")

_WAREHOUSES: Final = (
    ("EWR", "Newark", 40.7357, -74.1724, "NJ", "07102", 10, 400, "America/New_York", 650),
    ("DFW", "Dallas", 32.7767, -96.7970, "TX", "75201", 20, 300, "America/Chicago", 600),
    ("RNO", "Reno", 39.5296, -119.8138, "NV", "89501", 30, None, "America/Los_Angeles", 700),
)
_THINGS: Final = ("Tee", "Hoodie", "Mug", "Lamp", "Chair", "Notebook", "Backpack", "Bottle", "Blanket", "Poster")
_STYLES: Final = (
    "Black", "White", "Navy", "Olive", "Sand", "Rust", "Plum", "Slate", "Coral", "Teal",
    "Amber", "Ivory", "Moss", "Cobalt", "Blush", "Graphite", "Saffron", "Indigo", "Pearl",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SeedResult:
    """What the local system prints and signs tokens for."""

    organization_id: UUID
    publishable_key: str
    endpoint_key: str
    sku: str
    subjects: Mapping[str, str]
    customer_email: str


def seed(system: LocalSystem, accounts: Sequence[Connected]) -> SeedResult:
    """Make the demo shop unless it is there; its accounts at the gateways are brought up to date either way."""
    engine = create_engine(system.database.url.replace("postgresql://", "postgresql+pg8000://"))
    now = datetime.now(UTC)
    try:
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL ROLE holdfast_owner"))
            fresh = _shop(connection, now)
            _accounts(connection, accounts, now)
            if fresh:
                _catalog(connection, now)
                _stock(connection, now)
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL ROLE holdfast_owner"))
            connection.execute(
                text("SELECT operations.make_partitions(CAST(:today AS date), 4)"),
                {"today": now.date() - timedelta(days=31)},
            )
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))
    finally:
        engine.dispose()
    if fresh:
        _orders(system)
    subjects = {"customer": CUSTOMER_SUBJECT} | {role: f"demo-{role}" for role in STAFF}
    return SeedResult(ORGANIZATION_ID, PUBLISHABLE_KEY, ENDPOINT_KEY, GOOD_SKU, subjects, CUSTOMER_EMAIL)


def _shop(connection: Connection, now: datetime) -> bool:
    """The organization with its staff and its customer; ``False`` when it is there."""
    made = connection.execute(
        text("""
            INSERT INTO tenancy.organizations (id, name, slug, publishable_key, settings, created_at)
            VALUES (:id, 'Demo Shop', 'demo-shop', :key, CAST(:settings AS jsonb), :now)
            ON CONFLICT DO NOTHING RETURNING id
        """),
        {
            "id": ORGANIZATION_ID,
            "key": PUBLISHABLE_KEY,
            "settings": {"currency": "USD", "timezone": "America/New_York"},
            "now": now,
        },
    ).scalar_one_or_none()
    if made is None:
        return False
    connection.execute(
        text("""
            WITH people AS (
                INSERT INTO tenancy.users (id, auth_subject, email, full_name, created_at)
                SELECT tenancy.uuid_v7(:now), 'demo-' || r, r || '@demo-shop.example', initcap(r), :now
                  FROM unnest(CAST(:roles AS text[])) AS r RETURNING id, auth_subject)
            INSERT INTO tenancy.organization_members (organization_id, user_id, role, accepted_at, created_at)
            SELECT :organization_id, id, replace(auth_subject, 'demo-', ''), :now, :now FROM people
        """),
        {"now": now, "roles": list(STAFF), "organization_id": ORGANIZATION_ID},
    )
    connection.execute(
        text("""
            INSERT INTO tenancy.customers (organization_id, id, auth_subject, email, first_name, last_name, created_at)
            VALUES (:organization_id, :id, :subject, :email, 'Ada', 'Lovelace', :now)
        """),
        {
            "organization_id": ORGANIZATION_ID,
            "id": uuid7(now),
            "subject": CUSTOMER_SUBJECT,
            "email": CUSTOMER_EMAIL,
            "now": now,
        },
    )
    return True


def _accounts(connection: Connection, accounts: Sequence[Connected], now: datetime) -> None:
    """An account at each gateway, with what its webhooks are verified with at present."""
    for connected in accounts:
        account = connected.account
        connection.execute(
            text("""
                INSERT INTO tenancy.gateway_accounts
                    (organization_id, id, gateway, endpoint_key, secret_reference, merchant_account, webhook_id,
                     notification_url, created_at)
                VALUES (:organization_id, :id, :gateway, :endpoint_key, :secret_reference, :merchant_account,
                        :webhook_id, :notification_url, :now)
                ON CONFLICT (endpoint_key) DO UPDATE
                   SET webhook_id = excluded.webhook_id, notification_url = excluded.notification_url
            """),
            {
                "organization_id": ORGANIZATION_ID,
                "id": uuid7(now),
                "gateway": account.gateway,
                "endpoint_key": account.endpoint_key,
                "secret_reference": account.secret_reference,
                "merchant_account": account.merchant_account,
                "webhook_id": connected.webhook_id,
                "notification_url": connected.notification_url,
                "now": now,
            },
        )


def _catalog(connection: Connection, now: datetime) -> None:
    """200 products of one variant each, in one statement a table."""
    rows: list[dict[str, Any]] = []
    for number, (thing, style) in enumerate(product(_THINGS, _STYLES), start=1):
        rows.append(
            _row(now, f"{style} {thing}", thing, f"{thing[:4].upper()}-{style[:5].upper()}", 900 + number * 37 % 8_000)
        )
    rows.append(_row(now, "Black Tee, medium", "Tee", GOOD_SKU, 1_999))
    rows.append(_row(now, "Sold-out Lamp", "Lamp", SOLD_OUT_SKU, 8_900))
    rows += [
        _row(now, f"Gift Card Sleeve {number}", "Gift", f"SLEEVE-{number}", 150) for number in range(len(rows) + 1, 201)
    ]
    connection.execute(
        text("""
            WITH r AS (
                SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (
                    product_id uuid, variant_id uuid, name text, slug text, category text, sku text, price bigint)
            ), made AS (
                INSERT INTO catalog.products
                    (organization_id, id, name, slug, category, status, published_at, created_at)
                SELECT :organization_id, product_id, name, slug, category, 'active', :now, :now FROM r RETURNING id)
            INSERT INTO catalog.variants
                (organization_id, id, product_id, sku, price, currency, weight_grams, created_at)
            SELECT :organization_id, variant_id, made.id, sku, price, 'USD', 400, :now
              FROM r JOIN made ON made.id = r.product_id
        """),
        {"rows": json.dumps(rows), "organization_id": ORGANIZATION_ID, "now": now},
    )


def _row(now: datetime, name: str, category: str, sku: str, price: int) -> dict[str, Any]:
    slug = "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")
    return {
        "product_id": str(uuid7(now)),
        "variant_id": str(uuid7(now)),
        "name": name,
        "slug": slug,
        "category": category,
        "sku": sku,
        "price": price,
    }


def _stock(connection: Connection, now: datetime) -> None:
    """Warehouses, and goods received into them through the ledger: each level's movements add up to it."""
    for code, city, latitude, longitude, region, postal_code, priority, capacity, timezone, cost in _WAREHOUSES:
        connection.execute(
            text("""
                INSERT INTO inventory.warehouses
                    (organization_id, id, code, name, address, latitude, longitude, priority, base_daily_capacity,
                     shipping_cost_base, timezone, created_at)
                VALUES (:organization_id, :id, :code, :name, CAST(:address AS jsonb), :latitude, :longitude, :priority,
                        :capacity, :cost, :timezone, :now)
            """),
            {
                "organization_id": ORGANIZATION_ID,
                "id": uuid7(now),
                "code": code,
                "name": f"{city} fulfillment center",
                "address": {"city": city, "region": region, "postal_code": postal_code, "country": "US"},
                "latitude": latitude,
                "longitude": longitude,
                "priority": priority,
                "capacity": capacity,
                "cost": cost,
                "timezone": timezone,
                "now": now,
            },
        )
    connection.execute(
        text("""
            INSERT INTO inventory.stock_levels (organization_id, warehouse_id, variant_id, safety_stock, created_at)
            SELECT :organization_id, w.id, v.id, 10, :now FROM inventory.warehouses w CROSS JOIN catalog.variants v
             WHERE w.organization_id = :organization_id AND v.organization_id = :organization_id
        """),
        {"organization_id": ORGANIZATION_ID, "now": now},
    )
    connection.execute(
        text("""
            SELECT inventory.move_stock(
                       :organization_id, :now, 'receive', array_agg(s.warehouse_id), array_agg(s.variant_id),
                       array_agg(40 + mod(abs(hashtext(v.sku || w.code)), 160)), 'seed', NULL, 'opening stock', 'seed')
              FROM inventory.stock_levels s
              JOIN inventory.warehouses w ON w.organization_id = s.organization_id AND w.id = s.warehouse_id
              JOIN catalog.variants v ON v.organization_id = s.organization_id AND v.id = s.variant_id
             WHERE s.organization_id = :organization_id AND v.sku <> :sold_out
        """),
        {"organization_id": ORGANIZATION_ID, "now": now, "sold_out": SOLD_OUT_SKU},
    )


def _orders(system: LocalSystem) -> None:
    """Three orders through the real checkout: one paid, one split or not as it comes, one declined."""
    runtime = Runtime(_settings(system))
    caller = Caller(ORGANIZATION_ID, CallerKind.CUSTOMER, CUSTOMER_SUBJECT, CUSTOMER_EMAIL)
    address = Address("Ada Lovelace", "12 Analytical Way", "Denver", "80202", "US", region="CO")
    wishes = (
        ((GOOD_SKU, 1), "pm_card_visa"),
        (("MUG-TEAL", 3), "pm_card_visa"),
        (("HOOD-NAVY", 1), "pm_card_chargeDeclined"),
    )
    for number, ((sku, quantity), token) in enumerate(wishes, start=1):
        claim = Claim(caller.actor, "checkout", f"seed-{number}", fingerprint_of({"seed": number}))
        request = CheckoutRequest((RequestedItem(quantity, sku=sku),), address, ShippingPreference.STANDARD)
        command = PlaceOrder(caller, claim, request, address, None, "stripe", token, source="web")
        place_order(runtime, command, lambda: datetime.now(UTC), payment_answer)
    runtime.database.engine.dispose()


def _settings(system: LocalSystem) -> Any:
    """The application's settings, and the emulation's for boto3, which reads the environment by itself."""
    application = system.database_as("holdfast_app")
    os.environ.setdefault("AWS_ENDPOINT_URL", system.aws_url)
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "local")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "local")
    return settings_from(
        {
            "DATABASE_HOST": application.host,
            "DATABASE_PORT": str(application.port),
            "DATABASE_NAME": application.database,
            "DATABASE_USER": application.user,
            "DATABASE_PASSWORD": application.password or "",
            "DATABASE_AUTHENTICATION": "password",
            "DATABASE_TLS": "off",
            "STRIPE_BASE_URL": system.stripe_url,
        }
    )
