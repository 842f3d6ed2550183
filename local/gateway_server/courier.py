"""Delivery of events: signed by the vendor's rule, and repeated with growing pauses until the receiver accepts them."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from local.gateway_server.http_client import HttpClient
from local.gateway_server.ledger import Ledger
from local.gateway_server.model import Endpoint, Event, new_id

CONCURRENT_DELIVERIES_MAX: Final = 16
ANSWER_TIMEOUT_SECONDS: Final = 10.0
FIRST_PAUSE_SECONDS: Final = 0.25
PAUSE_MAX_SECONDS: Final = 30.0
DELIVERIES_KEPT_MAX: Final = 50_000


@dataclass(frozen=True, slots=True)
class Manner:
    """How the events of one call are delivered. The default is that of a vendor on a good day."""

    drop: bool = False
    delay_seconds: float = 0.0
    duplicates: int = 0
    reverse: bool = False
    before_answer: bool = False
    only: tuple[str, ...] = ()
    """The event types that this applies to. Empty means all events of the call."""


@dataclass(slots=True)
class Delivery:
    """The delivery of one event to one endpoint."""

    id: str
    event_id: str
    event_type: str
    endpoint_id: str
    body: str
    created: float
    attempts: int = 0
    last_status: int | None = None
    state: str = "pending"
    """pending, delivered, dropped (on command) or abandoned (endpoint deleted, or failing for too long)"""


class Post(ABC):
    """A vendor's way of delivering."""

    give_up_after_seconds: float = 3 * 24 * 3600
    in_line: bool = False
    """Whether a delivery that is not accepted blocks those behind it to the same endpoint."""

    @abstractmethod
    def headers(self, endpoint: Endpoint, body: bytes) -> dict[str, str]:
        """Return the headers to send, including the signature."""

    def body(self, endpoint: Endpoint, event: Event) -> str | None:
        """Return the body to deliver to this endpoint."""
        return event.body

    def is_taken(self, status: int, answer: bytes) -> bool:
        """Return whether the receiver accepted the delivery."""
        return 200 <= status < 300


class Courier:
    """Delivers events, and does not give up on a delivery until it is accepted or the vendor would give up."""

    def __init__(self, ledger: Ledger, post: Post) -> None:
        self._ledger = ledger
        self._post = post
        self._client = HttpClient()
        self._queues: dict[str, asyncio.Queue[list[Delivery]]] = {}
        self._workers: list[asyncio.Task[None]] = []
        self.lag_seconds = 0.0
        """The seconds between the call's answer and its events. A real vendor's webhooks take at least this long."""
        self.pending: dict[str, Delivery] = {}
        self.finished: deque[Delivery] = deque(maxlen=DELIVERIES_KEPT_MAX)

    def start(self) -> None:
        """Start delivering, beginning with what an earlier run left pending."""
        for delivery in self.pending.values():
            self._put([delivery])

    async def stop(self) -> None:
        """Stop delivering. What is pending stays pending."""
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
        self._put_later(ordinary)
        if manner.reverse:
            special.reverse()
        if manner.drop:
            for delivery in special:
                self._finish(delivery, "dropped")
        elif manner.before_answer:
            for delivery in special:
                await self._attempt(delivery)
        elif manner.delay_seconds:
            asyncio.get_running_loop().call_later(manner.delay_seconds, self._put, special)
        elif manner.reverse:
            self._put(special)
        else:
            self._put_later(special)

    def _put_later(self, deliveries: list[Delivery]) -> None:
        """Queue deliveries for which nothing was commanded."""
        for delivery in deliveries:
            if self.lag_seconds:
                asyncio.get_running_loop().call_later(self.lag_seconds, self._put, [delivery])
            else:
                self._put([delivery])

    def forget(self) -> None:
        """Abandon everything that is pending."""
        for delivery in list(self.pending.values()):
            self._finish(delivery, "abandoned")

    def _deliveries(self, event: Event, copies: int) -> list[Delivery]:
        made = [
            Delivery(new_id("dl"), event.id, event.type, endpoint.id, body, time.time())
            for endpoint in self._ledger.endpoints.values()
            if endpoint.wants(event.account, event.type) and (body := self._post.body(endpoint, event)) is not None
            for _ in range(copies)
        ]
        self.pending |= {delivery.id: delivery for delivery in made}
        return made

    def _put(self, deliveries: list[Delivery]) -> None:
        """Queue deliveries to be made one after the other, so that a commanded order is the order of arrival."""
        if not deliveries:
            return
        line = deliveries[0].endpoint_id if self._post.in_line else ""
        queue = self._queues.get(line)
        if queue is None:
            queue = self._queues[line] = asyncio.Queue()
            loop = asyncio.get_running_loop()
            workers = 1 if self._post.in_line else CONCURRENT_DELIVERIES_MAX
            self._workers += [loop.create_task(self._work(queue)) for _ in range(workers)]
        queue.put_nowait(deliveries)

    async def _work(self, queue: asyncio.Queue[list[Delivery]]) -> None:
        while True:
            for delivery in await queue.get():
                pause = await self._attempt(delivery)
                while pause and self._post.in_line:
                    await asyncio.sleep(pause)
                    pause = await self._attempt(delivery)

    async def _attempt(self, delivery: Delivery) -> float:
        """Try once. Return the seconds until the next attempt, or 0 when there will be none."""
        endpoint = self._ledger.endpoints.get(delivery.endpoint_id)
        if delivery.state != "pending":
            return 0.0
        if endpoint is None or time.time() - delivery.created > self._post.give_up_after_seconds:
            self._finish(delivery, "abandoned")
            return 0.0
        delivery.attempts += 1
        body = delivery.body.encode()
        headers = {"Content-Type": "application/json; charset=utf-8", **self._post.headers(endpoint, body)}
        taken = False
        try:
            delivery.last_status, answer = await self._client.post(endpoint.url, headers, body, ANSWER_TIMEOUT_SECONDS)
            taken = self._post.is_taken(delivery.last_status, answer)
        except OSError:
            delivery.last_status = None
        self._ledger.changes += 1
        if taken:
            self._finish(delivery, "delivered")
            return 0.0
        pause = min(FIRST_PAUSE_SECONDS * float(1 << min(delivery.attempts - 1, 10)), PAUSE_MAX_SECONDS)
        if not self._post.in_line:
            asyncio.get_running_loop().call_later(pause, self._put, [delivery])
        return pause

    def _finish(self, delivery: Delivery, state: str) -> None:
        delivery.state = state
        self.pending.pop(delivery.id, None)
        # The event keeps the body; the log of deliveries does not need it.
        delivery.body = ""
        self.finished.append(delivery)


def new_endpoint(account: str, url: str, enabled_events: list[str], *, secret: str, **more: Any) -> Endpoint:
    """Return an endpoint with a new id."""
    return Endpoint(
        id=new_id("we"),
        account=account,
        url=url,
        secret=secret,
        enabled_events=enabled_events,
        created=int(time.time()),
        **more,
    )
