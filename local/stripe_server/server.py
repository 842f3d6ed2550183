"""Stripe's server: keys as accounts, form-encoded parameters, idempotency keys that compare parameters."""

import contextlib
import hashlib
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from local.gateway_server.behaviors import Behavior, Behaviors, Facts
from local.gateway_server.courier import Courier
from local.gateway_server.model import Event, Json, StoredAnswer
from local.gateway_server.server import Answer, GatewayServer, Once, Request
from local.gateway_server.server import Call as Understood
from local.stripe_server import forms
from local.stripe_server.cards import RefundFate
from local.stripe_server.control import StripeControl
from local.stripe_server.errors import StripeError, api_error, invalid_request
from local.stripe_server.forms import Params
from local.stripe_server.ledger import Call, Ledger, dump
from local.stripe_server.model import Refund
from local.stripe_server.refunds import fail, fate_of, succeed
from local.stripe_server.routes import Operation, operation_of
from local.stripe_server.webhooks import StripePost

KEY_MAX_CHARACTERS: Final = 255


class StripeServer(GatewayServer):
    """The whole server, as an ASGI 3 application."""

    def __init__(self, *, state_file: Path | None = None, refund_delay_seconds: float = 1.0) -> None:
        self.ledger = Ledger()
        behaviors, courier = Behaviors(), Courier(self.ledger, StripePost())
        super().__init__(self.ledger, behaviors, courier, StripeControl(self.ledger, behaviors, courier), state_file)
        self.refund_delay_seconds = refund_delay_seconds

    def understand(self, request: Request) -> Understood:
        """Return the operation on an account's objects that a request means."""
        account = _account(request.headers)
        params = forms.decode(request.body if request.method == "POST" else request.query)
        operation = operation_of(request.method, request.path, account, params)
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        if key is not None and not 0 < len(key) <= KEY_MAX_CHARACTERS:
            raise invalid_request("Idempotency keys have 1 to 255 characters.")
        fingerprint = hashlib.sha256(f"{request.path}\n{sorted(_flat(params))}".encode()).hexdigest()

        def execute(behavior: Behavior) -> Answer:
            self.ledger.call = Call(
                call.request_id,
                key,
                decline_code=behavior.decline_code,
                refund_fate=behavior.refund_fate,
                base_url=f"http://{request.headers.get('host', '')}",
            )
            try:
                return Answer(200, dump(operation.execute(self.ledger)))
            finally:
                self.ledger.call = Call()

        once = Once(account, key, fingerprint) if key is not None else None
        call = Understood(self._facts(operation), execute, once)
        return call

    def render(self, body: Json) -> str:
        """Return JSON with line breaks."""
        return dump(body)

    def commanded(self, status: int) -> Json:
        """Return Stripe's error for an internal failure, or for too many requests."""
        return api_error(status).body

    def key_in_flight(self, once: Once) -> StripeError:
        """Return the 409 of https://docs.stripe.com/error-low-level."""
        message = f"There is currently another in-progress request using this Idempotent Key: {once.key}."
        error = {"type": "invalid_request_error", "code": "idempotency_key_in_use", "message": message}
        return StripeError(409, error)

    def key_misused(self, once: Once) -> StripeError:
        """Return the error for a key that was used with other parameters
        (https://docs.stripe.com/api/idempotent_requests)."""
        message = (
            "Keys for idempotent requests can only be used with the same parameters they were first used with. "
            f"Try using a key other than '{once.key}' if you meant to execute a different request."
        )
        return StripeError(400, {"type": "idempotency_error", "message": message})

    def headers_of(self, call: Understood, replayed: StoredAnswer | None) -> dict[str, str]:
        """Return which request was executed, and whether this answer is only a replay of it."""
        key = call.once.key if call.once else ""
        if replayed is None:
            return {"Idempotency-Key": key, "Original-Request": call.request_id, "Request-Id": call.request_id}
        return {"Idempotency-Key": key, "Original-Request": replayed.request_id, "Idempotent-Replayed": "true"}

    def follow_up(self, events: Sequence[Event], behavior: Behavior) -> None:
        """Let refunds meet their fate."""
        for event in events:
            if event.type == "refund.created":
                self._await_fate(self.ledger.refunds[event.object_id], behavior.refund_delay_seconds)

    def resume(self) -> None:
        """Go on with refunds that were on their way."""
        for refund in self.ledger.refunds.values():
            self._await_fate(refund, None)

    def _facts(self, operation: Operation) -> Facts:
        params: Params = operation.params
        intent = self.ledger.intents.get(operation.identifier or str(params.get("payment_intent", "")))
        own = params.get("metadata")
        tokens = {params.get("payment_method"), intent and intent.card_token}
        return Facts(
            operation.name,
            operation.account,
            tokens=frozenset(token for token in tokens if isinstance(token, str)),
            metadata={**(intent.metadata if intent else {}), **(own if isinstance(own, dict) else {})},
            payment=intent.id if intent else None,
        )

    def _await_fate(self, refund: Refund, delay_seconds: float | None) -> None:
        """Let a refund arrive or fail after a delay, where its card or a command says so."""
        fate = fate_of(self.ledger, self.ledger.charges[refund.charge])
        delay = self.refund_delay_seconds if delay_seconds is None else delay_seconds
        if fate is RefundFate.FAILS_LATER:
            self.later(delay, lambda: fail(self.ledger, refund, "lost_or_stolen_card"))
        elif fate is not RefundFate.SUCCEEDS:
            self.later(delay, lambda: succeed(self.ledger, refund))


def create_app(state_file: Path | None = None, refund_delay_seconds: float = 1.0) -> StripeServer:
    """Return the application. Without ``state_file`` it forgets everything when it ends."""
    return StripeServer(state_file=state_file, refund_delay_seconds=refund_delay_seconds)


def _account(headers: dict[str, str]) -> str:
    """Return the API key of the caller. Every key is an account of its own."""
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
