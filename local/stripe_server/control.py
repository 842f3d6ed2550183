"""Stripe's part of the control surface (the rest: ``local/gateway_server/control.py``).

GET    /payment_intents?metadata[order_id]=..  each with its charges and refunds
POST   /payment_intents/{id}/authenticate      {"succeed": true|false}: the shopper's 3-D Secure
POST   /payment_intents/{id}/expire            the authorization's window closes now
POST   /payment_intents/{id}/klarna            the shopper pays with Klarna: the charge does not say until when it holds
POST   /payment_intents/{id}/dispute           {"status"?}: the shopper's bank takes the money back, or decides
                                               (under_review, won, lost)
POST   /refunds/{id}/fail                      {"failure_reason"?}     POST /refunds/{id}/succeed
GET    /three_d_secure/{id}                    a page with both answers, for a browser
"""

import html
import json
from collections.abc import Sequence
from typing import ClassVar, Final

from local.gateway_server.behaviors import Behaviors
from local.gateway_server.control import Control
from local.gateway_server.courier import Courier
from local.gateway_server.model import Json
from local.stripe_server import intents, refunds
from local.stripe_server.errors import invalid_request, missing
from local.stripe_server.ledger import Ledger
from local.stripe_server.model import Intent
from local.stripe_server.objects import charge_json, intent_json, refund_json
from local.stripe_server.webhooks import new_secret

_PAGE: Final = """<!doctype html><title>3-D Secure</title><h1>Your bank asks</h1><p>Do you pay {amount}?</p>
<button onclick="go(true)">Yes, it is me</button> <button onclick="go(false)">No</button>
<script>
async function go(succeed) {{
  await fetch("/_control/payment_intents/{id}/authenticate", {{method: "POST", body: JSON.stringify({{succeed}})}});
  location.href = {return_url};
}}
</script>"""


class StripeControl(Control[Intent]):
    """What tests and demos may ask Stripe and command it to do."""

    PAYMENTS: ClassVar[str] = "payment_intents"

    def __init__(self, ledger: Ledger, behaviors: Behaviors, courier: Courier) -> None:
        super().__init__(ledger, behaviors, courier)
        self._ledger = ledger

    def payments(self) -> Sequence[Intent]:
        """All intents, oldest first."""
        return list(self._ledger.intents.values())

    def new_secret(self) -> str:
        """Return a new secret that begins with ``whsec_``."""
        return new_secret()

    def whole(self, payment: Intent) -> Json:
        """Return an intent with its charges and refunds."""
        return {
            **intent_json(payment),
            "account": payment.account,
            "charges": [charge_json(self._ledger.charges[identifier]) for identifier in payment.charges],
            "refunds": [refund_json(self._ledger.refunds[identifier]) for identifier in payment.refunds],
        }

    def sums(self, chosen: Sequence[Intent]) -> Json:
        """Return the number of charges, and amounts in Stripe's units."""
        charges = [self._ledger.charges[identifier] for intent in chosen for identifier in intent.charges]
        succeeded = [charge for charge in charges if charge.status == "succeeded"]
        given_back = [self._ledger.refunds[identifier] for intent in chosen for identifier in intent.refunds]
        return {
            "charges": len(charges),
            "charges_succeeded": len(succeeded),
            "charges_captured": sum(charge.captured for charge in succeeded),
            "captured": sum(charge.amount_captured for charge in succeeded),
            "held": sum(intent.amount_capturable for intent in chosen),
            "refunded": sum(refund.amount for refund in given_back if refund.status != "failed"),
        }

    def act_on_payment(self, payment: Intent, verb: str, given: Json) -> Json:
        """Do to an intent what the shopper, the bank or time does."""
        charge = self._ledger.latest_charge(payment)
        if verb == "authenticate":
            intents.authenticate(self._ledger, payment, succeed=bool(given.get("succeed", True)))
        elif verb == "expire":
            if payment.status != "requires_capture":
                raise invalid_request(f"Nothing is held: the intent is {payment.status}.")
            intents.give_up(self._ledger, payment, "expired")
        elif verb == "klarna" and charge is not None:
            charge.method = "klarna"
        elif verb == "dispute" and charge is not None and charge.captured:
            intents.dispute(self._ledger, charge, given.get("status"))
        else:
            raise invalid_request(f"Cannot {verb} this intent.", status=404)
        return self.whole(payment)

    def act_on_refund(self, identifier: str, verb: str, given: Json) -> Json:
        """Do to a refund what the bank does."""
        refund = self._ledger.refunds.get(identifier)
        if refund is None:
            raise missing("refund", identifier)
        if verb == "fail":
            refunds.fail(self._ledger, refund, str(given.get("failure_reason", "unknown")))
        elif verb == "succeed":
            refunds.succeed(self._ledger, refund)
        else:
            raise invalid_request(f"Cannot {verb} a refund.", status=404)
        return refund_json(refund)

    def page(self, parts: list[str]) -> str | None:
        """Return the page on which the shopper's bank asks for authentication."""
        if len(parts) != 2 or parts[0] != "three_d_secure":
            return None
        intent = self._payment(parts[1])
        amount = html.escape(f"{intent.amount} {intent.currency}")
        return_url = json.dumps(intent.return_url or "/").replace("<", "\\u003c")
        return _PAGE.format(id=intent.id, amount=amount, return_url=return_url)
