"""The server's memory of Square's objects, and how an event about one is recorded."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from local.gateway_server.ledger import Ledger as Memory
from local.gateway_server.model import Endpoint, Event, Json, random_text
from local.square_server.model import Customer, OnFile, Payment, Refund, Seller, SquareError, rfc3339
from local.square_server.objects import dispute_json, payment_json, refund_json


class Ledger(Memory):
    """All objects by id."""

    TABLES: ClassVar[Mapping[str, type[Any]]] = {
        "sellers": Seller,
        "payments": Payment,
        "refunds": Refund,
        "customers": Customer,
        "on_file": OnFile,
        "endpoints": Endpoint,
    }

    def __init__(self) -> None:
        super().__init__()
        self.sellers: dict[str, Seller] = {}
        self.payments: dict[str, Payment] = {}
        self.refunds: dict[str, Refund] = {}
        self.customers: dict[str, Customer] = {}
        self.on_file: dict[str, OnFile] = {}

    def seller(self, account: str) -> Seller:
        """Return the seller of an access token, a new one for a token that was never seen."""
        known = self.sellers.get(account)
        if known is None:
            known = Seller(account, f"M{random_text(12).upper()}", f"L{random_text(12).upper()}")
            self.sellers[account] = known
        return known

    def payment(self, account: str, identifier: str) -> Payment:
        """Return the seller's payment. Raises ``SquareError`` (404)."""
        found = self.payments.get(identifier)
        if found is None or found.account != account:
            raise SquareError("NOT_FOUND", f"Could not find payment with id: {identifier}", status=404)
        return found

    def refund(self, account: str, identifier: str) -> Refund:
        """Return the seller's refund. Raises ``SquareError`` (404)."""
        found = self.refunds.get(identifier)
        if found is None or found.account != account:
            raise SquareError("NOT_FOUND", f"Could not find refund with id: {identifier}", status=404)
        return found

    def render_refund(self, refund: Refund) -> Json:
        """Return a refund as JSON."""
        return refund_json(refund, self.payments[refund.payment].location_id)

    def tell_payment(self, event_type: str, payment: Payment) -> None:
        """Record an event about a payment. Whatever happened made a new version of the payment."""
        payment.version += 1
        payment.updated_at = rfc3339()
        self._tell(event_type, payment, "payment", payment.id, payment_json(payment))

    def tell_refund(self, event_type: str, refund: Refund) -> None:
        """Record an event about a refund."""
        refund.updated_at = rfc3339()
        self._tell(event_type, self.payments[refund.payment], "refund", refund.id, self.render_refund(refund))

    def tell_dispute(self, event_type: str, payment: Payment, state: str) -> None:
        """Record an event about a dispute over a payment."""
        dispute = dispute_json(payment, state, rfc3339())
        self._tell(event_type, payment, "dispute", dispute["id"], dispute)

    def _tell(self, event_type: str, payment: Payment, kind: str, object_id: str, thing: Json) -> None:
        seller = self.seller(payment.account)

        def body(event: Event, _wanting: int) -> str:
            of_location = {"location_id": payment.location_id} if kind == "dispute" else {}
            return json.dumps(
                {
                    "merchant_id": seller.merchant_id,
                    **of_location,
                    "type": event_type,
                    "event_id": event.id,
                    "created_at": rfc3339(),
                    "data": {"type": kind, "id": object_id, "object": {kind: thing}},
                },
                separators=(",", ":"),
                ensure_ascii=False,
            )

        self.put_down(event_type, payment.account, object_id, payment.id, body)
