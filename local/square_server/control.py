"""Square's part of the control surface (the rest: ``local/gateway_server/control.py``).

GET    /payments?metadata[reference_id]=..   each with its refunds
POST   /payments/{id}/expire                 the window for the capture closes now
POST   /payments/{id}/dispute                {"state"?}: the shopper's bank takes the money back, or decides
POST   /refunds/{id}/fail                    {"status"?: FAILED | REJECTED}     POST /refunds/{id}/succeed
POST   /sellers                              {account, currency?, location_id?}: the seller of an access token
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from local.gateway_server.behaviors import Behaviors
from local.gateway_server.control import Control
from local.gateway_server.courier import Courier
from local.gateway_server.model import Json, misunderstood, random_text
from local.square_server import payments, refunds
from local.square_server.ledger import Ledger
from local.square_server.model import Payment
from local.square_server.objects import payment_json


class SquareControl(Control[Payment]):
    """What tests and demos may ask Square and command it to do."""

    def __init__(self, ledger: Ledger, behaviors: Behaviors, courier: Courier) -> None:
        super().__init__(ledger, behaviors, courier)
        self._ledger = ledger

    def payments(self) -> Sequence[Payment]:
        """All payments, oldest first."""
        return list(self._ledger.payments.values())

    def new_secret(self) -> str:
        """Return a new signature key."""
        return random_text(22)

    def more_commands(self) -> dict[str, Callable[[Json], Any]]:
        """Return the command that defines a seller."""
        return {"sellers": self._set_seller}

    def whole(self, payment: Payment) -> Json:
        """Return a payment with its refunds."""
        given_back = [self._ledger.render_refund(self._ledger.refunds[identifier]) for identifier in payment.refunds]
        return {**payment_json(payment), "account": payment.account, "refunds": given_back}

    def sums(self, chosen: Sequence[Payment]) -> Json:
        """Return the number of charges, and amounts in the seller's smallest unit."""
        captured = [payment for payment in chosen if payment.status == "COMPLETED"]
        held = [payment for payment in chosen if payment.status == "APPROVED"]
        given_back = [self._ledger.refunds[identifier] for payment in chosen for identifier in payment.refunds]
        return {
            "charges": len(chosen),
            "charges_succeeded": sum(payment.status != "FAILED" for payment in chosen),
            "charges_captured": len(captured),
            "captured": sum(payment.amount for payment in captured),
            "held": sum(payment.amount for payment in held),
            "refunded": sum(refund.amount for refund in given_back if refund.status in {"PENDING", "COMPLETED"}),
        }

    def act_on_payment(self, payment: Payment, verb: str, given: Json) -> Json:
        """Do to a payment what the bank or time does."""
        if verb == "expire":
            payments.expire(self._ledger, payment)
        elif verb == "dispute" and payment.status == "COMPLETED":
            state = str(given.get("state", "EVIDENCE_REQUIRED"))
            is_new = state == "EVIDENCE_REQUIRED"
            self._ledger.tell_dispute("dispute.created" if is_new else "dispute.state.updated", payment, state)
        else:
            raise misunderstood(f"Cannot {verb} this payment.", status=404)
        return self.whole(payment)

    def act_on_refund(self, identifier: str, verb: str, given: Json) -> Json:
        """Do to a refund what the bank does."""
        refund = self._ledger.refunds.get(identifier)
        if refund is None:
            raise misunderstood(f"No such refund: {identifier}", status=404)
        if verb == "fail":
            refunds.fail(self._ledger, refund, str(given.get("status", "FAILED")))
        elif verb == "succeed":
            refunds.succeed(self._ledger, refund)
        else:
            raise misunderstood(f"Cannot {verb} a refund.", status=404)
        return self._ledger.render_refund(refund)

    def _set_seller(self, given: Json) -> Json:
        seller = self._ledger.seller(str(given.get("account", "")))
        seller.currency = str(given.get("currency", seller.currency))
        seller.location_id = str(given.get("location_id", seller.location_id))
        self._ledger.changes += 1
        return asdict(seller)
