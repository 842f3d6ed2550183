"""Adyen's server: API keys as companies, JSON bodies, idempotency keys that ignore the content of a request."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from local.adyen_server import modifications, payments
from local.adyen_server.control import AdyenControl
from local.adyen_server.ledger import Ledger
from local.adyen_server.model import AdyenError, Modification
from local.adyen_server.webhooks import AdyenPost
from local.gateway_server.behaviors import Behavior, Behaviors, Facts
from local.gateway_server.courier import Courier, Manner
from local.gateway_server.model import Event, Json, StoredAnswer
from local.gateway_server.server import Answer, Call, GatewayServer, Once, Request

API_VERSION: Final = "v72"
KEY_MAX_CHARACTERS: Final = 64
_MODIFICATION: Final = re.compile(r"/payments/(?P<id>[A-Z0-9]{16})/(?P<verb>captures|cancels|refunds|reversals)")
_STORED_METHOD: Final = re.compile(r"/storedPaymentMethods/(?P<id>[A-Z0-9]{16})")

_NAMES: Final = {
    "/payments": "payments.create",
    "/payments/details": "payments.details",
    "/cancels": "payments.cancels_by_reference",
}


class AdyenServer(GatewayServer):
    """The whole server, as an ASGI 3 application."""

    KEY_LIFETIME_SECONDS = 31 * 24 * 3600

    def __init__(self, *, state_file: Path | None = None, decision_delay_seconds: float = 1.0) -> None:
        self.ledger = Ledger()
        behaviors, courier = Behaviors(), Courier(self.ledger, AdyenPost())
        super().__init__(self.ledger, behaviors, courier, AdyenControl(self.ledger, behaviors, courier), state_file)
        self.decision_delay_seconds = decision_delay_seconds
        self._begun: list[Modification] = []
        """The modifications that the call being executed has begun."""

    def understand(self, request: Request) -> Call:
        """Return the operation on a company's payments that a request means."""
        account = request.headers.get("x-api-key", "")
        if not account.startswith("AQE"):
            raise AdyenError("000", "HTTP Status Response - Unauthorized", status=401, kind="security")
        path = request.path.removeprefix(f"/{API_VERSION}")
        forgotten = _STORED_METHOD.fullmatch(path)
        if request.method == "DELETE" and forgotten and path != request.path:
            return self._forget(account, forgotten["id"], dict(parse_qsl(request.query.decode())))
        if request.method != "POST" or path == request.path:
            raise AdyenError("000", "Not found", status=404)
        body = _json_body(request)
        modified = _MODIFICATION.fullmatch(path)
        identifier, verb = (modified["id"], modified["verb"]) if modified else ("", path.strip("/"))
        name = _NAMES.get(path, f"payments.{verb}")
        execute = self._operations(account, identifier, verb, body, request).get(name)
        if execute is None:
            raise AdyenError("000", "Not found", status=404)
        return Call(self._facts(name, account, identifier, body), execute, _once(request, account))

    def render(self, body: Json) -> str:
        """Return plain JSON."""
        return json.dumps(body)

    def commanded(self, status: int) -> Json:
        """Return Adyen's error for an internal failure, or for too many requests."""
        kind = "internal" if status >= 500 else "validation"
        return AdyenError("905", "Payment details are not supported", status=status, kind=kind).body

    def key_in_flight(self, once: Once) -> AdyenError:
        """Return the error for a key whose first request is still being executed."""
        return AdyenError("704", f"request already processed or in progress: {once.key}")

    def key_misused(self, once: Once) -> AdyenError:
        """Never called: a key is not tied to the content of its request."""
        return self.key_in_flight(once)

    def headers_of(self, call: Call, replayed: StoredAnswer | None) -> dict[str, str]:
        """Echo the idempotency key."""
        return {"Idempotency-Key": call.once.key} if call.once else {}

    def follow_up(self, events: Sequence[Event], behavior: Behavior) -> None:
        """Decide modifications later, and let payments that take their time arrive."""
        begun, self._begun = self._begun, []
        for change in begun:
            self._await_decision(change, behavior)

    def resume(self) -> None:
        """Go on with modifications that were on their way."""
        for change in self.ledger.modifications.values():
            if change.status == "received":
                self._await_decision(change, None)

    def _operations(
        self, account: str, identifier: str, verb: str, body: Json, request: Request
    ) -> dict[str, Callable[[Behavior], Answer]]:
        ledger, host = self.ledger, request.headers.get("host", "")

        def modify(_: Behavior) -> Answer:
            return self._begin(modifications.begin(ledger, account, identifier, verb, body))

        return {
            "payments.create": lambda behavior: self._create(account, body, host, behavior),
            "payments.details": lambda _: Answer(200, json.dumps(payments.details(ledger, account, body))),
            "payments.cancels_by_reference": lambda _: self._begin(
                modifications.begin_by_reference(ledger, account, body)
            ),
            **({f"payments.{verb}": modify} if identifier else {}),
        }

    def _create(self, account: str, body: Json, host: str, behavior: Behavior) -> Answer:
        commanded = (behavior.decline_code, behavior.refund_fate)
        return Answer(200, json.dumps(payments.create(self.ledger, account, body, f"http://{host}", commanded)))

    def _forget(self, account: str, identifier: str, query: dict[str, str]) -> Call:
        def execute(_: Behavior) -> Answer:
            payments.forget(self.ledger, account, identifier, query)
            return Answer(204, "")

        return Call(Facts("stored_payment_methods.delete", account), execute, None)

    def _begin(self, answer: Json) -> Answer:
        change = self.ledger.modifications.get(answer["pspReference"])
        if change is not None:
            self._begun.append(change)
        return Answer(201, json.dumps(answer))

    def _facts(self, name: str, account: str, identifier: str, body: Json) -> Facts:
        payment = self.ledger.payments.get(identifier)
        method, own = body.get("paymentMethod"), body.get("metadata")
        tokens = {payment and payment.token}
        if isinstance(method, dict):
            tokens |= {str(method.get(field)) for field in ("holderName", "storedPaymentMethodId") if field in method}
        return Facts(
            name,
            account,
            tokens=frozenset(token for token in tokens if token),
            metadata={**(payment.metadata if payment else {}), **(own if isinstance(own, dict) else {})},
            payment=payment.id if payment else None,
        )

    def _await_decision(self, change: Modification, behavior: Behavior | None) -> None:
        """Decide a modification after a delay, and undo a refund where a command says so."""
        fate = self.ledger.payments[change.payment].refund_fate or (behavior and behavior.refund_fate)
        delay, manner = self.decision_delay_seconds, None
        if behavior is not None:
            # What is decided later cannot be delivered before the answer.
            manner = replace(behavior.webhooks or Manner(), before_answer=False)
            delay = delay if behavior.refund_delay_seconds is None else behavior.refund_delay_seconds
        if change.kind == "refund" and fate == "pending_first":
            return
        refusal = (behavior and behavior.decline_code) or ""
        self.later(delay, lambda: modifications.decide(self.ledger, change, refusal), manner)
        if change.kind == "refund" and fate == "fails_later":
            self.later(2 * delay, lambda: modifications.undo_refund(self.ledger, change, "REFUND_FAILED"), manner)


def create_app(state_file: Path | None = None, decision_delay_seconds: float = 1.0) -> AdyenServer:
    """Return the application. Without ``state_file`` it forgets everything when it ends."""
    return AdyenServer(state_file=state_file, decision_delay_seconds=decision_delay_seconds)


def _once(request: Request, account: str) -> Once | None:
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 0 < len(key) <= KEY_MAX_CHARACTERS:
        raise AdyenError("000", "Idempotency keys have 1 to 64 characters.", status=400)
    return Once(account, key, "")


def _json_body(request: Request) -> Json:
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise AdyenError("702", "Structure of the request is not JSON.", status=400)
    return body
