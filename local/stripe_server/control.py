"""The control surface under ``/_control``: JSON in, JSON out. Not part of Stripe; for demos and tests.

POST   /behaviors                              a command for the next calls (fields: ``behaviors.Behavior``)
GET    /behaviors            DELETE /behaviors[/{id}]
POST   /webhook_endpoints                      {url, secret?, enabled_events?, account?}: with a secret of your choice
GET    /payment_intents?metadata[order_id]=..  each with its charges and refunds
GET    /totals?by=order_id                     counts and sums, in all and per value of a metadata name
GET    /events?type=&intent=   GET /deliveries?state=   POST /events/{id}/resend
POST   /payment_intents/{id}/authenticate      {"succeed": true|false}: the shopper's 3-D Secure
POST   /payment_intents/{id}/expire            the authorization's window closes now
POST   /payment_intents/{id}/dispute           the shopper's bank takes the money back
POST   /refunds/{id}/fail                      {"failure_reason"?}     POST /refunds/{id}/succeed
GET    /three_d_secure/{id}                    a page with both answers, for a browser
POST   /reset                                  forget everything      GET /health
"""

import asyncio
import html
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from local.stripe_server import forms, intents, refunds
from local.stripe_server.behaviors import Behaviors, behavior_json
from local.stripe_server.errors import invalid_request, missing
from local.stripe_server.forms import Params
from local.stripe_server.ledger import Ledger
from local.stripe_server.model import Event, Intent, Refund
from local.stripe_server.objects import Json, charge_json, endpoint_json, intent_json, refund_json
from local.stripe_server.webhooks import Courier, Manner, new_endpoint

_LISTED_MAX: Final = 1000

_PAGE: Final = """<!doctype html><title>3-D Secure</title><h1>Your bank asks</h1><p>Do you pay {amount}?</p>
<button onclick="go(true)">Yes, it is me</button> <button onclick="go(false)">No</button>
<script>
async function go(succeed) {{
  await fetch("/_control/payment_intents/{id}/authenticate", {{method: "POST", body: JSON.stringify({{succeed}})}});
  location.href = {return_url};
}}
</script>"""


class Control:
    """What tests and demos may ask and command."""

    def __init__(self, ledger: Ledger, behaviors: Behaviors, courier: Courier) -> None:
        self._ledger = ledger
        self._behaviors = behaviors
        self._courier = courier
        self._sending: set[asyncio.Task[None]] = set()

    async def handle(self, method: str, path: str, query: bytes, body: bytes) -> tuple[str, str]:
        """Content type and body of the answer. Raises ``StripeError``."""
        parts = path.strip("/").split("/")[1:]
        if method == "GET" and len(parts) == 2 and parts[0] == "three_d_secure":
            return "text/html; charset=utf-8", self._three_d_secure_page(parts[1])
        try:
            given = json.loads(body) if body else {}
        except ValueError:
            raise invalid_request("The control surface takes JSON.") from None
        if not isinstance(given, dict):
            raise invalid_request("The control surface takes a JSON object.")
        answer = self._route(method, parts, forms.decode(query), given)
        self.send_in_background(self._ledger.take_unsent())
        return "application/json", json.dumps(answer)

    def send_in_background(self, events: list[Event]) -> None:
        """Deliver events that no API call is waiting for."""
        task = asyncio.get_running_loop().create_task(self._courier.send(events, Manner()))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _route(self, method: str, parts: list[str], query: Params, given: dict[str, Any]) -> Any:
        reads: dict[str, Callable[[Params], Any]] = {
            "health": lambda _: {"status": "ok"},
            "behaviors": lambda _: [behavior_json(behavior) for behavior in self._behaviors.active.values()],
            "payment_intents": self._intents,
            "totals": self._totals,
            "events": self._events,
            "deliveries": self._deliveries,
        }
        commands: dict[str, Callable[[dict[str, Any]], Any]] = {
            "behaviors": lambda command: behavior_json(self._behaviors.command(command)),
            "webhook_endpoints": self._add_endpoint,
            "reset": lambda _: self._reset(),
        }
        actions: dict[str, Callable[[str, str, dict[str, Any]], Any]] = {
            "events": self._act_on_event,
            "payment_intents": self._act_on_intent,
            "refunds": self._act_on_refund,
        }
        answer: Any = None
        match method, parts:
            case "GET", [name] if name in reads:
                answer = reads[name](query)
            case "POST", [name] if name in commands:
                answer = commands[name](given)
            case "POST", [name, identifier, verb] if name in actions:
                answer = actions[name](identifier, verb, given)
            case "DELETE", ["behaviors", *identifiers]:
                for known in identifiers or list(self._behaviors.active):
                    self._behaviors.active.pop(known, None)
                answer = {}
            case _:
                raise invalid_request(f"No such control: {method} /_control/{'/'.join(parts)}", status=404)
        return answer

    def _act_on_intent(self, identifier: str, verb: str, given: dict[str, Any]) -> Json:
        intent = self._intent(identifier)
        charge = self._ledger.latest_charge(intent)
        if verb == "authenticate":
            intents.authenticate(self._ledger, intent, succeed=bool(given.get("succeed", True)))
        elif verb == "expire":
            if intent.status != "requires_capture":
                raise invalid_request(f"Nothing is held: the intent is {intent.status}.")
            intents.give_up(self._ledger, intent, "expired")
        elif verb == "dispute" and charge is not None and charge.captured:
            charge.disputed = True
            self._ledger.tell_charge("charge.dispute.created", charge)
        else:
            raise invalid_request(f"Cannot {verb} this intent.", status=404)
        return self._whole(intent)

    def _act_on_refund(self, identifier: str, verb: str, given: dict[str, Any]) -> Json:
        refund: Refund | None = self._ledger.refunds.get(identifier)
        if refund is None:
            raise missing("refund", identifier)
        if verb == "fail":
            refunds.fail(self._ledger, refund, str(given.get("failure_reason", "unknown")))
        elif verb == "succeed":
            refunds.succeed(self._ledger, refund)
        else:
            raise invalid_request(f"Cannot {verb} a refund.", status=404)
        return refund_json(refund)

    def _intent(self, identifier: str) -> Intent:
        found = self._ledger.intents.get(identifier)
        if found is None:
            raise missing("payment_intent", identifier)
        return found

    def _whole(self, intent: Intent) -> Json:
        return {
            **intent_json(intent),
            "account": intent.account,
            "charges": [charge_json(self._ledger.charges[identifier]) for identifier in intent.charges],
            "refunds": [refund_json(self._ledger.refunds[identifier]) for identifier in intent.refunds],
        }

    def _chosen(self, query: Params) -> list[Intent]:
        wanted, account = forms.metadata(query), query.get("account")
        return [
            intent
            for intent in self._ledger.intents.values()
            if wanted.items() <= intent.metadata.items() and account in {None, intent.account}
        ]

    def _intents(self, query: Params) -> list[Json]:
        return [self._whole(intent) for intent in self._chosen(query)[-_LISTED_MAX:]]

    def _totals(self, query: Params) -> Json:
        by = forms.text(query, "by")
        chosen = self._chosen(query)
        answer = self._sums(chosen)
        if by:
            groups: defaultdict[str, list[Intent]] = defaultdict(list)
            for intent in chosen:
                groups[intent.metadata.get(by, "")].append(intent)
            answer["by"] = {value: self._sums(group) for value, group in groups.items()}
        return answer

    def _sums(self, chosen: list[Intent]) -> Json:
        charges = [self._ledger.charges[identifier] for intent in chosen for identifier in intent.charges]
        succeeded = [charge for charge in charges if charge.status == "succeeded"]
        given_back = [self._ledger.refunds[identifier] for intent in chosen for identifier in intent.refunds]
        return {
            "payment_intents": len(chosen),
            "charges": len(charges),
            "charges_succeeded": len(succeeded),
            "charges_captured": sum(charge.captured for charge in succeeded),
            "captured": sum(charge.amount_captured for charge in succeeded),
            "held": sum(intent.amount_capturable for intent in chosen),
            "refunded": sum(refund.amount for refund in given_back if refund.status != "failed"),
        }

    def _events(self, query: Params) -> list[Json]:
        event_type, intent = forms.text(query, "type"), forms.text(query, "intent")
        found = [
            {"id": event.id, "type": event.type, "created": event.created, "object": event.object_id,
             "payment_intent": event.intent, "account": event.account}
            for event in self._ledger.events
            if event_type in {None, event.type} and intent in {None, event.intent}
        ]  # fmt: skip
        return found[-_LISTED_MAX:]

    def _deliveries(self, query: Params) -> Json:
        state = forms.text(query, "state")
        known = [*self._courier.finished, *self._courier.pending.values()]
        found = [delivery for delivery in known if state in {None, delivery.state}]
        listed = [{**asdict(delivery), "body": None} for delivery in found[-_LISTED_MAX:]]
        return {"count": len(found), "pending": len(self._courier.pending), "deliveries": listed}

    def _add_endpoint(self, given: dict[str, Any]) -> Json:
        try:
            endpoint = new_endpoint(
                str(given.get("account", "*")),
                str(given["url"]),
                [str(name) for name in given.get("enabled_events", ["*"])],
                secret=given.get("secret"),
            )
        except KeyError:
            raise invalid_request("Missing url.", param="url") from None
        self._ledger.endpoints[endpoint.id] = endpoint
        self._ledger.changes += 1
        return endpoint_json(endpoint, with_secret=True)

    def _act_on_event(self, identifier: str, verb: str, _given: dict[str, Any]) -> Json:
        if verb != "resend":
            raise invalid_request(f"Cannot {verb} an event.", status=404)
        for event in self._ledger.events:
            if event.id == identifier:
                self.send_in_background([event])
                return {"id": event.id, "type": event.type}
        raise missing("event", identifier)

    def _reset(self) -> Json:
        ledger = self._ledger
        self._courier.forget()
        self._courier.finished.clear()
        self._behaviors.active.clear()
        for kept in (ledger.intents, ledger.charges, ledger.refunds, ledger.payment_methods, ledger.endpoints):
            kept.clear()
        ledger.answers.clear()
        ledger.events.clear()
        ledger.changes += 1
        return {}

    def _three_d_secure_page(self, identifier: str) -> str:
        intent = self._intent(identifier)
        amount = html.escape(f"{intent.amount} {intent.currency}")
        return_url = json.dumps(intent.return_url or "/").replace("<", "\\u003c")
        return _PAGE.format(id=intent.id, amount=amount, return_url=return_url)
