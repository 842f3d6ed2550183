"""What a shop in a test stands on.

The organization with its secrets, queue and bus, a runtime for each role, warehouses and goods, a clock that stands
still, and the database behind it all.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import boto3
import urllib3
from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from holdfast.runtime import Runtime
from holdfast.secrets.store import SecretStore
from holdfast.settings import settings_from
from holdfast.values.address import Address as PostalAddress
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.ids import uuid7
from local.postgres import Address
from tests.gateways.receiver import Receiver

SENDER = "orders@shop.example"
ROLE_PASSWORD = "only-for-tests"
DENVER = PostalAddress("Ada Lovelace", "12 Analytical Way", "Denver", "80202", "US", region="CO")
EAST = ("EWR", 40.7357, -74.1724, "America/New_York", 10)
WEST = ("RNO", 39.5296, -119.8138, "America/Los_Angeles", 20)


class Clock:
    """The current time as flows are told it. It stands still until a test advances it."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> datetime:
        """Advance the clock; the arguments are those of ``timedelta``."""
        self.now += timedelta(**duration)
        return self.now


def make_partitions_around_now(owner: Address) -> None:
    """Make the partitions that a deployment would have."""
    engine = create_engine(url_of(owner), poolclass=NullPool)
    with engine.begin() as connection:
        today = datetime.now(UTC).date()
        connection.execute(
            text("SELECT operations.make_partitions(CAST(:start AS date), 4)"), {"start": today - timedelta(days=31)}
        )
    engine.dispose()


class Premises:
    """One organization that is ready for business: two warehouses, an account at Stripe, and nothing to sell yet."""

    def __init__(
        self, owner: Address, stripe_url: str, secrets: SecretStore, environment: Mapping[str, str] | None = None
    ) -> None:
        self.owner = owner
        self.stripe_url = stripe_url
        self.environment = dict(environment or {})
        self.clock = Clock()
        self.organization_id = uuid7(self.clock.now)
        self.api_key = f"sk_test_{uuid.uuid4().hex}"
        self.webhook_secret = f"whsec_{uuid.uuid4().hex}"
        self.endpoint_key = f"endpoint-{uuid.uuid4().hex[:12]}"
        self.publishable_key = f"pk_{uuid.uuid4().hex}"
        self.secret_reference = f"holdfast/test/{uuid.uuid4().hex}"
        boto3.client("secretsmanager").create_secret(
            Name=self.secret_reference,
            SecretString=json.dumps({"api_key": self.api_key, "webhook_secrets": [self.webhook_secret]}),
        )
        self.link_keys = {"current": uuid.uuid4().hex, "previous": uuid.uuid4().hex}
        self.link_secret = f"{self.secret_reference}/address-review-links"
        boto3.client("secretsmanager").create_secret(Name=self.link_secret, SecretString=json.dumps(self.link_keys))
        self.queue_url: str = boto3.client("sqs").create_queue(QueueName=f"events-{uuid.uuid4().hex}")["QueueUrl"]
        self.bus = f"bus-{uuid.uuid4().hex}"
        boto3.client("events").create_event_bus(Name=self.bus)
        self.runtime = self._runtime("holdfast_app", secrets)
        self.system = self._runtime("holdfast_system", secrets)
        self.engine: Engine = create_engine(url_of(owner), isolation_level="AUTOCOMMIT", pool_pre_ping=True)
        self.http = urllib3.PoolManager(retries=False)
        self.receiver = Receiver()
        self.customer = Caller(self.organization_id, CallerKind.CUSTOMER, "ada", "ada@example.com")
        self.warehouses: dict[str, UUID] = {}
        self.variants: dict[str, UUID] = {}
        self.has_forged_payments = False
        self.has_forged_stock = False
        self._build()

    def _runtime(self, role: str, secrets: SecretStore) -> Runtime:
        made = Runtime(
            settings_from(
                {
                    "DATABASE_HOST": self.owner.host,
                    "DATABASE_PORT": str(self.owner.port),
                    "DATABASE_NAME": self.owner.database,
                    "DATABASE_USER": role,
                    "DATABASE_PASSWORD": ROLE_PASSWORD,
                    "DATABASE_AUTHENTICATION": "password",
                    "DATABASE_TLS": "off",
                    "DATABASE_POOL_MAX_CONNECTIONS": "16",
                    "STRIPE_BASE_URL": self.stripe_url,
                    "PAYMENT_EVENTS_QUEUE_URL": self.queue_url,
                    "EVENT_BUS_NAME": self.bus,
                    "MAIL_SENDER_ADDRESS": SENDER,
                    "ADDRESS_REVIEW_LINK_SECRET": self.link_secret,
                    "ADDRESS_REVIEW_PAGE_URL": "https://shop.example/check-address#{token}",
                    **self.environment,
                }
            )
        )
        made.__dict__["secrets"] = secrets
        return made

    def _build(self) -> None:
        now = self.clock.now
        self.sql(
            "INSERT INTO tenancy.organizations (id, name, slug, publishable_key, settings, created_at)"
            " VALUES (:id, 'Test Shop', :slug, :key, CAST(:settings AS jsonb), :now)",
            id=self.organization_id,
            slug=f"shop-{self.organization_id.hex[-12:]}",
            key=self.publishable_key,
            settings=json.dumps({"currency": "USD"}),
            now=now,
        )
        self.sql(
            "INSERT INTO tenancy.gateway_accounts (organization_id, id, gateway, endpoint_key, secret_reference,"
            " created_at) VALUES (:organization_id, :id, 'stripe', :endpoint_key, :secret_reference, :now)",
            organization_id=self.organization_id,
            id=uuid7(now),
            endpoint_key=self.endpoint_key,
            secret_reference=self.secret_reference,
            now=now,
        )
        self.sql(
            "INSERT INTO addresses.geocode_reference (country, postal_code, latitude, longitude, quality, data_source,"
            " dataset_version, created_at) VALUES ('US', '80202', 39.7528, -104.9992, 'centroid', 'test', '1', :now)"
            " ON CONFLICT DO NOTHING",
            now=now,
        )
        for code, latitude, longitude, timezone, priority in (EAST, WEST):
            self.add_warehouse(code, latitude, longitude, timezone=timezone, priority=priority)

    def add_warehouse(
        self,
        code: str,
        latitude: float = 40.0,
        longitude: float = -100.0,
        *,
        timezone: str = "UTC",
        priority: int = 100,
        capacity: int | None = None,
    ) -> UUID:
        """Add a warehouse to the organization."""
        self.warehouses[code] = uuid7(self.clock.now)
        self.sql(
            "INSERT INTO inventory.warehouses (organization_id, id, code, name, address, latitude, longitude, priority,"
            " base_daily_capacity, shipping_cost_base, timezone, created_at) VALUES (:organization_id, :id, :code,"
            " :code, '{}', :latitude, :longitude, :priority, :capacity, 600, :timezone, :now)",
            organization_id=self.organization_id,
            id=self.warehouses[code],
            code=code,
            latitude=latitude,
            longitude=longitude,
            priority=priority,
            capacity=capacity,
            timezone=timezone,
            now=self.clock.now,
        )
        return self.warehouses[code]

    def add_variant(self, sku: str = "TEE", *, price: int = 2_000, stock: Mapping[str, int] | int = 10) -> UUID:
        """Add a product with one variant, at ``price`` in minor units.

        ``stock`` is by warehouse code, or all of it in EWR. It is received through the ledger.
        """
        now = self.clock.now
        product_id, variant_id = uuid7(now), uuid7(now)
        self.variants[sku] = variant_id
        self.sql(
            "INSERT INTO catalog.products (organization_id, id, name, slug, status, created_at)"
            " VALUES (:organization_id, :id, :name, :slug, 'active', :now)",
            organization_id=self.organization_id,
            id=product_id,
            name=sku.title(),
            slug=sku.lower(),
            now=now,
        )
        self.sql(
            "INSERT INTO catalog.variants (organization_id, id, product_id, sku, price, currency, created_at)"
            " VALUES (:organization_id, :id, :product_id, :sku, :price, 'USD', :now)",
            organization_id=self.organization_id,
            id=variant_id,
            product_id=product_id,
            sku=sku,
            price=price,
            now=now,
        )
        for code, quantity in ({"EWR": stock} if isinstance(stock, int) else stock).items():
            self.receive(sku, code, quantity)
        return variant_id

    def receive(self, sku: str, code: str, quantity: int) -> None:
        """Receive goods through the ledger."""
        key = {"organization_id": self.organization_id, "warehouse_id": self.warehouses[code]}
        self.sql(
            "INSERT INTO inventory.stock_levels (organization_id, warehouse_id, variant_id, created_at)"
            " VALUES (:organization_id, :warehouse_id, :variant_id, :now) ON CONFLICT DO NOTHING",
            **key,
            variant_id=self.variants[sku],
            now=self.clock.now,
        )
        if quantity:
            self.sql(
                "SELECT inventory.move_stock(:organization_id, :now, 'receive', ARRAY[CAST(:warehouse_id AS uuid)],"
                " ARRAY[CAST(:variant_id AS uuid)], ARRAY[CAST(:quantity AS integer)],"
                " 'test', NULL, 'received', 'test')",
                **key,
                variant_id=self.variants[sku],
                quantity=quantity,
                now=self.clock.now,
            )

    def sql(self, statement: str, **parameters: Any) -> None:
        """Run a statement as superuser."""
        with self.engine.connect() as connection:
            connection.execute(text(statement), parameters)

    def rows(self, statement: str, **parameters: Any) -> Sequence[Mapping[str, Any]]:
        """Return the rows of a query, run as superuser."""
        with self.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(text(statement), parameters)]

    def value(self, statement: str, **parameters: Any) -> Any:
        """Return the single value of a query, run as superuser."""
        with self.engine.connect() as connection:
            return connection.execute(text(statement), parameters).scalar_one()


def url_of(owner: Address) -> URL:
    return URL.create("postgresql+pg8000", owner.user, owner.password, owner.host, owner.port, owner.database)
