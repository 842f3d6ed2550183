"""The server's memory of Stripe's objects, and how an event about one is recorded."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from local.gateway_server.ledger import Ledger as Memory
from local.gateway_server.model import Endpoint, Event, Json
from local.stripe_server.errors import missing
from local.stripe_server.model import Charge, Customer, Intent, PaymentMethod, Refund
from local.stripe_server.objects import (
    charge_json,
    dispute_json,
    event_json,
    intent_json,
    payment_method_json,
    refund_json,
)


@dataclass(frozen=True, slots=True)
class Call:
    """The API call being executed, and what was commanded for it."""

    request_id: str | None = None
    idempotency_key: str | None = None
    decline_code: str | None = None
    refund_fate: str | None = None
    base_url: str = ""
    """The address at which the caller reaches this server."""


class Ledger(Memory):
    """All objects by id."""

    TABLES: ClassVar[Mapping[str, type[Any]]] = {
        "intents": Intent,
        "charges": Charge,
        "refunds": Refund,
        "payment_methods": PaymentMethod,
        "customers": Customer,
        "endpoints": Endpoint,
    }

    def __init__(self) -> None:
        super().__init__()
        self.intents: dict[str, Intent] = {}
        self.charges: dict[str, Charge] = {}
        self.refunds: dict[str, Refund] = {}
        self.payment_methods: dict[str, PaymentMethod] = {}
        self.customers: dict[str, Customer] = {}
        self.call = Call()

    def intent(self, account: str, identifier: str) -> Intent:
        """Return the account's intent. Raises ``StripeError`` (404)."""
        found = self.intents.get(identifier)
        if found is None or found.account != account:
            raise missing("payment_intent", identifier)
        return found

    def latest_charge(self, intent: Intent) -> Charge | None:
        """Return the last attempt of an intent."""
        return self.charges[intent.latest_charge] if intent.latest_charge else None

    def render_intent(self, intent: Intent, expand: list[str]) -> Json:
        """Return an intent as JSON, with ``latest_charge`` and ``payment_method`` expanded on demand."""
        charge = self.latest_charge(intent) if "latest_charge" in expand else None
        rendered = intent_json(intent, charge_json(charge) if charge else None)
        if "payment_method" in expand and intent.payment_method and intent.card_token:
            kept = self.payment_methods[intent.payment_method]
            rendered["payment_method"] = payment_method_json(kept.id, kept.card_token, kept.created, kept.customer)
        return rendered

    def tell_intent(self, event_type: str, intent: Intent) -> None:
        """Record an event about an intent."""
        self._tell(event_type, intent.account, intent.id, intent.id, intent)

    def tell_charge(self, event_type: str, charge: Charge) -> None:
        """Record an event about a charge, or about the dispute over it."""
        self._tell(event_type, charge.account, charge.id, charge.intent, charge)

    def tell_refund(self, event_type: str, refund: Refund) -> None:
        """Record an event about a refund."""
        self._tell(event_type, refund.account, refund.id, refund.intent, refund)

    def _tell(
        self, event_type: str, account: str, object_id: str, intent_id: str, thing: Intent | Charge | Refund
    ) -> None:
        def body(event: Event, wanting: int) -> str:
            rendered = _rendered(event_type, thing, event.created)
            return dump(event_json(event, rendered, wanting, self.call.request_id, self.call.idempotency_key))

        self.put_down(event_type, account, object_id, intent_id, body)


def _rendered(event_type: str, thing: Intent | Charge | Refund, at: int) -> Json:
    if isinstance(thing, Intent):
        return intent_json(thing)
    if isinstance(thing, Refund):
        return refund_json(thing)
    return dispute_json(thing, at) if event_type.startswith("charge.dispute.") else charge_json(thing)


def dump(thing: Json) -> str:
    """Return JSON with line breaks, as Stripe writes it.

    A receiver that signs or compares a re-serialized body will notice.
    """
    return json.dumps(thing, separators=(",\n  ", ": "), ensure_ascii=False)
