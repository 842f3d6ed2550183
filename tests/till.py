"""A house's account at any of the gateways: the stage of the gateway's conformance suite, put into a shop."""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import boto3

from holdfast.flows.money.receive_webhook import receive_webhook
from holdfast.secrets.store import SecretStore
from holdfast.values.ids import uuid7
from local.postgres import Address
from tests.gateways.adyen_stage import AdyenStage
from tests.gateways.paypal_stage import PayPalStage
from tests.gateways.receiver import Received
from tests.gateways.served import ServedStage
from tests.house import House

RETURN_URL = "https://shop.example/thanks?order={order_id}"


class Till:
    """A house that takes money through one gateway, besides the Stripe account that every house has."""

    def __init__(self, house: House, stage: ServedStage) -> None:
        self.house = house
        self.stage = stage
        self.gateway = stage.gateway.name
        self.endpoint_key = f"till-{uuid.uuid4().hex[:12]}"
        self.secret_reference = f"holdfast/test/{uuid.uuid4().hex}"
        boto3.client("secretsmanager").create_secret(Name=self.secret_reference, SecretString=self.secret())
        credentials = stage.credentials
        # Of a gateway's accounts the newest is chosen last, so the house's own Stripe account is disabled.
        house.sql("UPDATE tenancy.gateway_accounts SET status = 'disabled' WHERE gateway = :g", g=self.gateway)
        house.sql(
            "INSERT INTO tenancy.gateway_accounts (organization_id, id, gateway, endpoint_key, secret_reference,"
            " merchant_account, webhook_id, notification_url, created_at)"
            " VALUES (:o, :id, :gateway, :key, :secret, :merchant_account, :webhook_id, :notification_url, :now)",
            o=house.organization_id,
            id=uuid7(house.clock.now),
            gateway=self.gateway,
            key=self.endpoint_key,
            secret=self.secret_reference,
            merchant_account=credentials.merchant_account,
            webhook_id=credentials.webhook_id,
            notification_url=credentials.notification_url,
            now=house.clock.now,
        )

    def secret(self, webhook_secrets: tuple[str, ...] | None = None) -> str:
        """Return the account's secret as the secret store holds it."""
        known = self.stage.credentials
        return json.dumps(
            {
                "api_key": known.api_key,
                "webhook_secrets": known.webhook_secrets if webhook_secrets is None else webhook_secrets,
                "client_id": known.client_id,
                "webhook_user": known.webhook_user,
                "webhook_password": known.webhook_password,
            }
        )

    def place(self, token: str | None = None, **how: Any) -> dict[str, Any]:
        """Check out and return the body of the answer."""
        answer = self.house.place(gateway=self.gateway, token=token or self.stage.token_ok, **how)
        body: dict[str, Any] = json.loads(answer.body)
        return body

    def telling(self) -> Received:
        """Return the first webhook about this test's money that changes something, once the gateway has sent it."""

        def tells(delivery: Received) -> bool:
            return any(event.event_type for event in self.stage.parse([delivery]))

        arrived = self.stage.receiver.wait_until(lambda received: any(map(tells, received)))
        return next(delivery for delivery in arrived if tells(delivery))

    def deliver(self, delivery: Received, *, now: datetime | None = None, endpoint_key: str | None = None) -> int:
        """Deliver a webhook as the gateway sent it, and return how many of its events were new."""
        house, now = self.house, now or self.house.clock()
        key = endpoint_key or self.endpoint_key
        return receive_webhook(house.runtime, self.gateway, key, delivery.headers, delivery.body, now, "test")

    def deliver_until(self, done: Callable[[], bool]) -> None:
        """Deliver and apply what the gateway sends, as it arrives, until ``done``."""
        brought = 0
        while not done():
            received = self.stage.receiver.wait_until(partial(_more_than, brought))
            for delivery in received[brought:]:
                self.deliver(delivery)
            brought = len(received)
            self.house.work()


def _more_than(known: int, received: Sequence[Received]) -> bool:
    return len(received) > known


@contextmanager
def open_till(
    stage: ServedStage, owner: Address, stripe_url: str, secret_store: SecretStore, roots_file: Path | None = None
) -> Iterator[Till]:
    """Open a house with ten tees to sell and an account at the stage's gateway."""
    environment = {
        f"{stage.gateway.name.upper()}_BASE_URL": stage.base_url,
        "STOREFRONT_RETURN_URL": RETURN_URL,
    }
    if isinstance(stage, PayPalStage):
        environment["PAYPAL_WEBHOOK_ROOTS_FILE"] = str(stage.roots_file)
    with House(owner, stripe_url, secret_store, environment) as house:
        house.add_variant(stock=10)
        yield Till(house, stage)


def act(till: Till, body: dict[str, Any], *, succeed: bool = True) -> dict[str, str]:
    """Do, as the shopper, what the gateway asked for, and return what their client comes back with."""
    stage, payment_id = till.stage, body["payment"]["id"]
    if isinstance(stage, AdyenStage):
        (payment,) = stage.control("GET", f"/payments?metadata[payment_id]={payment_id}")
        told = stage.control("POST", f"/payments/{payment['pspReference']}/authenticate", {"succeed": succeed})
        return {"redirectResult": told["redirectResult"]}
    transaction_id = till.house.value(
        "SELECT gateway_transaction_id FROM payments.payments WHERE id = :id", id=payment_id
    )
    if isinstance(stage, PayPalStage):
        stage.approve(transaction_id, "wallet" if succeed else "declined0500")
    else:
        stage.complete_action(transaction_id, succeed=succeed)
    return {}
