"""What the stages have in common: a server in its own process, and its control surface."""

import socket
import subprocess
import sys
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import urllib3

from holdfast.gateways.port import GatewayEvent
from local.launch import command
from tests.gateways.receiver import Received, Receiver
from tests.gateways.stage import Stage

REPOSITORY = Path(__file__).parents[2]


@contextmanager
def running_server(module: str, *arguments: str) -> Iterator[str]:
    """Yield the base URL of a new server. It inherits a socket that already listens, so nobody has to wait for it."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        listening.set_inheritable(True)
        program = [sys.executable, "-m", module, "--fd", str(listening.fileno()), *arguments]
        port = listening.getsockname()[1]
        process = subprocess.Popen(command(program), cwd=REPOSITORY, pass_fds=[listening.fileno()])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


class ServedStage(Stage):
    """One account at a server that has the control surface of local/gateway_server."""

    def __init__(self, base_url: str, pool: urllib3.PoolManager, receiver: Receiver, api_key: str) -> None:
        self.base_url = base_url
        self.receiver = receiver
        self.api_key = api_key
        self.pool = pool
        given = {"url": receiver.url, "account": api_key, "enabled_events": ["*"], "metadata": self.endpoint_metadata()}
        endpoint = self.control("POST", "/webhook_endpoints", given)
        self.endpoint_id: str = endpoint["id"]
        self.secret: str = endpoint["secret"]

    def endpoint_metadata(self) -> dict[str, str]:
        return {}

    @abstractmethod
    def verify(self, delivery: Received, now: datetime) -> Sequence[GatewayEvent]:
        """Verify a delivery and return its events."""

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self.pool.request(method, f"{self.base_url}/_control{path}", json=body)
        assert answer.status == 200, answer.data
        return answer.json()

    def behave(self, **behavior: Any) -> None:
        match = {**behavior.pop("match", {}), "account": self.api_key}
        self.control("POST", "/behaviors", {"match": match, **behavior})

    def stop_webhooks(self) -> None:
        self.control("DELETE", f"/webhook_endpoints/{self.endpoint_id}")

    def lose_request(self) -> None:
        self.behave(fault="timeout_before")

    def lose_answer(self) -> None:
        self.behave(fault="timeout_after")

    def answer_late(self, delay_seconds: float) -> None:
        self.behave(delay_seconds=delay_seconds)

    def fail_refund(self, gateway_refund_id: str) -> None:
        self.control("POST", f"/refunds/{gateway_refund_id}/fail")

    def send_webhooks_twice_and_backwards(self) -> None:
        self.behave(webhooks={"reverse": True, "duplicates": 1})

    def events_until(self, *expected: str) -> list[GatewayEvent]:
        wanted = Counter(expected)
        arrived = self.receiver.wait_until(
            lambda received: wanted <= Counter(str(event.event_type) for event in self.parse(received))
        )
        return self.parse(arrived)

    def charges_of(self, order_id: UUID) -> int:
        return int(self.totals_of(order_id)["charges_succeeded"])

    def captured_of(self, order_id: UUID) -> int:
        return int(self.totals_of(order_id)["captured"])

    def totals_of(self, order_id: UUID) -> Any:
        return self.control("GET", f"/totals?metadata[order_id]={order_id}&account={self.api_key}")

    def parse(self, received: Sequence[Received]) -> list[GatewayEvent]:
        now = datetime.now(UTC)
        return [event for delivery in received for event in self.verify(delivery, now)]
