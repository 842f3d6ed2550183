"""Stripe on the stage: our adapter against local/stripe_server, in a process of its own, over HTTP."""

import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import urllib3

from holdfast.gateways.port import GatewayCredentials, GatewayEvent
from holdfast.gateways.stripe import StripeGateway
from holdfast.gateways.stripe_webhooks import verify_and_parse_webhook
from local.launch import command
from tests.gateways.receiver import Received, Receiver
from tests.gateways.stage import Stage

REPOSITORY = Path(__file__).parents[2]


@contextmanager
def running_stripe_server(*arguments: str) -> Iterator[str]:
    """The base URL of a server of our own. It inherits a socket that listens already, so nobody has to wait for it."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        listening.set_inheritable(True)
        program = [sys.executable, "-m", "local.stripe_server", "--fd", str(listening.fileno()), *arguments]
        port = listening.getsockname()[1]
        process = subprocess.Popen(command(program), cwd=REPOSITORY, pass_fds=[listening.fileno()])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


class StripeStage(Stage):
    token_ok = "pm_card_visa"
    token_declined = "pm_card_chargeDeclinedInsufficientFunds"
    token_action = "pm_card_authenticationRequired"
    declined_code = "insufficient_funds"

    def __init__(self, base_url: str, pool: urllib3.PoolManager, receiver: Receiver) -> None:
        self.base_url = base_url
        self.receiver = receiver
        self._pool = pool
        self.api_key = f"sk_test_{uuid4().hex}"
        endpoint = self.control(
            "POST", "/webhook_endpoints", {"url": receiver.url, "account": self.api_key, "enabled_events": ["*"]}
        )
        self.endpoint_id: str = endpoint["id"]
        self.secret: str = endpoint["secret"]
        self.credentials = GatewayCredentials(self.api_key, ("whsec_previous", self.secret))
        self.gateway = StripeGateway(self.credentials, pool=pool, base_url=base_url)

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._pool.request(method, f"{self.base_url}/_control{path}", json=body)
        assert answer.status == 200, answer.data
        return answer.json()

    def behave(self, **behavior: Any) -> None:
        match = {**behavior.pop("match", {}), "account": self.api_key}
        self.control("POST", "/behaviors", {"match": match, **behavior})

    def stop_webhooks(self) -> None:
        headers = {"Authorization": f"Bearer {self.api_key}"}
        address = f"{self.base_url}/v1/webhook_endpoints/{self.endpoint_id}"
        assert self._pool.request("DELETE", address, headers=headers).status == 200

    def lose_request(self) -> None:
        self.behave(fault="timeout_before")

    def lose_answer(self) -> None:
        self.behave(fault="timeout_after")

    def answer_late(self, delay_seconds: float) -> None:
        self.behave(delay_seconds=delay_seconds)

    def complete_action(self, transaction_id: str, *, succeed: bool) -> None:
        self.control("POST", f"/payment_intents/{transaction_id}/authenticate", {"succeed": succeed})

    def fail_refund(self, gateway_refund_id: str) -> None:
        self.control("POST", f"/refunds/{gateway_refund_id}/fail", {"failure_reason": "lost_or_stolen_card"})

    def expire_authorization(self, transaction_id: str) -> None:
        self.control("POST", f"/payment_intents/{transaction_id}/expire")

    def send_webhooks_twice_and_backwards(self) -> None:
        self.behave(webhooks={"reverse": True, "duplicates": 1})

    def events_until(self, *expected: str) -> list[GatewayEvent]:
        wanted = Counter(expected)
        arrived = self.receiver.wait_until(
            lambda received: wanted <= Counter(str(event.event_type) for event in self._parse(received))
        )
        return self._parse(arrived)

    def charges_of(self, order_id: UUID) -> int:
        return int(self.totals_of(order_id)["charges_succeeded"])

    def captured_of(self, order_id: UUID) -> int:
        return int(self.totals_of(order_id)["captured"])

    def totals_of(self, order_id: UUID) -> Any:
        return self.control("GET", f"/totals?metadata[order_id]={order_id}&account={self.api_key}")

    def _parse(self, received: Sequence[Received]) -> list[GatewayEvent]:
        now = datetime.now(UTC)
        return [
            event
            for delivery in received
            for event in verify_and_parse_webhook(delivery.headers, delivery.body, self.credentials, now)
        ]
