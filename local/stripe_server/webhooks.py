"""Delivery of events: signed as Stripe signs, repeated with growing pauses until the receiver answers 2xx.

Source: https://docs.stripe.com/webhooks (retries for three days, no promised order) and /webhooks/signature.
"""

import asyncio
import hashlib
import hmac
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from local.stripe_server.http_client import HttpClient
from local.stripe_server.ledger import Ledger
from local.stripe_server.model import Endpoint, Event, new_id

CONCURRENT_DELIVERIES_MAX: Final = 16
ANSWER_TIMEOUT_SECONDS: Final = 10.0
FIRST_PAUSE_SECONDS: Final = 0.25
PAUSE_MAX_SECONDS: Final = 30.0
GIVE_UP_AFTER_SECONDS: Final = 3 * 24 * 3600
DELIVERIES_KEPT_MAX: Final = 50_000


@dataclass(frozen=True, slots=True)
class Manner:
    """How the events of one call are delivered. The default is Stripe on a good day."""

    drop: bool = False
    delay_seconds: float = 0.0
    duplicates: int = 0
    reverse: bool = False
    before_answer: bool = False
    only: tuple[str, ...] = ()
    """Event types this manner is for; empty: all of the call's events."""


@dataclass(slots=True)
class Delivery:
    """One event on its way to one endpoint."""

    id: str
    event_id: str
    event_type: str
    endpoint_id: str
    body: str
    created: float
    attempts: int = 0
    last_status: int | None = None
    state: str = "pending"
    """pending, delivered, dropped (on command), abandoned (endpoint deleted, or three days of failures)"""


class Courier:
    """Takes events, and does not let go of a delivery before it is answered 2xx."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._client = HttpClient()
        self._queue: asyncio.Queue[list[Delivery]] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self.pending: dict[str, Delivery] = {}
        self.finished: deque[Delivery] = deque(maxlen=DELIVERIES_KEPT_MAX)

    def start(self) -> None:
        """Begin delivering, with what an earlier run left pending first."""
        for delivery in self.pending.values():
            self._queue.put_nowait([delivery])
        self._workers = [asyncio.create_task(self._work()) for _ in range(CONCURRENT_DELIVERIES_MAX)]

    async def stop(self) -> None:
        """Stop delivering; what is pending stays pending."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await self._client.close()

    async def send(self, events: Iterable[Event], manner: Manner) -> None:
        """Queue the deliveries of one call's events; return at once, or after a first attempt if ``before_answer``."""
        ordinary: list[Delivery] = []
        special: list[Delivery] = []
        for event in events:
            chosen = not manner.only or event.type in manner.only
            deliveries = self._deliveries(event, 1 + manner.duplicates if chosen else 1)
            (special if chosen else ordinary).extend(deliveries)
        for delivery in ordinary:
            self._queue.put_nowait([delivery])
        if manner.reverse:
            special.reverse()
        if manner.drop:
            for delivery in special:
                self._finish(delivery, "dropped")
        elif manner.before_answer:
            for delivery in special:
                await self._attempt(delivery)
        elif manner.delay_seconds:
            asyncio.get_running_loop().call_later(manner.delay_seconds, self._queue.put_nowait, special)
        elif manner.reverse:
            self._queue.put_nowait(special)
        else:
            for delivery in special:
                self._queue.put_nowait([delivery])

    def _deliveries(self, event: Event, copies: int) -> list[Delivery]:
        if event.body is None:
            return []
        made = [
            Delivery(new_id("dl"), event.id, event.type, endpoint.id, event.body, time.time())
            for endpoint in self._ledger.endpoints.values()
            if endpoint.wants(event.account, event.type)
            for _ in range(copies)
        ]
        self.pending |= {delivery.id: delivery for delivery in made}
        return made

    def forget(self) -> None:
        """Give up everything that is pending."""
        for delivery in list(self.pending.values()):
            self._finish(delivery, "abandoned")

    async def _work(self) -> None:
        while True:
            # A list is delivered one after the other, so that a commanded order is the order of arrival.
            for delivery in await self._queue.get():
                await self._attempt(delivery)

    async def _attempt(self, delivery: Delivery) -> None:
        endpoint = self._ledger.endpoints.get(delivery.endpoint_id)
        if delivery.state != "pending":
            return
        if endpoint is None or time.time() - delivery.created > GIVE_UP_AFTER_SECONDS:
            self._finish(delivery, "abandoned")
            return
        delivery.attempts += 1
        body = delivery.body.encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Accept": "*/*; q=0.5, application/xml",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature_header(body, endpoint.secret, int(time.time())),
        }
        try:
            delivery.last_status = await self._client.post(endpoint.url, headers, body, ANSWER_TIMEOUT_SECONDS)
        except OSError:
            delivery.last_status = None
        self._ledger.changes += 1
        if delivery.last_status is not None and 200 <= delivery.last_status < 300:
            self._finish(delivery, "delivered")
            return
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(delivery.attempts - 1, 10), PAUSE_MAX_SECONDS)
        asyncio.get_running_loop().call_later(pause, self._queue.put_nowait, [delivery])

    def _finish(self, delivery: Delivery, state: str) -> None:
        delivery.state = state
        self.pending.pop(delivery.id, None)
        # The event keeps the body; a log of deliveries need not.
        delivery.body = ""
        self.finished.append(delivery)


def signature_header(body: bytes, secret: str, at: int) -> str:
    """``Stripe-Signature``: HMAC-SHA256 with the whole secret over the time, a dot and the body, in hex."""
    signature = hmac.new(secret.encode(), str(at).encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signature}"


def new_endpoint(
    account: str, url: str, enabled_events: list[str], *, secret: str | None = None, **more: Any
) -> Endpoint:
    """An endpoint with an id and, unless one is given, a secret of its own."""
    return Endpoint(
        id=new_id("we"),
        account=account,
        url=url,
        secret=secret or new_id("whsec", 32),
        enabled_events=enabled_events,
        created=int(time.time()),
        **more,
    )
