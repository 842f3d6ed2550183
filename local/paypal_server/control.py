"""PayPal's part of the control surface under ``/_control``; the rest is in ``gateway_server/control.py``.

GET    /orders?metadata[custom_id]=..          each with its authorizations, captures and refunds
POST   /orders/{id}/approve                    {"instrument"?}: the buyer agrees (names: ``instruments.INSTRUMENTS``)
POST   /orders/{id}/take_back_approval         PayPal finds a problem before the capture
POST   /orders/{id}/forget                     nobody paid it for hours: PayPal no longer has it
POST   /orders/{id}/expire                     the authorization's 29 days are over
POST   /orders/{id}/age                        {"days"}: all of it happened this much earlier
POST   /orders/{id}/settle                     {"succeed"?}: the outcome of a pending capture
POST   /orders/{id}/reverse                    PayPal takes the capture back
POST   /orders/{id}/dispute                    {"outcome_code"?}: the buyer complains, or PayPal decides
POST   /refunds/{id}/fail                      POST /refunds/{id}/succeed
POST   /certificates                           {"common_name"?, "expired"?}: sign with a new one from now on
POST   /roots                                  the roots to trust, PEM
POST   /revoke_access                          every access token is forgotten
GET    /approval/{id}                          the page the buyer is sent to

A webhook endpoint's ``id`` is the webhook id that PayPal signs.
"""

import html
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from local.gateway_server.behaviors import Behaviors
from local.gateway_server.control import Control
from local.gateway_server.courier import Courier
from local.gateway_server.model import Json, misunderstood
from local.paypal_server import orders, payments
from local.paypal_server.certificates import COMMON_NAME, new_signer
from local.paypal_server.instruments import INSTRUMENTS
from local.paypal_server.ledger import PayPalLedger
from local.paypal_server.model import Order
from local.paypal_server.objects import order_json, refund_json
from local.paypal_server.webhooks import certificate_url

_TAKEN: Final = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")
_PAGE: Final = """<!doctype html><title>PayPal</title><h1>Pay {amount}?</h1>{buttons}
<button onclick="back()">No</button>
<script>
function back() {{ const to = {return_url}; if (to) location.href = to; else history.back(); }}
async function pay(instrument) {{
  const address = "/_control/orders/{id}/approve";
  await fetch(address, {{method: "POST", body: JSON.stringify({{instrument}})}});
  back();
}}
</script>"""


class PayPalControl(Control[Order]):
    """What the buyer, the bank, PayPal and time do."""

    PAYMENTS = "orders"

    def __init__(self, ledger: PayPalLedger, behaviors: Behaviors, courier: Courier) -> None:
        super().__init__(ledger, behaviors, courier)
        self._ledger = ledger

    def payments(self) -> Sequence[Order]:
        """Return all orders, oldest first."""
        return list(self._ledger.orders.values())

    def whole(self, payment: Order) -> Json:
        """Return the order as PayPal shows it, and whose it is."""
        return {**order_json(self._ledger, payment), "account": payment.account}

    def sums(self, chosen: Sequence[Order]) -> Json:
        """Return the sums in PayPal's smallest units."""
        captures = [self._ledger.captures[one] for order in chosen for one in order.captures]
        taken = [capture for capture in captures if capture.status in _TAKEN]
        held = [self._ledger.authorizations[one] for order in chosen for one in order.authorizations]
        back = [self._ledger.refunds[one] for order in chosen for one in order.refunds]
        paid_orders = {capture.order for capture in taken} | {one.order for one in held if one.status != "DENIED"}
        return {
            "charges": len(captures) + len(held),
            "charges_succeeded": len(paid_orders),
            "charges_captured": len(taken),
            "captured": sum(capture.amount for capture in taken),
            "held": sum(payments.left_of(self._ledger, one) for one in held),
            "refunded": sum(refund.amount for refund in back if refund.status != "FAILED"),
        }

    def act_on_payment(self, payment: Order, verb: str, given: Json) -> Json:
        """Do to an order what the module describes."""
        ledger = self._ledger
        captures = [ledger.captures[one] for one in payment.captures]
        held = [ledger.authorizations[one] for one in payment.authorizations]
        if verb == "approve":
            orders.approve(ledger, payment, str(given.get("instrument", "wallet")))
        elif verb == "take_back_approval":
            orders.take_back_approval(ledger, payment)
        elif verb == "expire" and held:
            payments.expire(ledger, held[-1])
        elif verb == "forget" and not captures and not held:
            del ledger.orders[payment.id]
            ledger.changes += 1
        elif verb == "age":
            self._age(payment, int(given["days"]))
        elif verb == "settle" and captures:
            payments.settle(ledger, captures[-1], succeed=bool(given.get("succeed", True)))
        elif verb == "reverse" and captures:
            payments.reverse(ledger, captures[-1])
        elif verb == "dispute" and captures:
            payments.dispute(ledger, captures[-1], outcome_code=given.get("outcome_code"))
        else:
            raise misunderstood(f"Cannot {verb} this order.", status=404)
        return self.whole(payment)

    def act_on_refund(self, identifier: str, verb: str, given: Json) -> Json:
        """Let a refund fail or arrive."""
        refund = self._ledger.refunds.get(identifier)
        if refund is None or verb not in ("fail", "succeed"):
            raise misunderstood(f"Cannot {verb} a refund {identifier}.", status=404)
        (payments.fail_refund if verb == "fail" else payments.succeed_refund)(self._ledger, refund)
        return refund_json(self._ledger, refund)

    def new_secret(self) -> str:
        """Return no secret: PayPal's webhooks have none."""
        return "none"

    def more_commands(self) -> dict[str, Callable[[Json], Any]]:
        """Return the commands for certificates and access."""
        return {
            "certificates": self._sign_anew,
            "roots": lambda _: {"pem": "".join(signer.root for signer in self._ledger.signers.values())},
            "revoke_access": self._revoke_access,
        }

    def page(self, parts: list[str]) -> str | None:
        """Return the page on which the buyer agrees, with a button for each way to pay."""
        order = self._ledger.orders.get(parts[1]) if len(parts) == 2 and parts[0] == "approval" else None
        if order is None:
            return None
        ways = [name for name, instrument in INSTRUMENTS.items() if order.source in ("none", instrument.kind)]
        return _PAGE.format(
            id=order.id,
            amount=html.escape(f"{order.amount} {order.currency}"),
            buttons=" ".join(f"""<button onclick="pay('{name}')">{name}</button>""" for name in ways),
            return_url=json.dumps(order.return_url).replace("<", "\\u003c"),
        )

    def _revoke_access(self, _given: Json) -> Json:
        self._ledger.access.clear()
        return {}

    def _sign_anew(self, given: Json) -> Json:
        ends_at = datetime.now(UTC) - timedelta(hours=1) if given.get("expired") else None
        signer = new_signer(common_name=str(given.get("common_name", COMMON_NAME)), ends_at=ends_at)
        signer.base_url = self._ledger.base_url
        self._ledger.signers[signer.id] = signer
        self._ledger.changes += 1
        return {"id": signer.id, "cert_url": certificate_url(signer), "root": signer.root}

    def _age(self, order: Order, days: int) -> None:
        seconds = days * 24 * 3600
        for identifier in order.authorizations:
            authorization = self._ledger.authorizations[identifier]
            authorization.created -= seconds
            authorization.expires -= seconds
        order.created -= seconds
        self._ledger.changes += 1
