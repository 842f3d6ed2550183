"""The whole system, started once as `make run` starts it, and shoppers who know nothing but its addresses."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import urllib3
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from local.permissions import REFUSED
from local.supervisor import Options, running
from local.system import LocalSystem
from prove.invariants import violations
from tests.premises import url_of

WAIT_MAX_SECONDS = 30.0
PACE = 6
"""The schedules that run every minute in the cloud run every ten seconds here."""
ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "12 Analytical Way",
    "city": "Denver",
    "region": "CO",
    "postal_code": "80202",
    "country": "US",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: dict[str, Any]
    raw: bytes
    content_type: str


class City:
    """The running system as it looks from outside, with a look into its database for the proof."""

    def __init__(self, system: LocalSystem) -> None:
        self.system = system
        self.http = urllib3.PoolManager(maxsize=128, retries=False, timeout=urllib3.Timeout(connect=5, read=60))
        self.engine = create_engine(url_of(system.database), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self.token = system.token("customer")

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "",
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request, with the demo customer's token unless another one (or None) is given."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token or self.token}"
        if key is not None:
            sent["Idempotency-Key"] = key
        if body is not None:
            sent["Content-Type"] = "application/json"
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        answer = self.http.request(method, self.system.api_url + path, body=data, headers=sent)
        parsed = json.loads(answer.data) if answer.data else {}
        return Reply(answer.status, parsed, answer.data, answer.headers.get("Content-Type", ""))

    def checkout(
        self, sku: str, quantity: int = 1, *, card: str = "pm_card_visa", gateway: str = "stripe", **how: Any
    ) -> Reply:
        """Place an order."""
        body = {
            "items": [{"sku": sku, "quantity": quantity}],
            "email": "ada@example.com",
            "shipping_address": ADDRESS,
            "payment": {"gateway": gateway, "token": card},
        }
        how.setdefault("key", str(uuid.uuid4()))
        return self.call("POST", "/v1/checkout", body, **how)

    def stripe(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control surface of the local Stripe."""
        return self.control("stripe", method, path, body)

    def control(self, gateway: str, method: str, path: str, body: Any = None) -> Any:
        """Call the control surface of a local gateway."""
        answer = self.http.request(method, f"{self.system.gateway_urls[gateway]}/_control{path}", json=body)
        assert answer.status == 200, answer.data
        return answer.json()

    def value(self, statement: str, **parameters: Any) -> Any:
        """Return the single value of a query, run as superuser."""
        with self.engine.connect() as connection:
            return connection.execute(text(statement), parameters).scalar_one()

    def sku(self, quantity: int, *, organization_id: str | None = None) -> str:
        """Add a product with this many pieces in one warehouse, and return its SKU."""
        sku = f"J-{uuid.uuid4().hex[:12].upper()}"
        with self.engine.begin() as connection:
            connection.execute(
                text("""
                    WITH p AS (
                        INSERT INTO catalog.products (organization_id, id, name, slug, status, created_at)
                        VALUES (:o, gen_random_uuid(), CAST(:sku AS text), lower(:sku), 'active', :now) RETURNING id
                    ), v AS (
                        INSERT INTO catalog.variants (organization_id, id, product_id, sku, price, currency, created_at)
                        SELECT :o, gen_random_uuid(), id, :sku, 2000, 'USD', :now FROM p RETURNING id)
                    INSERT INTO inventory.stock_levels (organization_id, warehouse_id, variant_id, created_at)
                    SELECT :o, (SELECT id FROM inventory.warehouses WHERE organization_id = :o ORDER BY code LIMIT 1),
                           id, :now FROM v
                """),
                {"o": organization_id or self.organization_id, "sku": sku, "now": datetime.now(UTC)},
            )
            connection.execute(
                text("""
                    SELECT inventory.move_stock(s.organization_id, :now, 'receive', ARRAY[s.warehouse_id],
                                                ARRAY[s.variant_id], ARRAY[CAST(:quantity AS integer)], 'test', NULL,
                                                'received', 'test')
                      FROM inventory.stock_levels s
                      JOIN catalog.variants v ON v.organization_id = s.organization_id AND v.id = s.variant_id
                     WHERE v.sku = :sku AND s.organization_id = :o
                """),
                {
                    "o": organization_id or self.organization_id,
                    "sku": sku,
                    "quantity": quantity,
                    "now": datetime.now(UTC),
                },
            )
        return sku

    @property
    def organization_id(self) -> str:
        """Return the id of the demo shop."""
        assert self.system.shop is not None
        return self.system.shop.organization_id

    def stock(self, sku: str) -> tuple[int, int]:
        """Return (on hand, reserved) over all warehouses."""
        with self.engine.connect() as connection:
            row = connection.execute(
                text("""
                    SELECT sum(s.on_hand), sum(s.reserved) FROM inventory.stock_levels s
                      JOIN catalog.variants v ON v.organization_id = s.organization_id AND v.id = s.variant_id
                     WHERE v.sku = :sku
                """),
                {"sku": sku},
            ).one()
        return int(row[0]), int(row[1])

    def wait_until(self, satisfied: Callable[[], bool], what: str, *, seconds: float = WAIT_MAX_SECONDS) -> None:
        """Wait for the system to get somewhere by itself, and fail the test if it does not do so in time."""
        deadline = time.monotonic() + seconds
        while not satisfied():
            assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
            time.sleep(0.05)

    def wait_until_quiet(self, *, seconds: float = WAIT_MAX_SECONDS) -> None:
        """Wait until every stored event is processed and every outbox row is published."""
        self.wait_until(
            lambda: (
                self.value(
                    "SELECT (SELECT count(*) FROM payments.payment_events"
                    " WHERE state IN ('pending', 'retry_scheduled'))"
                    " + (SELECT count(*) FROM operations.outbox WHERE published_at IS NULL)"
                )
                == 0
            ),
            "all events processed and all outbox rows published",
            seconds=seconds,
        )

    def violations(self) -> list[str]:
        """Return the invariants that do not hold."""
        return violations(self.engine)


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """The running system."""
    state = tmp_path_factory.mktemp("holdfast")
    with running(Options(state=state, port=0, workers=1, durable=False, pace=PACE)) as (system, _children):
        made = City(system)
        yield made
        made.http.clear()
        made.engine.dispose()
        # Every journey used the template's roles. A refusal that the code survived here is still a refusal in
        # production.
        logs = {path.name: path.read_text(errors="replace") for path in (state / "logs").glob("*.log")}
        refused = {f"{name}: {line}" for name, log in logs.items() for line in log.splitlines() if REFUSED in line}
        assert refused == set(), "Give the role what its function asks for, or have the function not ask."
