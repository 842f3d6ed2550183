"""The server's memory, and how an event of PayPal's is recorded."""

import json
from datetime import UTC, datetime
from typing import ClassVar, TypeVar

from local.gateway_server.ledger import Ledger
from local.gateway_server.model import Endpoint, Event, Json
from local.paypal_server.errors import missing
from local.paypal_server.model import Authorization, Capture, Order, PaymentToken, Refund, Signer

Thing = TypeVar("Thing", Order, Authorization, Capture, Refund)


class PayPalLedger(Ledger):
    """Orders and everything that belongs to them."""

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
        """The certificates to sign with; the last one is current."""
        self.access: dict[str, str] = {}
        """Access token -> client id. Not kept over restarts, so that clients have to ask for a new one."""
        self.base_url = ""
        """The address at which the current caller reaches this server."""

    def order(self, account: str, identifier: str) -> Order:
        """Return the account's order. Raises ``Refusal`` (404)."""
        return _own(self.orders.get(identifier), account)

    def authorization(self, account: str, identifier: str) -> Authorization:
        """Return the account's authorization. Raises ``Refusal`` (404)."""
        return _own(self.authorizations.get(identifier), account)

    def capture(self, account: str, identifier: str) -> Capture:
        """Return the account's capture. Raises ``Refusal`` (404)."""
        return _own(self.captures.get(identifier), account)

    def refund(self, account: str, identifier: str) -> Refund:
        """Return the account's refund. Raises ``Refusal`` (404)."""
        return _own(self.refunds.get(identifier), account)

    def tell(self, event_type: str, kind: str, order: Order, resource: Json, summary: str) -> None:
        """Record an event about a resource as it is now. ``kind`` is PayPal's ``resource_type``."""

        def render(event: Event, _wanting: int) -> str:
            # PayPal's event ids begin like this, and a link says where an event can be fetched.
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
    """Return JSON as PayPal writes it: without spaces, and with text unescaped."""
    return json.dumps(thing, separators=(",", ":"), ensure_ascii=False)


def _own(found: Thing | None, account: str) -> Thing:
    if found is None or found.account != account:
        raise missing()
    return found
