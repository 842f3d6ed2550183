"""The server's memory, and how an event of PayPal's is put down."""

import json
from datetime import UTC, datetime
from typing import ClassVar, TypeVar

from local.gateway_server.ledger import Ledger
from local.gateway_server.model import Endpoint, Event, Json
from local.paypal_server.errors import missing
from local.paypal_server.model import Authorization, Capture, Order, PaymentToken, Refund, Signer

Thing = TypeVar("Thing", Order, Authorization, Capture, Refund)


class PayPalLedger(Ledger):
    """Orders and what became of them."""

    TABLES: ClassVar = {
        "endpoints": Endpoint,
        "orders": Order,
        "authorizations": Authorization,
        "captures": Capture,
        "refunds": Refund,
        "signers": Signer,
        "vault": PaymentToken,
    }

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[str, Order] = {}
        self.authorizations: dict[str, Authorization] = {}
        self.captures: dict[str, Capture] = {}
        self.refunds: dict[str, Refund] = {}
        self.vault: dict[str, PaymentToken] = {}
        self.signers: dict[str, Signer] = {}
        """The current one last."""
        self.access: dict[str, str] = {}
        """Access token -> client id; not kept over restarts, so that clients have to ask anew."""
        self.base_url = ""
        """Where the caller of the moment reaches this server."""

    def order(self, account: str, identifier: str) -> Order:
        """The account's order. Raises ``Refusal`` (404)."""
        return _own(self.orders.get(identifier), account)

    def authorization(self, account: str, identifier: str) -> Authorization:
        """The account's authorization. Raises ``Refusal`` (404)."""
        return _own(self.authorizations.get(identifier), account)

    def capture(self, account: str, identifier: str) -> Capture:
        """The account's capture. Raises ``Refusal`` (404)."""
        return _own(self.captures.get(identifier), account)

    def refund(self, account: str, identifier: str) -> Refund:
        """The account's refund. Raises ``Refusal`` (404)."""
        return _own(self.refunds.get(identifier), account)

    def tell(self, event_type: str, kind: str, order: Order, resource: Json, summary: str) -> None:
        """Put down an event about a resource as it is now; ``kind`` is PayPal's ``resource_type``."""

        def render(event: Event, _wanting: int) -> str:
            # PayPal's event ids begin like this, and links say where an event can be looked at.
            event.id = event.id.replace("evt_", "WH-")
            address = f"{self.base_url}/v1/notifications/webhooks-events/{event.id}"
            return dump(
                {
                    "id": event.id,
                    "event_version": "1.0",
                    "create_time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                    "resource_type": kind,
                    **({} if kind == "dispute" else {"resource_version": "2.0"}),
                    "event_type": event_type,
                    "summary": summary,
                    "resource": resource,
                    "links": [
                        {"href": address, "rel": "self", "method": "GET"},
                        {"href": f"{address}/resend", "rel": "resend", "method": "POST"},
                    ],
                }
            )

        self.put_down(event_type, order.account, str(resource.get("id", order.id)), order.id, render)


def dump(thing: Json) -> str:
    """JSON as PayPal writes it: without spaces, and text as it is."""
    return json.dumps(thing, separators=(",", ":"), ensure_ascii=False)


def _own(found: Thing | None, account: str) -> Thing:
    if found is None or found.account != account:
        raise missing()
    return found
