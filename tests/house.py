"""A shop to test in: builders whose defaults leave only what matters to a test, and the real flows."""

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from holdfast.flows.checkout.pay_order import PayOrder, pay_order
from holdfast.flows.checkout.place_order import PlaceOrder, place_order
from holdfast.flows.checkout.planning import CheckoutRequest, RequestedItem
from holdfast.flows.claims.idempotency import Answer, Claim, fingerprint_of
from holdfast.flows.money.apply_payment_event import apply_payment_event
from holdfast.flows.money.receive_webhook import receive_webhook
from holdfast.flows.money.refold_payments import Chosen, refold_all
from holdfast.flows.orders.cancel_order import CancelOrder, cancel_order
from holdfast.flows.orders.find_order import find_order
from holdfast.payments.model import EventState
from holdfast.values.address import Address as PostalAddress
from holdfast.values.caller import Caller
from holdfast.values.shipping import ShippingPreference
from holdfast.web.answers import order_answer, payment_answer
from tests.gateways.receiver import Received
from tests.premises import DENVER, Premises


class House(Premises):
    """A shop with shortcuts for what tests do most often."""

    def __enter__(self) -> Self:
        self.receiver.__enter__()
        endpoint = {"url": self.receiver.url, "account": self.api_key, "enabled_events": ["*"]}
        self.stripe("POST", "/webhook_endpoints", endpoint | {"secret": self.webhook_secret})
        return self

    def __exit__(self, *exception: object) -> None:
        """Check that the ledger still adds up to the stock, unless the test forged the stock or has failed."""
        self.receiver.__exit__(*exception)
        self.runtime.database.engine.dispose()
        self.system.database.engine.dispose()
        wrong = [] if self.has_forged_stock or exception[0] is not None else self.ledger_violations()
        self.engine.dispose()
        self.http.clear()
        assert wrong == []

    # --- what shoppers and gateways do -----------------------------------------------------------------------------

    def command(
        self,
        items: Mapping[str, int] | None = None,
        *,
        key: str | None = None,
        token: str = "pm_card_visa",
        caller: Caller | None = None,
        preference: ShippingPreference = ShippingPreference.STANDARD,
        allow_capacity_overflow: bool = True,
        address: PostalAddress = DENVER,
        gateway: str = "stripe",
        save: bool = False,
        payment_method_id: UUID | None = None,
    ) -> PlaceOrder:
        """Return a checkout as the handler would make it; one TEE unless ``items`` says otherwise."""
        wanted = items if items is not None else {"TEE": 1}
        caller = caller or self.customer
        fingerprint = fingerprint_of({"items": dict(wanted), "token": token})
        return PlaceOrder(
            caller=caller,
            claim=Claim(caller.actor, "checkout", key or uuid.uuid4().hex, fingerprint),
            request=CheckoutRequest(
                tuple(RequestedItem(quantity, sku=sku) for sku, quantity in wanted.items()),
                address,
                preference,
                allow_capacity_overflow,
            ),
            billing_address=address,
            email=None if caller.email else "guest@example.com",
            gateway=None if payment_method_id else gateway,
            token=None if payment_method_id else token,
            save_method=save,
            payment_method_id=payment_method_id,
        )

    def place(self, items: Mapping[str, int] | None = None, **how: Any) -> Answer:
        """Check out with the real flow and return the answer that the shopper gets."""
        return place_order(self.runtime, self.command(items, **how), self.clock, payment_answer)

    def pay_again(
        self,
        order_id: str,
        *,
        token: str = "pm_card_visa",
        key: str | None = None,
        save: bool = False,
        payment_method_id: UUID | None = None,
    ) -> Answer:
        """Try again to pay an order."""
        claim = Claim(self.customer.actor, "pay_order", key or uuid.uuid4().hex, fingerprint_of({"token": token}))
        means = (None, None) if payment_method_id else ("stripe", token)
        command = PayOrder(self.customer, claim, order_id, *means, save, payment_method_id)
        return pay_order(self.runtime, command, self.clock, payment_answer)

    def cancel(self, order_id: str, *, caller: Caller | None = None, key: str | None = None) -> Answer:
        """Cancel an order."""
        caller = caller or self.customer
        claim = Claim(caller.actor, "cancel_order", key or uuid.uuid4().hex, fingerprint_of({"order": order_id}))
        return cancel_order(self.runtime, CancelOrder(caller, claim, order_id), self.clock, order_answer)

    def stripe(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call the control surface of the local Stripe server."""
        answer = self.http.request(method, f"{self.stripe_url}/_control{path}", json=body)
        assert answer.status == 200, answer.data
        return answer.json()

    def stripe_behaves(self, **behavior: Any) -> None:
        """Tell Stripe how to treat this house's next calls (see local/stripe_server/control.py)."""
        match = {**behavior.pop("match", {}), "account": self.api_key}
        self.stripe("POST", "/behaviors", {"match": match, **behavior})

    def webhooks(self, *types: str, count: int = 1, order_id: str | None = None) -> list[dict[str, Any]]:
        """Return the webhooks that Stripe has sent to this house, once there are at least ``count`` of them.

        ``types`` and ``order_id`` restrict them to these event types and to the payments of this order. The receiver
        only keeps them: ``deliver`` brings them in, in any order and as often as a test wants.
        """

        def wanted(received: Sequence[Received]) -> list[dict[str, Any]]:
            events = [json.loads(delivery.body) for delivery in received]
            return [
                event
                for event in events
                if (not types or event["type"] in types)
                and order_id in (None, event["data"]["object"]["metadata"].get("order_id"))
            ]

        return wanted(self.receiver.wait_until(lambda received: len(wanted(received)) >= count))

    def charges(self) -> dict[str, Any]:
        """Return the totals of what Stripe has taken and refunded (see ``totals`` of the control surface)."""
        totals: dict[str, Any] = self.stripe("GET", f"/totals?account={self.api_key}")
        return totals

    def deliver(self, event: Mapping[str, Any], *, now: datetime | None = None) -> int:
        """Deliver a signed webhook and return how many of its events were new."""
        now = now or self.clock()
        headers, body = self.signed(event, now)
        return receive_webhook(self.runtime, "stripe", self.endpoint_key, headers, body, now, "test")

    def signed(self, event: Mapping[str, Any], now: datetime) -> tuple[dict[str, str], bytes]:
        """Return the headers and body of a webhook as Stripe sends it."""
        body = json.dumps(event).encode()
        stamp = str(int(now.timestamp()))
        signature = hmac.new(self.webhook_secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return {"stripe-signature": f"t={stamp},v1={signature}"}, body

    def work(self) -> list[EventState | None]:
        """Apply every waiting event that is due, oldest first, as the worker does."""
        rows = self.rows(
            "SELECT id FROM payments.payment_events WHERE organization_id = :o"
            " AND state IN ('pending', 'retry_scheduled') AND next_attempt_at <= :now ORDER BY id",
            o=self.organization_id,
            now=self.clock(),
        )
        return [apply_payment_event(self.runtime, self.organization_id, row["id"], self.clock) for row in rows]

    # --- what became of it -----------------------------------------------------------------------------------------

    def order(self, reference: str) -> Mapping[str, Any]:
        """Return an order as its customer sees it."""
        return find_order(self.runtime, self.customer, reference, self.clock())

    def timeline(self, reference: str) -> list[str]:
        """Return the statuses that an order went through, oldest first."""
        return [step["to"] for step in self.order(reference)["timeline"]]

    def stock(self, sku: str = "TEE") -> dict[str, tuple[int, int]]:
        """Return (on hand, reserved) by warehouse code."""
        rows = self.rows(
            "SELECT w.code, s.on_hand, s.reserved FROM inventory.stock_levels s"
            " JOIN inventory.warehouses w ON w.organization_id = s.organization_id AND w.id = s.warehouse_id"
            " WHERE s.organization_id = :o AND s.variant_id = :v",
            o=self.organization_id,
            v=self.variants[sku],
        )
        return {row["code"]: (row["on_hand"], row["reserved"]) for row in rows}

    def failures(self) -> list[str]:
        """Return the process names of the failures that wait for a person."""
        rows = self.rows(
            "SELECT process_name FROM operations.process_failures WHERE organization_id = :o AND status = 'open'",
            o=self.organization_id,
        )
        return [row["process_name"] for row in rows]

    def violations(self) -> list[str]:
        """Return the invariants of stock and money that do not hold, in words; empty when all is well."""
        from prove.invariants import violations  # noqa: PLC0415 -- it imports nothing of ours, and few tests need it

        return violations(self.engine) + ([] if self.has_forged_payments else self.refold())

    def ledger_violations(self) -> list[str]:
        """Return the stock levels that differ from the sum of their movements, in words."""
        from prove.invariants import LEDGER, violations  # noqa: PLC0415 -- as above

        return violations(self.engine, LEDGER)

    def forge(self, statement: str, **parameters: Any) -> None:
        """Change payments without an event, so that they are no longer the fold of their events."""
        self.has_forged_payments = True
        self.sql(statement, **parameters)

    def refold(self) -> list[str]:
        """Return the payments that differ from what their events say, in words."""
        pages = refold_all(self.system, self.organization_id, Chosen(), self.clock())
        return [f"a payment is the fold of its events: {found}" for page in pages for found in page["differences"]]


def document(answer: Answer) -> dict[str, Any]:
    """Return the parsed body of an answer."""
    body: dict[str, Any] = json.loads(answer.body)
    return body
