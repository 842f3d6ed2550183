"""Adyen's part of the control surface (the rest: ``local/gateway_server/control.py``).

POST   /webhook_endpoints                     with metadata ``user`` and ``password`` it signs on with HTTP Basic
GET    /payments?metadata[order_id]=..        each with its modifications
POST   /payments/{pspReference}/authenticate  {"succeed": true|false}: the shopper's bank; answers ``redirectResult``
POST   /payments/{pspReference}/settle        a payment that takes its time arrives
POST   /payments/{pspReference}/expire        the authorization runs out
POST   /payments/{pspReference}/dispute       {"eventCode"?, "original_reference"?: false, ..}: the rest goes along with
                                              it; false: an account that did not ask for the payment's reference
POST   /payments/{pspReference}/fail_capture  {"pspReference"?}: a capture that had succeeded falls through; the last
POST   /refunds/{pspReference}/fail           {"eventCode"?: REFUND_FAILED | REFUNDED_REVERSED}   .../succeed
GET    /redirect/{pspReference}               a page with both answers of the shopper's bank, for a browser
"""

import html
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from local.adyen_server import modifications, payments
from local.adyen_server.ledger import Ledger
from local.adyen_server.model import Payment, new_reference
from local.gateway_server.behaviors import Behaviors
from local.gateway_server.control import Control
from local.gateway_server.courier import Courier
from local.gateway_server.model import Json, misunderstood, random_text

# https://docs.adyen.com/risk-management/disputes-api/dispute-notifications: those that carry it on request only.
_WITHOUT_ORIGINAL_REFERENCE: Final = frozenset(
    ("CHARGEBACK_REVERSED", "SECOND_CHARGEBACK", "PREARBITRATION_WON", "PREARBITRATION_LOST")
)
_PAGE: Final = """<!doctype html><title>3-D Secure</title><h1>Your bank asks</h1><p>Do you pay {amount}?</p>
<button onclick="go(true)">Yes, it is me</button> <button onclick="go(false)">No</button>
<script>
async function go(succeed) {{
  const bank = "/_control/payments/{id}/authenticate";
  const told = await fetch(bank, {{method: "POST", body: JSON.stringify({{succeed}})}});
  const back = new URL({return_url});
  back.searchParams.set("redirectResult", (await told.json()).redirectResult);
  location.href = back;
}}
</script>"""


class AdyenControl(Control[Payment]):
    """What tests and demos may ask Adyen and command it to do."""

    def __init__(self, ledger: Ledger, behaviors: Behaviors, courier: Courier) -> None:
        super().__init__(ledger, behaviors, courier)
        self._ledger = ledger

    def payments(self) -> Sequence[Payment]:
        """All payments, oldest first."""
        return list(self._ledger.payments.values())

    def new_secret(self) -> str:
        """Return a new HMAC key: 32 bytes in hexadecimal."""
        return random_text(64, "0123456789ABCDEF")

    def whole(self, payment: Payment) -> Json:
        """Return a payment with its modifications."""
        changes = [asdict(self._ledger.modifications[identifier]) for identifier in payment.modifications]
        return {
            **payments.result_json(payment),
            "account": payment.account,
            "captured": payment.captured,
            "refunded": payment.refunded,
            "redirectResult": payment.redirect_result,
            "modifications": changes,
        }

    def sums(self, chosen: Sequence[Payment]) -> Json:
        """Return the number of charges, and amounts in Adyen's minor units."""
        authorised = [payment for payment in chosen if payment.result == "Authorised"]
        return {
            "charges": len(chosen),
            "charges_succeeded": len(authorised),
            "charges_captured": sum(payment.captured > 0 for payment in authorised),
            "captured": sum(payment.captured for payment in authorised),
            "held": sum(payment.held for payment in authorised),
            "refunded": sum(payment.refunded for payment in authorised),
        }

    def act_on_payment(self, payment: Payment, verb: str, given: Json) -> Json:
        """Do to a payment what the shopper, the bank or time does."""
        if verb == "authenticate":
            payments.authenticate(self._ledger, payment, succeed=bool(given.get("succeed", True)))
        elif verb == "settle":
            payments.settle(self._ledger, payment)
        elif verb == "expire":
            payments.expire(self._ledger, payment)
        elif verb == "fail_capture" and payment.captured:
            self._fail_capture(payment, given.get("pspReference"))
        elif verb == "dispute" and payment.captured:
            self._dispute(payment, given)
        else:
            raise misunderstood(f"Cannot {verb} this payment.", status=404)
        return self.whole(payment)

    def _dispute(self, payment: Payment, given: Json) -> None:
        """One dispute per payment, so that its stages carry one reference."""
        code = str(given.get("eventCode", "NOTIFICATION_OF_CHARGEBACK"))
        known = {"eventCode", "original_reference"}
        more = {name: str(value) for name, value in given.items() if name not in known}
        is_unnamed = code in _WITHOUT_ORIGINAL_REFERENCE and given.get("original_reference") is False
        self._ledger.tell(
            code,
            payment,
            payment.id if is_unnamed else payment.id[::-1],
            reason="Fraudulent",
            amount=payment.captured,
            more=more,
            names_original=not is_unnamed,
        )

    def _fail_capture(self, payment: Payment, psp_reference: str | None) -> None:
        """Fail the capture with this reference, or else the last one.

        For a payment that was captured automatically, fail the whole capture.
        """
        if payment.automatic:
            self._ledger.tell("CAPTURE_FAILED", payment, new_reference(), reason="Rejected", amount=payment.captured)
            payment.captured = 0
            return
        changes = [self._ledger.modifications[one] for one in payment.modifications]
        done = [one for one in changes if one.kind == "capture" and one.status == "done"]
        chosen = [one for one in done if psp_reference in (None, one.id)]
        if not chosen:
            raise misunderstood(f"No such capture: {psp_reference}", status=404)
        modifications.fail_capture(self._ledger, chosen[-1], "Rejected")

    def act_on_refund(self, identifier: str, verb: str, given: Json) -> Json:
        """Do to a refund what the bank does."""
        refund = self._ledger.modifications.get(identifier)
        if refund is None or refund.kind != "refund":
            raise misunderstood(f"No such refund: {identifier}", status=404)
        if verb == "fail":
            modifications.undo_refund(self._ledger, refund, str(given.get("eventCode", "REFUND_FAILED")))
        elif verb == "succeed":
            modifications.decide(self._ledger, refund)
        else:
            raise misunderstood(f"Cannot {verb} a refund.", status=404)
        return asdict(refund)

    def page(self, parts: list[str]) -> str | None:
        """Return the page on which the shopper's bank asks for authentication."""
        if len(parts) != 2 or parts[0] != "redirect":
            return None
        payment = self._payment(parts[1])
        amount = html.escape(f"{payment.amount} {payment.currency}")
        return_url = json.dumps(payment.return_url or "/").replace("<", "\\u003c")
        return _PAGE.format(id=payment.id, amount=amount, return_url=return_url)
