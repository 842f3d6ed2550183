"""A shop to test in: builders with defaults that show only what matters, real flows, and a clock to turn."""

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

import boto3
import urllib3
from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from holdfast.flows.checkout.pay_order import PayOrder, pay_order
from holdfast.flows.checkout.place_order import PlaceOrder, place_order
from holdfast.flows.checkout.planning import CheckoutRequest, RequestedItem
from holdfast.flows.claims.idempotency import Answer, Claim, fingerprint_of
from holdfast.flows.money.apply_payment_event import apply_payment_event
from holdfast.flows.money.receive_webhook import receive_webhook
from holdfast.flows.money.refold_payments import Chosen, refold_all
from holdfast.flows.orders.cancel_order import CancelOrder, cancel_order
from holdfast.flows.orders.find_order import find_order
from holdfast.payments.model import EventState
from holdfast.runtime import Runtime
from holdfast.secrets.store import SecretStore
from holdfast.settings import settings_from
from holdfast.values.address import Address as PostalAddress
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.ids import uuid7
from holdfast.values.shipping import ShippingPreference
from holdfast.web.answers import order_answer, payment_answer
from local.postgres import Address
from tests.gateways.receiver import Received, Receiver

SENDER = "orders@shop.example"
ROLE_PASSWORD = "only-for-tests"
DENVER = PostalAddress("Ada Lovelace", "12 Analytical Way", "Denver", "80202", "US", region="CO")
EAST = ("EWR", 40.7357, -74.1724, "America/New_York", 10)
WEST = ("RNO", 39.5296, -119.8138, "America/Los_Angeles", 20)


class Clock:
    """The instant that flows are told. It stands still until it is turned."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> datetime:
        """Turn the clock by a ``timedelta``'s arguments."""
        self.now += timedelta(**duration)
        return self.now


def make_partitions_around_now(owner: Address) -> None:
    """Partitions as a deployment has them."""
    engine = create_engine(_url(owner), poolclass=NullPool)
    with engine.begin() as connection:
        today = datetime.now(UTC).date()
        connection.execute(
            text("SELECT operations.make_partitions(CAST(:start AS date), 4)"), {"start": today - timedelta(days=31)}
        )
    engine.dispose()


class House:
    """One organization, with a runtime for each role and shortcuts for what tests do all the time."""

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
        self.engine: Engine = create_engine(_url(owner), isolation_level="AUTOCOMMIT", pool_pre_ping=True)
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

    def __enter__(self) -> Self:
        self.receiver.__enter__()
        endpoint = {"url": self.receiver.url, "account": self.api_key, "enabled_events": ["*"]}
        self.stripe("POST", "/webhook_endpoints", endpoint | {"secret": self.webhook_secret})
        return self

    def __exit__(self, *exception: object) -> None:
        """Whatever a test did to a house, its ledger replays to its stock; unless the test forged it."""
        self.receiver.__exit__(*exception)
        self.runtime.database.engine.dispose()
        self.system.database.engine.dispose()
        wrong = [] if self.has_forged_stock or exception[0] is not None else self.ledger_violations()
        self.engine.dispose()
        self.http.clear()
        assert wrong == []

    # --- what is there -------------------------------------------------------------------------------------------

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
        """A warehouse of the organization."""
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
        """A product with one variant; ``stock`` by warehouse code, or all of it in EWR; it comes through the ledger."""
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
        """Goods come in."""
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

    # --- what shoppers and gateways do -----------------------------------------------------------------------------

    def command(
        self,
        items: Mapping[str, int] | None = None,
        *,
        key: str | None = None,
        token: str = "pm_card_visa",
        caller: Caller | None = None,
        preference: ShippingPreference = ShippingPreference.STANDARD,
        allow_capacity_overflow: bool = True,
        address: PostalAddress = DENVER,
        gateway: str = "stripe",
        save: bool = False,
        payment_method_id: UUID | None = None,
    ) -> PlaceOrder:
        """A checkout as the handler would make it; one TEE unless ``items`` says otherwise."""
        wanted = items if items is not None else {"TEE": 1}
        caller = caller or self.customer
        fingerprint = fingerprint_of({"items": dict(wanted), "token": token})
        return PlaceOrder(
            caller=caller,
            claim=Claim(caller.actor, "checkout", key or uuid.uuid4().hex, fingerprint),
            request=CheckoutRequest(
                tuple(RequestedItem(quantity, sku=sku) for sku, quantity in wanted.items()),
                address,
                preference,
                allow_capacity_overflow,
            ),
            billing_address=address,
            email=None if caller.email else "guest@example.com",
            gateway=None if payment_method_id else gateway,
            token=None if payment_method_id else token,
            save_method=save,
            payment_method_id=payment_method_id,
        )

    def place(self, items: Mapping[str, int] | None = None, **how: Any) -> Answer:
        """Check out for real; the answer as the shopper gets it."""
        return place_order(self.runtime, self.command(items, **how), self.clock, payment_answer)

    def pay_again(
        self,
        order_id: str,
        *,
        token: str = "pm_card_visa",
        key: str | None = None,
        save: bool = False,
        payment_method_id: UUID | None = None,
    ) -> Answer:
        """Another try at paying."""
        claim = Claim(self.customer.actor, "pay_order", key or uuid.uuid4().hex, fingerprint_of({"token": token}))
        means = (None, None) if payment_method_id else ("stripe", token)
        command = PayOrder(self.customer, claim, order_id, *means, save, payment_method_id)
        return pay_order(self.runtime, command, self.clock, payment_answer)

    def cancel(self, order_id: str, *, caller: Caller | None = None, key: str | None = None) -> Answer:
        """Cancel an order."""
        caller = caller or self.customer
        claim = Claim(caller.actor, "cancel_order", key or uuid.uuid4().hex, fingerprint_of({"order": order_id}))
        return cancel_order(self.runtime, CancelOrder(caller, claim, order_id), self.clock, order_answer)

    def stripe(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The control surface of the local Stripe server."""
        answer = self.http.request(method, f"{self.stripe_url}/_control{path}", json=body)
        assert answer.status == 200, answer.data
        return answer.json()

    def stripe_behaves(self, **behavior: Any) -> None:
        """Tell Stripe how to treat this house's next calls (see local/stripe_server/control.py)."""
        match = {**behavior.pop("match", {}), "account": self.api_key}
        self.stripe("POST", "/behaviors", {"match": match, **behavior})

    def webhooks(self, *types: str, count: int = 1, order_id: str | None = None) -> list[dict[str, Any]]:
        """The webhooks Stripe has sent to this house (of these types, about the payments of this order), once there
        are at least ``count`` of them.

        They reach a receiver that only keeps them: ``deliver`` brings them in, in whatever order and number.
        """

        def wanted(received: Sequence[Received]) -> list[dict[str, Any]]:
            events = [json.loads(delivery.body) for delivery in received]
            return [
                event
                for event in events
                if (not types or event["type"] in types)
                and order_id in (None, event["data"]["object"]["metadata"].get("order_id"))
            ]

        return wanted(self.receiver.wait_until(lambda received: len(wanted(received)) >= count))

    def charges(self) -> dict[str, Any]:
        """What Stripe has taken and given back, summed (see ``totals`` of the control surface)."""
        totals: dict[str, Any] = self.stripe("GET", f"/totals?account={self.api_key}")
        return totals

    def deliver(self, event: Mapping[str, Any], *, now: datetime | None = None) -> int:
        """A signed webhook arrives; how many events were new."""
        now = now or self.clock()
        headers, body = self.signed(event, now)
        return receive_webhook(self.runtime, "stripe", self.endpoint_key, headers, body, now, "test")

    def signed(self, event: Mapping[str, Any], now: datetime) -> tuple[dict[str, str], bytes]:
        """A webhook as Stripe sends it: headers and body."""
        body = json.dumps(event).encode()
        stamp = str(int(now.timestamp()))
        signature = hmac.new(self.webhook_secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return {"stripe-signature": f"t={stamp},v1={signature}"}, body

    def work(self) -> list[EventState | None]:
        """The worker applies every event that waits and is due, oldest first."""
        rows = self.rows(
            "SELECT id FROM payments.payment_events WHERE organization_id = :o"
            " AND state IN ('pending', 'retry_scheduled') AND next_attempt_at <= :now ORDER BY id",
            o=self.organization_id,
            now=self.clock(),
        )
        return [apply_payment_event(self.runtime, self.organization_id, row["id"], self.clock) for row in rows]

    # --- what became of it -----------------------------------------------------------------------------------------

    def order(self, reference: str) -> Mapping[str, Any]:
        """An order as its customer sees it."""
        return find_order(self.runtime, self.customer, reference, self.clock())

    def timeline(self, reference: str) -> list[str]:
        """The statuses of an order, in order."""
        return [step["to"] for step in self.order(reference)["timeline"]]

    def stock(self, sku: str = "TEE") -> dict[str, tuple[int, int]]:
        """(on_hand, reserved) by warehouse code."""
        rows = self.rows(
            "SELECT w.code, s.on_hand, s.reserved FROM inventory.stock_levels s"
            " JOIN inventory.warehouses w ON w.organization_id = s.organization_id AND w.id = s.warehouse_id"
            " WHERE s.organization_id = :o AND s.variant_id = :v",
            o=self.organization_id,
            v=self.variants[sku],
        )
        return {row["code"]: (row["on_hand"], row["reserved"]) for row in rows}

    def failures(self) -> list[str]:
        """The process names of what waits for a person."""
        rows = self.rows(
            "SELECT process_name FROM operations.process_failures WHERE organization_id = :o AND status = 'open'",
            o=self.organization_id,
        )
        return [row["process_name"] for row in rows]

    def violations(self) -> list[str]:
        """The invariants of stock and money that do not hold, in words; empty when all is well."""
        from prove.invariants import violations  # noqa: PLC0415 -- it imports nothing of ours, and few tests need it

        return violations(self.engine) + ([] if self.has_forged_payments else self.refold())

    def ledger_violations(self) -> list[str]:
        """The levels that are not what their movements add up to, in words."""
        from prove.invariants import LEDGER, violations  # noqa: PLC0415 -- as above

        return violations(self.engine, LEDGER)

    def forge(self, statement: str, **parameters: Any) -> None:
        """Change payments behind the back of their events, of which they are then no longer the fold."""
        self.has_forged_payments = True
        self.sql(statement, **parameters)

    def refold(self) -> list[str]:
        """The payments that are not what their events say, in words."""
        pages = refold_all(self.system, self.organization_id, Chosen(), self.clock())
        return [f"a payment is the fold of its events: {found}" for page in pages for found in page["differences"]]

    def sql(self, statement: str, **parameters: Any) -> None:
        """Run a statement as superuser."""
        with self.engine.connect() as connection:
            connection.execute(text(statement), parameters)

    def rows(self, statement: str, **parameters: Any) -> Sequence[Mapping[str, Any]]:
        """The rows of a query, as superuser."""
        with self.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(text(statement), parameters)]

    def value(self, statement: str, **parameters: Any) -> Any:
        """The one value of a query, as superuser."""
        with self.engine.connect() as connection:
            return connection.execute(text(statement), parameters).scalar_one()


def document(answer: Answer) -> dict[str, Any]:
    """The body of an answer."""
    body: dict[str, Any] = json.loads(answer.body)
    return body


def _url(owner: Address) -> URL:
    return URL.create("postgresql+pg8000", owner.user, owner.password, owner.host, owner.port, owner.database)
