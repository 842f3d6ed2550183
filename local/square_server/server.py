"""Square's server: access tokens as sellers, JSON bodies that carry the idempotency keys."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote

from local.gateway_server.behaviors import Behavior, Behaviors, Facts
from local.gateway_server.courier import Courier
from local.gateway_server.model import Event, Json
from local.gateway_server.server import Answer, Call, GatewayServer, Once, Request, bearer_of
from local.square_server import customers, payments, refunds
from local.square_server.control import SquareControl
from local.square_server.ledger import Ledger
from local.square_server.model import Payment, Refund, SquareError
from local.square_server.objects import payment_json
from local.square_server.payments import text
from local.square_server.webhooks import SquarePost

_ADDRESS: Final = re.compile(
    r"/v2/(?P<resource>payments|refunds|customers|cards)(?:/(?P<id>[^/]+))?(?:/(?P<verb>complete|cancel|disable))?"
)
_VERBS: Final = {
    ("POST", False, None): "create",
    ("GET", False, None): "list",
    ("GET", True, None): "retrieve",
    ("PUT", True, None): "update",
    ("POST", True, "complete"): "complete",
    ("POST", True, "cancel"): "cancel",
    ("POST", True, "disable"): "disable",
}
_KEYED: Final = frozenset(("payments.create", "payments.update", "refunds.create", "customers.create", "cards.create"))


class SquareServer(GatewayServer):
    """The whole server, as an ASGI 3 application."""

    def __init__(self, *, state_file: Path | None = None, refund_delay_seconds: float = 1.0) -> None:
        self.ledger = Ledger()
        behaviors, courier = Behaviors(), Courier(self.ledger, SquarePost())
        super().__init__(self.ledger, behaviors, courier, SquareControl(self.ledger, behaviors, courier), state_file)
        self.refund_delay_seconds = refund_delay_seconds

    def understand(self, request: Request) -> Call:
        """Return the operation on a seller's objects that a request means."""
        account = bearer_of(request.headers)
        if not account.startswith("EAAA"):
            detail = "This request could not be authorized."
            raise SquareError("UNAUTHORIZED", detail, category="AUTHENTICATION_ERROR", status=401)
        matched = _ADDRESS.fullmatch(request.path)
        name, identifier = "", ""
        if matched:
            identifier = matched["id"] or ""
            name = f"{matched['resource']}.{_VERBS.get((request.method, bool(identifier), matched['verb']))}"
        if (request.method, request.path) == ("POST", "/v2/payments/cancel"):
            name, identifier = "payments.cancel_by_key", ""
        body = _json_body(request)
        operations = self._operations(account, identifier, body, dict(parse_qsl(request.query.decode())))
        if name not in operations:
            raise SquareError("NOT_FOUND", "Resource not found.", status=404)
        once = None
        if name in _KEYED:
            fingerprint = hashlib.sha256(json.dumps([request.path, body], sort_keys=True).encode()).hexdigest()
            once = Once(f"{account}\n{name}", text(body, "idempotency_key", 1, 45), fingerprint)
        execute = operations[name]
        facts = self._facts(name, account, identifier, body)
        return Call(facts, lambda behavior: Answer(200, json.dumps(execute(behavior))), once)

    def render(self, body: Json) -> str:
        """Return plain JSON."""
        return json.dumps(body)

    def commanded(self, status: int) -> Json:
        """Return Square's error for an internal failure, or for too many requests."""
        if status == 429:
            return SquareError("RATE_LIMITED", "Too many requests.", category="RATE_LIMIT_ERROR").body
        return SquareError("INTERNAL_SERVER_ERROR", "An internal error has occurred.", category="API_ERROR").body

    def key_in_flight(self, once: Once) -> SquareError:
        """Return the error for a key whose first request is still being executed."""
        return SquareError("CONFLICT", f"A request with the key {once.key} is in progress.", status=409)

    def key_misused(self, once: Once) -> SquareError:
        """Return the error for a key that was used with other content
        (https://developer.squareup.com/docs/build-basics/common-api-patterns/idempotency)."""
        detail = f"The idempotency key {once.key} can only be retried with the same request data."
        return SquareError("IDEMPOTENCY_KEY_REUSED", detail, field="idempotency_key")

    def follow_up(self, events: Sequence[Event], behavior: Behavior) -> None:
        """Let refunds meet their fate."""
        for event in events:
            if event.type == "refund.created":
                self._await_fate(self.ledger.refunds[event.object_id], behavior)

    def resume(self) -> None:
        """Go on with refunds that were on their way."""
        for refund in self.ledger.refunds.values():
            self._await_fate(refund, None)

    def _operations(
        self, account: str, identifier: str, body: Json, query: dict[str, str]
    ) -> dict[str, Callable[[Behavior], Json]]:
        ledger = self.ledger

        def payment() -> Payment:
            return ledger.payment(account, identifier)

        return {
            "payments.create": lambda behavior: payments.create(
                ledger, account, body, decline_code=behavior.decline_code, refund_fate=behavior.refund_fate
            ),
            "payments.list": lambda _: payments.list_all(ledger, account, query),
            "payments.retrieve": lambda _: {"payment": payment_json(payment())},
            "payments.update": lambda _: payments.update(ledger, payment(), body),
            "payments.complete": lambda _: payments.complete(ledger, payment(), body),
            "payments.cancel": lambda _: payments.cancel(ledger, payment()),
            "payments.cancel_by_key": lambda _: payments.cancel_by_key(ledger, account, body),
            "customers.create": lambda _: customers.create_customer(ledger, account, body),
            "cards.create": lambda _: customers.create_card(ledger, account, body),
            "cards.disable": lambda _: customers.disable_card(ledger, account, unquote(identifier)),
            "refunds.create": lambda _: refunds.create(ledger, account, body),
            "refunds.retrieve": lambda _: {"refund": ledger.render_refund(ledger.refund(account, identifier))},
        }

    def _facts(self, name: str, account: str, identifier: str, body: Json) -> Facts:
        payment = self.ledger.payments.get(identifier or str(body.get("payment_id", "")))
        tokens = {body.get("source_id"), payment and payment.source_id}
        own = {name: body[name] for name in ("reference_id", "note") if isinstance(body.get(name), str)}
        return Facts(
            name,
            account,
            tokens=frozenset(token for token in tokens if isinstance(token, str)),
            metadata={**(payment.metadata if payment else {}), **own},
            payment=payment.id if payment else None,
        )

    def _await_fate(self, refund: Refund, behavior: Behavior | None) -> None:
        """Complete a refund after a delay, or let it fail, then or later, where a command says so."""
        fate = self.ledger.payments[refund.payment].refund_fate or (behavior and behavior.refund_fate)
        delay, manner = self.refund_delay_seconds, None
        if behavior is not None:
            manner = behavior.webhooks
            delay = delay if behavior.refund_delay_seconds is None else behavior.refund_delay_seconds
        if fate == "fails_later":
            self.later(delay, lambda: refunds.fail(self.ledger, refund), manner)
        elif fate != "pending_first":
            self.later(delay, lambda: refunds.succeed(self.ledger, refund), manner)


def create_app(state_file: Path | None = None, refund_delay_seconds: float = 1.0) -> SquareServer:
    """Return the application. Without ``state_file`` it forgets everything when it ends."""
    return SquareServer(state_file=state_file, refund_delay_seconds=refund_delay_seconds)


def _json_body(request: Request) -> Json:
    if request.method == "GET" or not request.body:
        return {}
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise SquareError("EXPECTED_JSON_BODY", "Expected a JSON object in the request body.")
    return body
