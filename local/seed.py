"""The demo shop: three warehouses, 200 products (one of them sold out), staff, a customer and a few orders.

It is opened as any shop is, from what a shop's file may say, and the orders are placed by the real checkout. Safe to
run twice: a shop that exists is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import Connection, create_engine, text

from holdfast.flows.checkout.place_order import PlaceOrder, place_order
from holdfast.flows.checkout.planning import CheckoutRequest, RequestedItem
from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.shops.open_shop import open_shop
from holdfast.values.address import Address
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.ids import uuid7
from holdfast.values.shipping import ShippingPreference
from holdfast.web.answers import payment_answer
from holdfast.web.shop_models import shop_file_from
from local.runtimes import runtime_of

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
_SHOP: Final = {
    "name": "Demo Shop",
    "slug": "demo-shop",
    "publishable_key": PUBLISHABLE_KEY,
    "currency": "USD",
    "timezone": "America/New_York",
}
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


Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class SeedResult:
    """What the local system prints, and what it signs tokens for."""

    organization_id: UUID
    publishable_key: str
    endpoint_key: str
    sku: str
    subjects: Mapping[str, str]
    customer_email: str


def seed(system: LocalSystem, accounts: Sequence[Connected]) -> SeedResult:
    """Create the demo shop unless it exists. Its accounts at the gateways are brought up to date either way."""
    engine = create_engine(system.database.url.replace("postgresql://", "postgresql+pg8000://"))
    now = datetime.now(UTC)
    try:
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL ROLE holdfast_owner"))
            _organization(connection, now)
            is_empty = not connection.execute(
                text("SELECT EXISTS (SELECT 1 FROM inventory.warehouses WHERE organization_id = :organization_id)"),
                {"organization_id": ORGANIZATION_ID},
            ).scalar_one()
            stock = _stock(connection) if is_empty else []
        file = {"shop": _SHOP, "gateways": _accounts(accounts)}
        if is_empty:
            file |= {"staff": _staff(), "warehouses": _warehouses(), "products": _products(), "stock": stock}
        with runtime_of(system, "holdfast_owner") as runtime:
            open_shop(runtime, shop_file_from(file), now)
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
    if is_empty:
        _orders(system)
    subjects = {"customer": CUSTOMER_SUBJECT} | {role: f"demo-{role}" for role in STAFF}
    return SeedResult(ORGANIZATION_ID, PUBLISHABLE_KEY, ENDPOINT_KEY, GOOD_SKU, subjects, CUSTOMER_EMAIL)


def _organization(connection: Connection, now: datetime) -> None:
    """Create what no shop's file contains: the organization's id, which the samples in events/ carry, and a customer
    with a name. Other customers are created with their first order."""
    connection.execute(
        text("""
            INSERT INTO tenancy.organizations (id, name, slug, publishable_key, created_at)
            VALUES (:id, :name, :slug, :publishable_key, :now) ON CONFLICT DO NOTHING
        """),
        {"id": ORGANIZATION_ID, "now": now} | {name: _SHOP[name] for name in ("name", "slug", "publishable_key")},
    )
    connection.execute(
        text("""
            INSERT INTO tenancy.customers (organization_id, id, auth_subject, email, first_name, last_name, created_at)
            VALUES (:organization_id, :id, :subject, :email, 'Ada', 'Lovelace', :now) ON CONFLICT DO NOTHING
        """),
        {
            "organization_id": ORGANIZATION_ID,
            "id": uuid7(now),
            "subject": CUSTOMER_SUBJECT,
            "email": CUSTOMER_EMAIL,
            "now": now,
        },
    )


def _accounts(accounts: Sequence[Connected]) -> Rows:
    """Return an account at each gateway, with what its webhooks are verified with at present."""
    return [
        {
            "gateway": connected.account.gateway,
            "endpoint_key": connected.account.endpoint_key,
            "secret_reference": connected.account.secret_reference,
            "merchant_account": connected.account.merchant_account,
            "webhook_id": connected.webhook_id,
            "notification_url": connected.notification_url,
        }
        for connected in accounts
    ]


def _staff() -> Rows:
    """Return one person for each role."""
    return [
        {"subject": f"demo-{role}", "email": f"{role}@demo-shop.example", "name": role.title(), "role": role}
        for role in STAFF
    ]


def _warehouses() -> Rows:
    return [
        {
            "code": code,
            "name": f"{city} fulfillment center",
            "address": {"city": city, "region": region, "postal_code": postal_code, "country": "US"},
            "latitude": latitude,
            "longitude": longitude,
            "priority": priority,
            "base_daily_capacity": capacity,
            "shipping_cost_base_minor": cost,
            "timezone": timezone,
        }
        for code, city, latitude, longitude, region, postal_code, priority, capacity, timezone, cost in _WAREHOUSES
    ]


def _goods() -> Iterator[tuple[str, str, str, int]]:
    """Yield name, category, SKU and price of everything that is sold."""
    for number, (thing, style) in enumerate(product(_THINGS, _STYLES), start=1):
        yield f"{style} {thing}", thing, f"{thing[:4].upper()}-{style[:5].upper()}", 900 + number * 37 % 8_000
    yield "Black Tee, medium", "Tee", GOOD_SKU, 1_999
    yield "Sold-out Lamp", "Lamp", SOLD_OUT_SKU, 8_900
    for number in range(len(_THINGS) * len(_STYLES) + 3, 201):
        yield f"Gift Card Sleeve {number}", "Gift", f"SLEEVE-{number}", 150


def _products() -> Rows:
    """Return 200 products with one variant each."""
    return [
        {
            "name": name,
            "slug": "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-"),
            "category": category,
            "variants": [{"sku": sku, "price_minor": price, "weight_grams": 400}],
        }
        for name, category, sku, price in _goods()
    ]


def _stock(connection: Connection) -> Rows:
    """Return some stock of every SKU in every warehouse, the same in every demo shop.

    The sold-out SKU has none anywhere.
    """
    rows = connection.execute(
        text("""
            SELECT code AS warehouse, sku, 10 AS safety_stock,
                   CASE WHEN sku = :sold_out THEN 0 ELSE 40 + mod(abs(hashtext(sku || code)), 160) END AS quantity
              FROM unnest(CAST(:skus AS text[])) AS sku CROSS JOIN unnest(CAST(:codes AS text[])) AS code
        """),
        {
            "sold_out": SOLD_OUT_SKU,
            "skus": [sku for _, _, sku, _ in _goods()],
            "codes": [warehouse[0] for warehouse in _WAREHOUSES],
        },
    )
    return [dict(row) for row in rows.mappings()]


def _orders(system: LocalSystem) -> None:
    """Place three orders through the real checkout: one paid, one that may be split across warehouses, one declined."""
    caller = Caller(ORGANIZATION_ID, CallerKind.CUSTOMER, CUSTOMER_SUBJECT, CUSTOMER_EMAIL)
    address = Address("Ada Lovelace", "12 Analytical Way", "Denver", "80202", "US", region="CO")
    wishes = (
        ((GOOD_SKU, 1), "pm_card_visa"),
        (("MUG-TEAL", 3), "pm_card_visa"),
        (("HOOD-NAVY", 1), "pm_card_chargeDeclined"),
    )
    with runtime_of(system, "holdfast_app") as runtime:
        for number, ((sku, quantity), token) in enumerate(wishes, start=1):
            claim = Claim(caller.actor, "checkout", f"seed-{number}", fingerprint_of({"seed": number}))
            request = CheckoutRequest((RequestedItem(quantity, sku=sku),), address, ShippingPreference.STANDARD)
            command = PlaceOrder(caller, claim, request, address, None, "stripe", token, source="web")
            place_order(runtime, command, lambda: datetime.now(UTC), payment_answer)
