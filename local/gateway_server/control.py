"""The control surface under ``/_control``: JSON in, JSON out. Not part of any vendor's API; for demos and tests.

POST   /behaviors                          a command for the next calls (fields: ``behaviors.Behavior``)
GET    /behaviors        DELETE /behaviors[/{id}]
POST   /webhook_endpoints                  {url, secret?, enabled_events?, account?, metadata?}
DELETE /webhook_endpoints/{id}
GET    /{payments}?metadata[order_id]=..   each with all that belongs to it
GET    /totals?by=order_id                 counts and sums, in total and per value of a metadata name
GET    /events?type=&payment=    GET /deliveries?state=    POST /events/{id}/resend
POST   /{payments}/{id}/{verb}   POST /refunds/{id}/{verb}   what the shopper, the bank or time does
POST   /reset                              forget everything      GET /health
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Final, Generic, TypeVar
from urllib.parse import parse_qsl

from local.gateway_server.behaviors import Behaviors, behavior_json
from local.gateway_server.courier import Courier, Manner, new_endpoint
from local.gateway_server.ledger import Ledger
from local.gateway_server.model import Event, Json, Payment, misunderstood

LISTED_MAX: Final = 1000

SomePayment = TypeVar("SomePayment", bound=Payment)
Query = dict[str, str]


class Control(ABC, Generic[SomePayment]):
    """What tests and demos may ask a server and command it to do."""

    PAYMENTS: ClassVar[str] = "payments"
    """The vendor's word for payments, in paths and sums."""

    def __init__(self, ledger: Ledger, behaviors: Behaviors, courier: Courier) -> None:
        self._memory = ledger
        self._behaviors = behaviors
        self._courier = courier
        self._sending: set[asyncio.Task[None]] = set()

    @abstractmethod
    def payments(self) -> Sequence[SomePayment]:
        """Return all payments, oldest first."""

    @abstractmethod
    def whole(self, payment: SomePayment) -> Json:
        """Return a payment with everything that belongs to it."""

    @abstractmethod
    def sums(self, chosen: Sequence[SomePayment]) -> Json:
        """Return what was charged, held and refunded, in the vendor's units."""

    @abstractmethod
    def act_on_payment(self, payment: SomePayment, verb: str, given: Json) -> Json:
        """Do to a payment what the shopper, the bank or time does. Raises ``Refusal``."""

    @abstractmethod
    def act_on_refund(self, identifier: str, verb: str, given: Json) -> Json:
        """Do to a refund what the bank does. Raises ``Refusal``."""

    @abstractmethod
    def new_secret(self) -> str:
        """Return a new key for a webhook endpoint."""

    def page(self, parts: list[str]) -> str | None:
        """Return HTML for a browser, if the address is that of a page."""
        return None

    def more_commands(self) -> dict[str, Callable[[Json], Any]]:
        """Return the commands that only this vendor has."""
        return {}

    async def handle(self, method: str, path: str, query: bytes, body: bytes) -> tuple[str, str]:
        """Handle a request. Return the content type and body of the answer. Raises ``Refusal``."""
        parts = path.strip("/").split("/")[1:]
        page = self.page(parts) if method == "GET" else None
        if page is not None:
            return "text/html; charset=utf-8", page
        try:
            given = json.loads(body) if body else {}
        except ValueError:
            raise misunderstood("The control surface takes JSON.") from None
        if not isinstance(given, dict):
            raise misunderstood("The control surface takes a JSON object.")
        answer = self._route(method, parts, dict(parse_qsl(query.decode())), given)
        self.send_in_background(self._memory.take_unsent())
        return "application/json", json.dumps(answer)

    def send_in_background(self, events: list[Event], manner: Manner | None = None) -> None:
        """Deliver events that no API call is waiting for."""
        task = asyncio.get_running_loop().create_task(self._courier.send(events, manner or Manner()))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _route(self, method: str, parts: list[str], query: Query, given: Json) -> Any:
        reads: dict[str, Callable[[Query], Any]] = {
            "health": lambda _: {"status": "ok"},
            "behaviors": lambda _: [behavior_json(behavior) for behavior in self._behaviors.active.values()],
            self.PAYMENTS: lambda query: [self.whole(payment) for payment in self._chosen(query)[-LISTED_MAX:]],
            "webhook_endpoints": lambda _: [asdict(endpoint) for endpoint in self._memory.endpoints.values()],
            "totals": self._totals,
            "events": self._events,
            "deliveries": self._deliveries,
        }
        commands: dict[str, Callable[[Json], Any]] = {
            "behaviors": lambda command: behavior_json(self._behaviors.command(command)),
            "webhook_endpoints": self._add_endpoint,
            "reset": lambda _: self._reset(),
            **self.more_commands(),
        }
        actions: dict[str, Callable[[str, str, Json], Any]] = {
            "events": self._act_on_event,
            self.PAYMENTS: lambda identifier, verb, given: self.act_on_payment(self._payment(identifier), verb, given),
            "refunds": self.act_on_refund,
        }
        answer: Any = None
        match method, parts:
            case "GET", [name] if name in reads:
                answer = reads[name](query)
            case "POST", [name] if name in commands:
                answer = commands[name](given)
            case "POST", [name, identifier, verb] if name in actions:
                answer = actions[name](identifier, verb, given)
            case "DELETE", ["webhook_endpoints", identifier]:
                self._memory.endpoints.pop(identifier, None)
                answer = {}
            case "DELETE", ["behaviors", *identifiers]:
                for known in identifiers or list(self._behaviors.active):
                    self._behaviors.active.pop(known, None)
                answer = {}
            case _:
                raise misunderstood(f"No such control: {method} /_control/{'/'.join(parts)}", status=404)
        return answer

    def _payment(self, identifier: str) -> SomePayment:
        for payment in self.payments():
            if payment.id == identifier:
                return payment
        raise misunderstood(f"No such payment: {identifier}", status=404)

    def _chosen(self, query: Query) -> list[SomePayment]:
        wanted = {name[9:-1]: value for name, value in query.items() if name.startswith("metadata[")}
        account = query.get("account")
        return [
            payment
            for payment in self.payments()
            if wanted.items() <= payment.metadata.items() and account in {None, payment.account}
        ]

    def _totals(self, query: Query) -> Json:
        by = query.get("by")
        chosen = self._chosen(query)
        answer = {self.PAYMENTS: len(chosen), **self.sums(chosen)}
        if by:
            groups: defaultdict[str, list[SomePayment]] = defaultdict(list)
            for payment in chosen:
                groups[payment.metadata.get(by, "")].append(payment)
            answer["by"] = {value: {self.PAYMENTS: len(group), **self.sums(group)} for value, group in groups.items()}
        return answer

    def _events(self, query: Query) -> list[Json]:
        event_type, payment = query.get("type"), query.get("payment")
        found = [
            {"id": event.id, "type": event.type, "created": event.created, "object": event.object_id,
             "payment": event.payment, "account": event.account}
            for event in self._memory.events
            if event_type in {None, event.type} and payment in {None, event.payment}
        ]  # fmt: skip
        return found[-LISTED_MAX:]

    def _deliveries(self, query: Query) -> Json:
        state = query.get("state")
        known = [*self._courier.finished, *self._courier.pending.values()]
        found = [delivery for delivery in known if state in {None, delivery.state}]
        listed = [{**asdict(delivery), "body": None} for delivery in found[-LISTED_MAX:]]
        return {"count": len(found), "pending": len(self._courier.pending), "deliveries": listed}

    def _add_endpoint(self, given: Json) -> Json:
        url = given.get("url")
        if not isinstance(url, str):
            raise misunderstood("Missing url.")
        endpoint = new_endpoint(
            str(given.get("account", "*")),
            url,
            [str(name) for name in given.get("enabled_events", ["*"])],
            secret=str(given.get("secret") or self.new_secret()),
            metadata={str(name): str(value) for name, value in given.get("metadata", {}).items()},
        )
        self._memory.endpoints[endpoint.id] = endpoint
        self._memory.changes += 1
        return asdict(endpoint)

    def _act_on_event(self, identifier: str, verb: str, _given: Json) -> Json:
        if verb != "resend":
            raise misunderstood(f"Cannot {verb} an event.", status=404)
        for event in self._memory.events:
            if event.id == identifier:
                self.send_in_background([event])
                return {"id": event.id, "type": event.type}
        raise misunderstood(f"No such event: {identifier}", status=404)

    def _reset(self) -> Json:
        self._courier.forget()
        self._courier.finished.clear()
        self._behaviors.active.clear()
        self._memory.forget()
        return {}
