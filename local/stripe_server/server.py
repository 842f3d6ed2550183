"""The ASGI application: one call in, one answer out, its events on their way."""

import asyncio
import contextlib
import hashlib
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from local.stripe_server import forms
from local.stripe_server.behaviors import Behavior, Behaviors, Match
from local.stripe_server.cards import RefundFate
from local.stripe_server.control import Control
from local.stripe_server.errors import StripeError, api_error, invalid_request
from local.stripe_server.ledger import Call, Ledger, dump
from local.stripe_server.model import Refund, StoredAnswer, new_id
from local.stripe_server.refunds import fail, fate_of, succeed
from local.stripe_server.routes import Operation, operation_of
from local.stripe_server.state_file import StateFile
from local.stripe_server.webhooks import Courier, Manner

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

KEY_LIFETIME_SECONDS: Final = 24 * 3600
KEY_MAX_CHARACTERS: Final = 255
BODY_MAX_BYTES: Final = 1_000_000
SAVE_EVERY_SECONDS: Final = 1.0
DROP_CONNECTION: Final = "stripe_server.drop_connection"
"""The ASGI extension (``__main__`` provides it) that closes the caller's connection without an answer."""


@dataclass(slots=True)
class Request:
    """One HTTP request, read whole."""

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
    headers: dict[str, str]
    content_type: str = "application/json"


class NoAnswer(Exception):
    """The caller is to be left without an answer."""


class StripeServer:
    """The whole server, as an ASGI 3 application."""

    def __init__(self, *, state_file: Path | None = None, refund_delay_seconds: float = 1.0) -> None:
        self.ledger = Ledger()
        self.behaviors = Behaviors()
        self.courier = Courier(self.ledger)
        self.refund_delay_seconds = refund_delay_seconds
        self._control = Control(self.ledger, self.behaviors, self.courier)
        self._state = StateFile(state_file, self.ledger, self.courier) if state_file else None
        self._saver: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request, or the life of the process."""
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
            return await self._call(request)
        except StripeError as error:
            return _refusal(error)

    async def _call(self, request: Request) -> Answer:
        """One API call: commanded faults first, then the idempotency key, then the call itself."""
        account = _account(request.headers)
        params = forms.decode(request.body if request.method == "POST" else request.query)
        call = operation_of(request.method, request.path, account, params)
        intent = self.ledger.intents.get(call.identifier or str(params.get("payment_intent", "")))
        behavior = self.behaviors.take(call.name, account, params, intent) or Behavior("none", Match())
        if behavior.fault == "timeout_before":
            await asyncio.sleep(behavior.hold_seconds)
            raise NoAnswer
        if behavior.http_status and not behavior.execute:
            return _commanded(behavior)
        if request.method == "POST":
            answer = await self._once(call, request, behavior)
        else:
            await asyncio.sleep(behavior.delay_seconds)
            answer = Answer(200, dump(call.execute(self.ledger)), {})
        if behavior.fault == "timeout_after":
            await asyncio.sleep(behavior.hold_seconds)
            raise NoAnswer
        return answer

    async def _once(self, call: Operation, request: Request, behavior: Behavior) -> Answer:
        """Execute a change once per idempotency key (https://docs.stripe.com/api/idempotent_requests)."""
        request_id, key = new_id("req", 14), request.headers.get("idempotency-key")
        context = Call(request_id, key, base_url=f"http://{request.headers.get('host', '')}")
        if key is None:
            answer, _ = await self._execute(call, context, behavior)
            return answer
        if not 0 < len(key) <= KEY_MAX_CHARACTERS:
            raise invalid_request("Idempotency keys have 1 to 255 characters.")
        fingerprint = hashlib.sha256(f"{request.path}\n{sorted(_flat(call.params))}".encode()).hexdigest()
        name = f"{call.account}\n{key}"
        kept = self._kept(name, key, fingerprint)
        if kept is not None:
            return kept
        in_flight = self.ledger.answers[name] = StoredAnswer(fingerprint, time.time(), request_id)
        stored = False
        try:
            answer, stored = await self._execute(call, context, behavior)
            in_flight.status, in_flight.body = answer.status, answer.body
            self.ledger.changes += 1
        finally:
            if not stored:
                self.ledger.answers.pop(name, None)
        answer.headers |= {"Idempotency-Key": key, "Original-Request": request_id, "Request-Id": request_id}
        return answer

    def _kept(self, name: str, key: str, fingerprint: str) -> Answer | None:
        """The stored answer of an idempotency key. Raises ``StripeError`` if the key is misused or in flight."""
        answers = self.ledger.answers
        while answers and next(iter(answers.values())).created < time.time() - KEY_LIFETIME_SECONDS:
            answers.popitem(last=False)
        kept = answers.get(name)
        if kept is None:
            return None
        if kept.fingerprint != fingerprint:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request."
            )
            raise StripeError(400, {"type": "idempotency_error", "message": message})
        if kept.body is None:
            message = f"There is currently another in-progress request using this Idempotent Key: {key}."
            error = {"type": "invalid_request_error", "code": "idempotency_key_in_use", "message": message}
            raise StripeError(409, error)
        headers = {"Idempotency-Key": key, "Original-Request": kept.request_id, "Idempotent-Replayed": "true"}
        return Answer(kept.status, kept.body, headers)

    async def _execute(self, operation: Operation, call: Call, behavior: Behavior) -> tuple[Answer, bool]:
        """Do it, and send its events. The bool: whether the idempotency key keeps the answer."""
        await asyncio.sleep(behavior.delay_seconds)
        self.ledger.call = replace(call, decline_code=behavior.decline_code, refund_fate=behavior.refund_fate)
        try:
            answer, stored = Answer(200, dump(operation.execute(self.ledger)), {}), True
        except StripeError as error:
            answer, stored = _refusal(error), error.stored
        finally:
            self.ledger.call = Call()
        if behavior.http_status:
            answer, stored = _commanded(behavior), True
        events = self.ledger.take_unsent()
        for event in events:
            if event.type == "refund.created":
                self._await_fate(self.ledger.refunds[event.object_id], behavior.refund_delay_seconds)
        await self.courier.send(events, behavior.webhooks or Manner())
        return answer, stored

    def _await_fate(self, refund: Refund, delay_seconds: float | None) -> None:
        """Let a refund arrive or fail after a while, where its card or a command says so."""
        fate = fate_of(self.ledger, self.ledger.charges[refund.charge])
        delay = self.refund_delay_seconds if delay_seconds is None else delay_seconds
        if fate is not RefundFate.SUCCEEDS:
            asyncio.get_running_loop().call_later(delay, self._meet_fate, refund, fate)

    def _meet_fate(self, refund: Refund, fate: RefundFate) -> None:
        if fate is RefundFate.FAILS_LATER:
            fail(self.ledger, refund, "lost_or_stolen_card")
        else:
            succeed(self.ledger, refund)
        self._control.send_in_background(self.ledger.take_unsent())

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                if self._state:
                    self._state.load()
                    self._saver = asyncio.create_task(self._save_regularly(self._state))
                self.courier.start()
                for refund in self.ledger.refunds.values():
                    self._await_fate(refund, None)
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
            await asyncio.sleep(SAVE_EVERY_SECONDS)
            state.save()


def create_app(*, state_file: Path | None = None, refund_delay_seconds: float = 1.0) -> StripeServer:
    """The application. Without ``state_file`` it forgets everything when it ends."""
    return StripeServer(state_file=state_file, refund_delay_seconds=refund_delay_seconds)


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
    """Close the connection without an answer; where the host cannot, break off in the middle of one."""
    drop = (scope.get("extensions") or {}).get(DROP_CONNECTION)
    if drop is None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        return
    drop["close"]()
    while (await receive())["type"] != "http.disconnect":
        continue


def _account(headers: dict[str, str]) -> str:
    """The API key of the caller: every key is an account of its own."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    key = value.strip()
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            key = b64decode(key).decode().partition(":")[0]
    if not key:
        raise invalid_request(
            "You did not provide an API key. Send it in the Authorization header: 'Bearer ...'.", status=401
        )
    if not key.startswith(("sk_", "rk_")):
        raise invalid_request(f"Invalid API Key provided: {key[:3]}***", status=401)
    return key


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for part, item in value.items() for pair in _flat(item, f"{name}[{part}]")]
    if isinstance(value, list):
        return [pair for place, item in enumerate(value) for pair in _flat(item, f"{name}[{place}]")]
    return [(name, str(value))]


def _refusal(error: StripeError) -> Answer:
    return Answer(error.status, dump({"error": error.error}), {})


def _commanded(behavior: Behavior) -> Answer:
    answer = _refusal(api_error(behavior.http_status or 500))
    if behavior.retry_after_seconds is not None:
        answer.headers["Retry-After"] = str(behavior.retry_after_seconds)
    return answer
