"""PayPal on the stage: our adapter against local/paypal_server, in a process of its own, over HTTP."""

import socket
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import urllib3

from holdfast.gateways.paypal import PayPalGateway
from holdfast.gateways.paypal_access import AccessTokens
from holdfast.gateways.paypal_certificates import CertificateSource
from holdfast.gateways.paypal_webhooks import verify_and_parse_webhook
from holdfast.gateways.port import AuthorizeRequest, GatewayCredentials, GatewayEvent
from local.launch import command
from tests.gateways.receiver import Received, Receiver
from tests.gateways.stage import Stage

REPOSITORY = Path(__file__).parents[2]
CHANGES = ("orders.create", "captures.refund", "authorizations.capture")


@contextmanager
def running_paypal_server(*arguments: str) -> Iterator[str]:
    """The base URL of a server of our own. It inherits a socket that listens already, so nobody has to wait for it."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        listening.set_inheritable(True)
        program = [sys.executable, "-m", "local.paypal_server", "--fd", str(listening.fileno()), *arguments]
        port = listening.getsockname()[1]
        process = subprocess.Popen(command(program), cwd=REPOSITORY, pass_fds=[listening.fileno()])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


class PayPalStage(Stage):
    token_ok = "card:visa4242"
    token_declined = "card:declined5120"
    token_action = "paypal"
    token_unknown = "card:nobody"
    declined_code = "5120"
    unknown_code = "TOKEN_ID_NOT_FOUND"
    announces_actions = False

    def __init__(self, base_url: str, pool: urllib3.PoolManager, receiver: Receiver, roots_file: Path) -> None:
        self.base_url = base_url
        self.receiver = receiver
        self.pool = pool
        self.client_id = f"client-{uuid4().hex}"
        endpoint = self.control(
            "POST", "/webhook_endpoints", {"url": receiver.url, "account": self.client_id, "enabled_events": ["*"]}
        )
        self.endpoint_id: str = endpoint["id"]
        self.roots_file = roots_file
        self.trust_roots()
        self.credentials = GatewayCredentials("secret", client_id=self.client_id, webhook_id=self.endpoint_id)
        self.tokens = AccessTokens(pool)
        self.gateway: PayPalGateway = PayPalGateway(self.credentials, pool=pool, tokens=self.tokens, base_url=base_url)
        self._payments: defaultdict[UUID, set[UUID]] = defaultdict(set)

    def trust_roots(self) -> None:
        """Trust whatever the server signs with from now on."""
        self.roots_file.write_text(self.control("POST", "/roots")["pem"])
        self.certificates = CertificateSource(self.pool, base_url=self.base_url, roots_file=str(self.roots_file))

    def request(self, **given: Any) -> AuthorizeRequest:
        """PayPal knows our payments by `custom_id` and our orders by `invoice_id`, which it wants unique."""
        request = super().request(**given)
        self._payments[request.order_id].add(request.payment_id)
        return replace(request, order_number=f"HF-{request.order_id}")

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self.pool.request(method, f"{self.base_url}/_control{path}", json=body)
        assert answer.status == 200, answer.data
        return answer.json()

    def behave(self, *, operations: Sequence[str] = CHANGES, **behavior: Any) -> None:
        """PayPal takes several requests to do one thing: commands are for those that change something."""
        match = {**behavior.pop("match", {}), "account": self.client_id}
        for operation in operations:
            self.control("POST", "/behaviors", {"match": {**match, "operation": operation}, **behavior})

    def stop_webhooks(self) -> None:
        self.control("DELETE", f"/webhook_endpoints/{self.endpoint_id}")

    def lose_request(self) -> None:
        self.behave(fault="timeout_before")

    def lose_answer(self) -> None:
        self.behave(fault="timeout_after")

    def answer_late(self, delay_seconds: float) -> None:
        self.behave(delay_seconds=delay_seconds)

    def approve(self, transaction_id: str, instrument: str = "wallet") -> None:
        """The buyer agrees at PayPal."""
        self.control("POST", f"/orders/{transaction_id}/approve", {"instrument": instrument})

    def complete_action(self, transaction_id: str, *, succeed: bool) -> None:
        """The buyer agrees, with money or without; then somebody looks, as the watchdog does, and that takes it."""
        self.approve(transaction_id, "wallet" if succeed else "declined0500")
        self.events_until("payment_processing")
        self.gateway.fetch(transaction_id, deadline_seconds=5)

    def fail_refund(self, gateway_refund_id: str) -> None:
        self.control("POST", f"/refunds/{gateway_refund_id}/fail")

    def expire_authorization(self, transaction_id: str) -> None:
        self.control("POST", f"/orders/{transaction_id}/expire")

    def send_webhooks_twice_and_backwards(self) -> None:
        self.behave(webhooks={"reverse": True, "duplicates": 1})

    def events_until(self, *expected: str) -> list[GatewayEvent]:
        wanted = Counter(expected)
        arrived = self.receiver.wait_until(
            lambda received: wanted <= Counter(str(event.event_type) for event in self.parse(received))
        )
        return self.parse(arrived)

    def charges_of(self, order_id: UUID) -> int:
        return sum(int(totals["charges_succeeded"]) for totals in self._totals(order_id))

    def captured_of(self, order_id: UUID) -> int:
        return sum(int(totals["captured"]) for totals in self._totals(order_id))

    def parse(self, received: Sequence[Received]) -> list[GatewayEvent]:
        now = datetime.now(UTC)
        return [
            event
            for delivery in received
            for event in verify_and_parse_webhook(
                delivery.headers, delivery.body, self.credentials, now, self.certificates
            )
        ]

    def _totals(self, order_id: UUID) -> list[dict[str, Any]]:
        chosen = [f"metadata[custom_id]={payment_id}" for payment_id in self._payments[order_id]]
        return [self.control("GET", f"/totals?{one}&account={self.client_id}") for one in chosen]
