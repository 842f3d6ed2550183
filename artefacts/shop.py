"""The demo shop that the sample events are about: the running local system, and the rows that the samples name."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import urllib3

from holdfast.addresses.review_link import keys_of, make_token
from local import aws, sample_events
from local.supervisor import Options, running
from local.system import SECRET_REFERENCE, LocalSystem

PREFIX: Final = "01930000-0000-7000-8000-0000000"
SHOPPER: Final = "4c1b6c1e-2c3f-4d55-8a0b-9b7f3f6f2a10"
STAFF: Final = "8f0d7e0a-5a3c-4a53-9d0c-6f0a1c2b3d4e"
SKU: Final = "TEE-BLK-M"
PAYMENT_DECLINED: Final = 402
WAIT_MAX_SECONDS: Final = 30.0
ADDRESS: Final = {
    "name": "Ada Lovelace",
    "line1": "12 Analytical Way",
    "city": "Denver",
    "region": "CO",
    "postal_code": "80202",
    "country": "US",
}
ATLANTIS: Final = ADDRESS | {"city": "Atlantis", "postal_code": "1", "country": "PT", "region": None}
_ARCHIVE_AT_ONCE: Final = """
    UPDATE tenancy.organizations SET settings = settings || '{"archive_after_months": 0, "archive_settled_days": 0,
        "archive_grace_days": 0, "archive_cold_after_months": 0}'
"""

Ids = dict[str, str]


def sample_id(end: str) -> str:
    """Return an id of the sample events by its last digits."""
    return f"{PREFIX}{end:0>5}"


@contextmanager
def open_shop(state: Path) -> Iterator[Shop]:
    """Run the whole local system with the demo shop and with what the samples need. Call it from the main thread."""
    options = Options(state=state, port=0, workers=1, sandboxes=2, durable=False, clock=False)
    with running(options, lambda _children: None) as (system, _children):
        yield Shop(system)


class Shop:
    """The demo shop, used through its API and inspected in its database."""

    def __init__(self, system: LocalSystem) -> None:
        self.system = system
        self._http = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=60))
        self._sql(
            "INSERT INTO tenancy.users (id, auth_subject, email, full_name, created_at)"
            f" VALUES ('{STAFF}', '{STAFF}', 'grace@demo-shop.example', 'Grace', now())"
        )
        self._sql(
            "INSERT INTO tenancy.organization_members (organization_id, user_id, role, accepted_at, created_at)"
            f" VALUES ('{self._organization_id}', '{STAFF}', 'admin', now(), now())"
        )

    @property
    def _organization_id(self) -> str:
        return sample_id("1")

    # --- how it is asked ------------------------------------------------------------------------------------------

    def _ask(self, route: str, body: Any = None, *, role: str = "owner", subject: str | None = None) -> Any:
        method, path = route.split(" ")
        headers = {"authorization": f"Bearer {self.system.token(role, subject=subject)}"}
        if method != "GET":
            headers |= {"idempotency-key": uuid.uuid4().hex, "content-type": "application/json"}
        data = None if method == "GET" else json.dumps(body or {}).encode()
        answer = self._http.request(method, self.system.api_url + path, body=data, headers=headers)
        if answer.status >= 300 and answer.status != PAYMENT_DECLINED:
            raise RuntimeError(f"{route} answered {answer.status}: {answer.data.decode(errors='replace')}")
        return answer.json()

    def _sql(self, statement: str) -> list[list[Any]]:
        return self.system.database.execute("SET ROLE holdfast_owner", statement)

    def _until(self, statement: str) -> str:
        """Return the first value of a query that is to have a row through the work of another process.

        Raises TimeoutError.
        """
        deadline = time.monotonic() + WAIT_MAX_SECONDS
        while not (rows := self._sql(statement)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing came of: {statement}")
            time.sleep(0.1)
        return str(rows[0][0])

    # --- what the samples stand on ------------------------------------------------------------------------------

    def order(
        self,
        *,
        subject: str = SHOPPER,
        token: str = "pm_card_visa",
        save: bool = False,
        address: Mapping[str, Any] = ADDRESS,
    ) -> Any:
        """Place an order, for the samples' shopper unless another is named.

        It is paid at once unless the card is declined.
        """
        body = {
            "items": [{"sku": SKU, "quantity": 1}],
            "email": f"{subject}@shopper.example",
            "shipping_address": address,
            "payment": {"gateway": "stripe", "token": token, "save": save},
        }
        return self._ask("POST /v1/checkout", body, role="customer", subject=subject)["order"]

    def order_id(self) -> str:
        """Place an order and return its id."""
        return str(self.order()["id"])

    def order_and_payment(self) -> tuple[str, str]:
        """Place an order whose shopper must confirm the payment elsewhere, and did.

        Return the ids of the order and the payment.
        """
        order = self.order(token="pm_card_authenticationRequired")
        payment = str(order["payments"][-1]["id"])
        reference = self._until(f"SELECT gateway_transaction_id FROM payments.payments WHERE id = '{payment}'")
        url = f"{self.system.stripe_url}/_control/payment_intents/{reference}/authenticate"
        answer = self._http.request("POST", url, json={})
        if answer.status != 200:
            raise RuntimeError(f"{url} answered {answer.status}: {answer.data!r}")
        return str(order["id"]), payment

    def order_held(self) -> str:
        """Place an order whose money is authorized and not captured, and return its id."""
        self._sql("""UPDATE tenancy.organizations SET settings = settings || '{"capture_policy": "per_shipment"}'""")
        order_id = self.order_id()
        self._sql("UPDATE tenancy.organizations SET settings = settings - 'capture_policy'")
        return order_id

    def order_declined(self) -> str:
        """Place an order that waits for another payment, and return its id."""
        return str(self.order(token="pm_card_chargeDeclined")["id"])

    def order_delivered(self, subject: str) -> Any:
        """Place an order, deliver it to its shopper, and return it."""
        order = self.order(subject=subject)
        self.shipment(str(order["id"]), "ship", "deliver")
        return order

    def shipment(self, order_id: str | None = None, *steps: str) -> str:
        """Take the shipment of an order through these steps, and return its id."""
        order_id = order_id or self.order_id()
        [shipment] = self._ask(f"GET /v1/ops/shipments?order={order_id}")["shipments"]
        for step in steps:
            more = {"carrier": "UPS", "tracking_number": "1Z999AA10123456784"} if step == "ship" else {}
            body = {"version": shipment["version"], **more}
            shipment = self._ask(f"POST /v1/ops/shipments/{shipment['id']}/{step}", body)["shipment"]
        return str(shipment["id"])

    def address_review(self) -> str:
        """Place an order to an address that nobody knows, and return the id of its review."""
        order_id = self.order(address=ATLANTIS)["id"]
        return self._until(f"SELECT id FROM addresses.reviews WHERE order_id = '{order_id}'")

    def review_link(self) -> str:
        """Return the token of the link in the mail to such a shopper."""
        review_id = self.address_review()
        [[nonce, deadline_at]] = self._sql(f"SELECT nonce, deadline_at FROM addresses.reviews WHERE id = '{review_id}'")
        key = keys_of(json.loads(self._secret("holdfast-links/local/address-reviews")))[0]
        return make_token(UUID(review_id), UUID(self._organization_id), str(nonce), deadline_at, key)

    def _secret(self, name: str) -> str:
        return str(self.system.aws("secretsmanager").get_secret_value(SecretId=name)["SecretString"])

    def payment_method(self) -> str:
        """Let the shopper save a card, and return its id."""
        self.order(save=True)
        listed = self._ask("GET /v1/payment-methods", role="customer", subject=SHOPPER)
        return str(listed["payment_methods"][0]["id"])

    def customer(self) -> str:
        """Return the id of a customer whose single order is finished."""
        self.order_delivered("somebody-else")
        return self._until("SELECT id FROM tenancy.customers WHERE auth_subject = 'somebody-else'")

    def mail(self) -> str:
        """Return the id of a mail that was sent."""
        order_id = self.order_id()
        return self._until(
            "SELECT id FROM notifications.messages WHERE status = 'sent' AND kind = 'order_confirmed'"
            f" AND order_id = '{order_id}'"
        )

    def suppression(self) -> str:
        """Suppress an address, so that it gets no more mail, and return the id of the suppression."""
        return self._until(
            "INSERT INTO notifications.suppressions"
            " (organization_id, id, address, reason, message_id, feedback_id, created_at)"
            f" SELECT organization_id, tenancy.uuid_v7(now()), 'gone@shopper.example', 'bounce', id, 'f-1', now()"
            f" FROM notifications.messages WHERE id = '{self.mail()}' RETURNING id"
        )

    def process_failure_resolved(self) -> str:
        """Record a process failure that a person has resolved, in its third version, and return its id."""
        return self.process_failure(3, "'resolved', 'staff:x', now()")

    def process_failure(self, version: int = 1, resolution: str = "'open', NULL, NULL") -> str:
        """Record a process failure that waits for a person, and return its id."""
        return self._until(
            "INSERT INTO operations.process_failures (organization_id, id, process_name, details, created_at, version,"
            f" status, resolved_by, resolved_at) VALUES ('{self._organization_id}', tenancy.uuid_v7(now()),"
            f" 'PaymentUndecided', 'nobody knows', now(), {version}, {resolution}) RETURNING id"
        )

    def operation_given_up(self) -> str:
        """A return of an order's money that was given up; its id."""
        order_id = self.order_id()
        self._ask(f"POST /v1/orders/{order_id}/cancel")
        return self._until(
            "UPDATE orders.order_operations SET state = 'failed', finished_at = now()"
            f" WHERE order_id = '{order_id}' AND operation = 'return_money' RETURNING id"
        )

    def warehouses(self) -> Ids:
        """Return the warehouses and the variant of the samples."""
        ids = {
            str(code): str(found)
            for code, found in self._sql("SELECT code, id FROM inventory.warehouses ORDER BY code")
        }
        variant = self._until(f"SELECT id FROM catalog.variants WHERE sku = '{SKU}'")
        return {sample_id("a1"): ids["EWR"], sample_id("a2"): variant, sample_id("a3"): ids["RNO"]}

    def archivable(self) -> str:
        """Return the number of an order that may be archived now."""
        order = self.order_delivered("an-old-customer")
        self._sql(_ARCHIVE_AT_ONCE)
        return str(order["order_number"])

    def master_secret(self) -> str:
        """Store a secret as the database cluster keeps it for its master user, and return its name."""
        self.system.database.execute(
            "DO $$ BEGIN CREATE ROLE rds_iam; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        login = {"username": self.system.database.user, "password": self.system.database.password}
        aws.put_secret(self.system.aws_url, "master", json.dumps(login))
        return "master"

    @staticmethod
    def now() -> datetime:
        """Return the present time by the clock of the functions."""
        return datetime.now(UTC)

    def render(self, name: str, ids: Mapping[str, str]) -> Any:
        """Return a sample event about this shop. `ids` replace the ids in the file."""
        now, secret = self.now(), json.loads(self._secret(SECRET_REFERENCE))["webhook_secrets"][0]
        text = json.dumps(sample_events.render(name, now=now))
        for stands, real in ids.items():
            text = text.replace(stands, real)
        event = json.loads(text)
        if "stripe-signature" in event.get("headers", {}):
            signed = sample_events.stripe_signature(event["body"].encode(), secret=secret, now=now)
            event["headers"]["stripe-signature"] = signed
        return event
