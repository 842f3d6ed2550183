"""The server's memory of Adyen's objects, and how a notification item is recorded."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from local.adyen_server.model import AdyenError, Modification, Payment, Stored, event_date
from local.gateway_server.ledger import Ledger as Memory
from local.gateway_server.model import Endpoint, Json


class Ledger(Memory):
    """All objects by id."""

    TABLES: ClassVar[Mapping[str, type[Any]]] = {
        "payments": Payment,
        "modifications": Modification,
        "stored": Stored,
        "endpoints": Endpoint,
    }

    def __init__(self) -> None:
        super().__init__()
        self.payments: dict[str, Payment] = {}
        self.modifications: dict[str, Modification] = {}
        self.stored: dict[str, Stored] = {}

    def payment(self, account: str, psp_reference: str) -> Payment:
        """Return the company's authorised payment. Raises ``AdyenError`` (422)."""
        found = self.payments.get(psp_reference)
        if found is None or found.account != account or found.result != "Authorised":
            raise AdyenError("167", "Original pspReference required for this operation")
        return found

    def tell_authorisation(self, payment: Payment, *, success: bool) -> None:
        """Record an AUTHORISATION."""
        reason = f"083152:{payment.last_four}:03/2030" if success else payment.refusal or "Refused"
        more = kept_json(payment)
        self.tell(
            "AUTHORISATION", payment, payment.id, success=success, reason=reason, amount=payment.amount, more=more
        )

    def tell_modification(self, code: str, payment: Payment, change: Modification, reason: str = "") -> None:
        """Record the outcome of a modification."""
        more = {"modification.action": "refund" if payment.captured else "cancel"} if change.kind == "reversal" else {}
        self.tell(
            code,
            payment,
            change.id,
            success=change.status == "done",
            reason=reason,
            amount=change.amount,
            reference=change.reference,
            more=more,
        )

    def tell(
        self,
        code: str,
        payment: Payment,
        psp_reference: str,
        *,
        success: bool = True,
        reason: str = "",
        amount: int,
        reference: str | None = None,
        more: Mapping[str, str] | None = None,
        names_original: bool = True,
    ) -> None:
        """Put down an item. ``reference`` is a modification's own, else it is the payment's. ``names_original``: with
        the payment's ``pspReference`` beside its own."""
        item: Json = {
            "additionalData": dict(more or {}),
            "amount": {"currency": payment.currency, "value": amount},
            "eventCode": code,
            "eventDate": event_date(),
            "merchantAccountCode": payment.merchant_account,
            "merchantReference": reference or payment.reference,
            "paymentMethod": payment.brand or payment.kind,
            "pspReference": psp_reference,
            "reason": reason,
            "success": "true" if success else "false",
        }
        if code == "AUTHORISATION":
            item["operations"] = ["CANCEL", "CAPTURE", "REFUND"] if success else []
        elif payment.result == "Authorised" and names_original:
            item["originalReference"] = payment.id
        self.put_down(code, payment.account, psp_reference, payment.id, lambda _event, _wanting: json.dumps(item))


def kept_json(payment: Payment) -> dict[str, str]:
    """Return what a notification says about a payment method that was stored with this payment."""
    if payment.stored is None:
        return {}
    return {
        "cardSummary": payment.last_four,
        "expiryDate": "3/2030",
        "recurring.recurringDetailReference": payment.stored,
        "recurring.shopperReference": payment.shopper_reference or "",
        "tokenization.shopperReference": payment.shopper_reference or "",
        "tokenization.store.operationType": "created",
        "tokenization.storedPaymentMethodId": payment.stored,
    }
