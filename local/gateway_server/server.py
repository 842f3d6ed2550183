"""The ASGI application that every gateway's server extends: one call in, one answer out, its events on their way."""

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from local.gateway_server.behaviors import Behavior, Behaviors, Facts
from local.gateway_server.control import Control
from local.gateway_server.courier import Courier, Manner
from local.gateway_server.ledger import Ledger
from local.gateway_server.model import Event, Json, Refusal, StoredAnswer, new_id
from local.gateway_server.state_file import StateFile

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_MAX_BYTES: Final = 1_000_000
SAVE_EVERY_SECONDS: Final = 1.0
SAVING_MAX_SHARE: Final = 0.05
"""The share of the time that saving may take. A server with many payments saves less often, as it writes all."""
DROP_CONNECTION: Final = "gateway_server.drop_connection"
"""The ASGI extension, provided by ``hosting``, that closes the caller's connection without an answer."""


@dataclass(slots=True)
class Request:
    """One HTTP request, read completely."""

    method: str
    path: str
    headers: dict[str, str]
    query: bytes
    body: bytes


@dataclass(slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Once:
    """The owner of an idempotency key, the key, and the fingerprint of its request."""

    account: str
    key: str
    fingerprint: str

    @property
    def name(self) -> str:
        """The name under which the answer is kept."""
        return f"{self.account}\n{self.key}"


@dataclass(slots=True)
class Call:
    """One API call that was understood and not yet executed."""

    facts: Facts
    execute: Callable[[Behavior], Answer]
    """Executes the call. Raises ``Refusal``, also for a decline."""
    once: Once | None = None
    request_id: str = field(default_factory=lambda: new_id("req", 14))


class NoAnswer(Exception):
    """The caller gets no answer."""


class GatewayServer(ABC):
    """The whole server, as an ASGI 3 application. A vendor's subclass says what a request means and how errors look."""

    KEY_LIFETIME_SECONDS: float = 24 * 3600

    def __init__(
        self, ledger: Ledger, behaviors: Behaviors, courier: Courier, control: Control[Any], state_file: Path | None
    ) -> None:
        self._memory = ledger
        self.behaviors = behaviors
        self.courier = courier
        self._control = control
        self._state = StateFile(state_file, ledger, courier) if state_file else None
        self._saver: asyncio.Task[None] | None = None

    @abstractmethod
    def understand(self, request: Request) -> Call:
        """Return the call that a request means. Raises ``Refusal``."""

    @abstractmethod
    def render(self, body: Json) -> str:
        """Return JSON as the vendor writes it."""

    @abstractmethod
    def commanded(self, status: int) -> Json:
        """Return the vendor's error for a status that was commanded."""

    @abstractmethod
    def key_in_flight(self, once: Once) -> Refusal:
        """Return the vendor's error for a key whose first request is still being executed."""

    @abstractmethod
    def key_misused(self, once: Once) -> Refusal:
        """Return the vendor's error for a key that comes with another request."""

    def headers_of(self, call: Call, replayed: StoredAnswer | None) -> dict[str, str]:
        """Return the headers that the vendor adds to the answer of a call with a key."""
        return {}

    @abstractmethod
    def follow_up(self, events: Sequence[Event], behavior: Behavior) -> None:
        """Start what happens later as a consequence of these events."""

    @abstractmethod
    def resume(self) -> None:
        """Start again what was still to happen when the server ended."""

    def later(self, delay_seconds: float, happen: Callable[[], None], manner: Manner | None = None) -> None:
        """Let something happen after a delay, and deliver its events."""

        def then() -> None:
            happen()
            events = self._memory.take_unsent()
            self._control.send_in_background(events, manner)

        asyncio.get_running_loop().call_later(delay_seconds, then)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the process."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(await _read(scope, receive))
        except NoAnswer:
            await _drop(scope, receive, send)
            return
        headers = {"Content-Type": answer.content_type, "Request-Id": new_id("req", 14), **answer.headers}
        body = answer.body.encode()
        raw = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        raw.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, request: Request) -> Answer:
        try:
            if request.path.startswith("/_control"):
                content_type, body = await self._control.handle(
                    request.method, request.path, request.query, request.body
                )
                return Answer(200, body, {}, content_type)
            return await self._call(self.understand(request))
        except Refusal as refusal:
            return self._refuse(refusal)

    async def _call(self, call: Call) -> Answer:
        """Handle one API call: commanded faults first, then the idempotency key, then the call itself."""
        behavior = self.behaviors.take(call.facts)
        if behavior.fault == "timeout_before":
            await asyncio.sleep(behavior.hold_seconds)
            raise NoAnswer
        if behavior.http_status and not behavior.execute:
            return self._commanded(behavior)
        if call.once:
            answer = await self._once(call, call.once, behavior)
        else:
            answer, _ = await self._execute(call, behavior)
        if behavior.fault == "timeout_after":
            await asyncio.sleep(behavior.hold_seconds)
            raise NoAnswer
        return answer

    async def _once(self, call: Call, once: Once, behavior: Behavior) -> Answer:
        """Execute a change once per idempotency key."""
        kept = self._kept(once)
        if kept is not None and kept.body is not None:
            return Answer(kept.status, kept.body, self.headers_of(call, kept))
        if kept is not None:
            raise self.key_in_flight(once)
        in_flight = self._memory.answers[once.name] = StoredAnswer(once.fingerprint, time.time(), call.request_id)
        stored = False
        try:
            answer, stored = await self._execute(call, behavior)
            in_flight.status, in_flight.body = answer.status, answer.body
            self._memory.changes += 1
        finally:
            if not stored:
                self._memory.answers.pop(once.name, None)
        answer.headers |= self.headers_of(call, None)
        return answer

    def _kept(self, once: Once) -> StoredAnswer | None:
        """Return the stored answer of an idempotency key.

        Raises ``Refusal`` if the key was used for another request.
        """
        answers = self._memory.answers
        while answers and next(iter(answers.values())).created < time.time() - self.KEY_LIFETIME_SECONDS:
            answers.popitem(last=False)
        kept = answers.get(once.name)
        if kept is not None and kept.fingerprint != once.fingerprint:
            raise self.key_misused(once)
        return kept

    async def _execute(self, call: Call, behavior: Behavior) -> tuple[Answer, bool]:
        """Execute a call and send its events. The bool says whether the idempotency key keeps the answer."""
        await asyncio.sleep(behavior.delay_seconds)
        try:
            answer, stored = call.execute(behavior), True
        except Refusal as refusal:
            answer, stored = self._refuse(refusal), refusal.stored
        if behavior.http_status:
            answer, stored = self._commanded(behavior), True
        events = self._memory.take_unsent()
        self.follow_up(events, behavior)
        await self.courier.send(events, behavior.webhooks or Manner())
        return answer, stored

    def _refuse(self, refusal: Refusal) -> Answer:
        return Answer(refusal.status, self.render(refusal.body))

    def _commanded(self, behavior: Behavior) -> Answer:
        status = behavior.http_status or 500
        answer = Answer(status, self.render(self.commanded(status)))
        if behavior.retry_after_seconds is not None:
            answer.headers["Retry-After"] = str(behavior.retry_after_seconds)
        return answer

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                if self._state:
                    self._state.load()
                    self._saver = asyncio.create_task(self._save_regularly(self._state))
                self.courier.start()
                self.resume()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.courier.stop()
                if self._saver:
                    self._saver.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await self._saver
                if self._state:
                    self._state.save()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _save_regularly(self, state: StateFile) -> None:
        while True:
            begun = time.perf_counter()
            state.save()
            took_seconds = time.perf_counter() - begun
            await asyncio.sleep(max(SAVE_EVERY_SECONDS, took_seconds / SAVING_MAX_SHARE))


def bearer_of(headers: dict[str, str]) -> str:
    """Return the token of an ``Authorization: Bearer`` header, or "" if there is none."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


async def _read(scope: Scope, receive: Receive) -> Request:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise NoAnswer
        body += message.get("body", b"")
        if len(body) > BODY_MAX_BYTES or not message.get("more_body"):
            break
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(scope["method"], scope["path"], headers, scope["query_string"], body)


async def _drop(scope: Scope, receive: Receive, send: Send) -> None:
    """Close the connection without an answer. Where the host cannot do that, break off in the middle of one."""
    drop = (scope.get("extensions") or {}).get(DROP_CONNECTION)
    if drop is None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        return
    drop["close"]()
    while (await receive())["type"] != "http.disconnect":
        continue
