"""PayPal's server: clients as accounts, access tokens, JSON, request ids that are answered with the latest state."""

import json
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from local.gateway_server.behaviors import Behavior, Behaviors, Facts
from local.gateway_server.courier import Courier
from local.gateway_server.model import Event, Json, Refusal, random_text
from local.gateway_server.server import Answer, Call, GatewayServer, Once, Request, bearer_of
from local.paypal_server import payments
from local.paypal_server.certificates import new_signer
from local.paypal_server.control import PayPalControl
from local.paypal_server.errors import invalid, missing, problem, unauthorized, unknown_client
from local.paypal_server.instruments import RefundFate
from local.paypal_server.ledger import PayPalLedger, dump
from local.paypal_server.model import Refund
from local.paypal_server.routes import Operation, latest, name_of, order_of
from local.paypal_server.webhooks import PayPalPost

REQUEST_ID_MAX_CHARACTERS: Final = 108
TOKEN_LIFETIME_SECONDS: Final = 32_400
_CERTIFICATES: Final = "/v1/notifications/certs/"
_SINGLE_STEP: Final = ("card", "token")


class PayPalServer(GatewayServer):
    """The whole server, as an ASGI 3 application."""

    KEY_LIFETIME_SECONDS = 6 * 3600
    """What PayPal promises for orders. It keeps the request ids of captures and refunds for 45 days."""

    def __init__(self, *, state_file: Path | None = None, refund_delay_seconds: float = 1.0) -> None:
        self.ledger = PayPalLedger()
        self.refund_delay_seconds = refund_delay_seconds
        behaviors, courier = Behaviors(), Courier(self.ledger, PayPalPost(self.ledger))
        super().__init__(self.ledger, behaviors, courier, PayPalControl(self.ledger, behaviors, courier), state_file)

    def understand(self, request: Request) -> Call:
        """Return the call that a request means: for access, for a certificate, or an operation of an account."""
        self._note_address(request)
        if request.path == "/v1/oauth2/token":
            return Call(Facts("oauth2.token", ""), lambda _: self._give_access(request))
        if request.path.startswith(_CERTIFICATES) and request.method == "GET":
            return Call(Facts("certificates.retrieve", ""), lambda _: self._certificate(request.path))
        account = self.ledger.access.get(bearer_of(request.headers))
        if account is None:
            raise unauthorized()
        name, identifier = name_of(request.method, request.path)
        given = _json_of(request)
        whole = request.headers.get("prefer") == "return=representation" or request.method == "GET"
        once = self._once_of(request, account, name, given)
        call = Call(self._facts(name, account, identifier, given), lambda _: Answer(200, ""), once)

        def execute(behavior: Behavior) -> Answer:
            status, body = Operation(name, account, identifier, given, whole, behavior).execute(self.ledger)
            return Answer(status, dump(body) if body else "")

        kept = self.ledger.answers.get(once.name) if once else None
        if kept is not None and kept.body:
            # PayPal answers a request id that it knows with the present state of what the request created.
            now = latest(self.ledger, json.loads(kept.body), whole=whole)
            if now is not None:
                return Call(call.facts, lambda _: Answer(200, dump(now)))
        call.execute = execute
        return call

    def render(self, body: Json) -> str:
        """Return JSON without spaces."""
        return dump(body)

    def commanded(self, status: int) -> Json:
        """Return PayPal's error for an internal failure, or for too many requests."""
        return problem(status)

    def key_in_flight(self, once: Once) -> Refusal:
        """Return a 409."""
        description = "A previous request on this resource is currently in progress. Please wait for some time."
        return Refusal(409, problem(409, "PREVIOUS_REQUEST_IN_PROGRESS", description))

    def key_misused(self, once: Once) -> Refusal:
        """Never called: PayPal does not compare the content of a request whose id it knows."""
        raise NotImplementedError(once.key)

    def follow_up(self, events: Sequence[Event], behavior: Behavior) -> None:
        """Let refunds meet their fate."""
        for event in events:
            refund = self.ledger.refunds.get(event.object_id)
            if refund is not None and event.type in ("PAYMENT.CAPTURE.REFUNDED", "PAYMENT.REFUND.PENDING"):
                self._await_fate(refund, behavior.refund_delay_seconds)

    def resume(self) -> None:
        """Create a certificate to sign with if there is none, and go on with refunds that were on their way."""
        if not self.ledger.signers:
            signer = new_signer()
            self.ledger.signers[signer.id] = signer
        for refund in self.ledger.refunds.values():
            self._await_fate(refund, None)

    def _await_fate(self, refund: Refund, delay_seconds: float | None) -> None:
        """Let a refund arrive or fail after a delay, where its instrument or a command says so."""
        fate = payments.fate_of(self.ledger, self.ledger.captures[refund.capture])
        delay = self.refund_delay_seconds if delay_seconds is None else delay_seconds
        if fate is RefundFate.FAILS_LATER:
            self.later(delay, lambda: payments.fail_refund(self.ledger, refund))
        elif fate is RefundFate.PENDING_FIRST:
            self.later(delay, lambda: payments.succeed_refund(self.ledger, refund))

    def _note_address(self, request: Request) -> None:
        self.ledger.base_url = f"http://{request.headers.get('host', '')}"
        for signer in self.ledger.signers.values():
            signer.base_url = self.ledger.base_url

    def _give_access(self, request: Request) -> Answer:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        try:
            client, _, secret = b64decode(value, validate=True).decode().partition(":")
        except ValueError:
            client, secret = "", ""
        if scheme.lower() != "basic" or not client or not secret or secret.startswith("wrong"):
            raise unknown_client()
        if dict(parse_qsl(request.body.decode("latin-1"))).get("grant_type") != "client_credentials":
            description = "Grant Type is NULL or not supported"
            raise Refusal(400, {"error": "unsupported_grant_type", "error_description": description})
        token = f"A21AA{random_text(92)}"
        self.ledger.access[token] = client
        told = {
            "scope": "https://uri.paypal.com/services/payments/payment https://uri.paypal.com/services/payments/refund",
            "access_token": token,
            "token_type": "Bearer",
            "app_id": "APP-80W284485P519543T",
            "expires_in": TOKEN_LIFETIME_SECONDS,
            "nonce": random_text(24),
        }
        return Answer(200, dump(told))

    def _certificate(self, path: str) -> Answer:
        signer = self.ledger.signers.get(path.removeprefix(_CERTIFICATES))
        if signer is None:
            raise missing()
        return Answer(200, signer.chain, content_type="application/x-pem-file")

    def _once_of(self, request: Request, account: str, name: str, given: Any) -> Once | None:
        """Return the request id, which single-step orders must have. An id counts for one address only."""
        key = request.headers.get("paypal-request-id") if request.method == "POST" else None
        if key is None:
            source = given.get("payment_source") if isinstance(given, dict) else None
            saved = isinstance(source, dict) and any(
                kind in _SINGLE_STEP or "vault_id" in details for kind, details in source.items()
            )
            if name == "orders.create" and saved:
                raise invalid("PAYPAL_REQUEST_ID_REQUIRED", "A PayPal-Request-Id is required.", "PayPal-Request-Id")
            return None
        if not 0 < len(key) <= REQUEST_ID_MAX_CHARACTERS:
            raise invalid("INVALID_STRING_LENGTH", "The value is either too short or too long.", "PayPal-Request-Id")
        return Once(account, f"{request.path}\n{key}", request.path)

    def _facts(self, name: str, account: str, identifier: str, given: Any) -> Facts:
        order = order_of(self.ledger, name, identifier)
        tokens = {order.instrument} if order and order.instrument else set()
        metadata = dict(order.metadata) if order else {}
        if name == "orders.create" and isinstance(given, dict):
            units, source = given.get("purchase_units"), given.get("payment_source")
            unit = units[0] if isinstance(units, list) and units and isinstance(units[0], dict) else {}
            metadata = {key: str(unit[key]) for key in ("custom_id", "invoice_id") if key in unit}
            details = list(source.values()) if isinstance(source, dict) else []
            tokens = {str(one["vault_id"]) for one in details if isinstance(one, dict) and "vault_id" in one}
        payment = order.id if order else None
        return Facts(name, account, tokens=frozenset(tokens), metadata=metadata, payment=payment)


def create_app(state_file: Path | None = None, refund_delay_seconds: float = 1.0) -> PayPalServer:
    """Return the application. Without ``state_file`` it forgets everything when it ends."""
    return PayPalServer(state_file=state_file, refund_delay_seconds=refund_delay_seconds)


def _json_of(request: Request) -> Any:
    if not request.body:
        return None
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refusal(415, problem(415, "INVALID_CONTENT_TYPE", "The request's content type is not supported."))
    try:
        return json.loads(request.body)
    except ValueError:
        raise invalid("MALFORMED_REQUEST_JSON", "The request JSON is not well formed.", "/") from None
