"""The stage for Adyen: our adapter against local/adyen_server, which runs in its own process, over HTTP."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import urllib3

from holdfast.flows.money.event_record import tidings_of
from holdfast.gateways.adyen import AdyenGateway
from holdfast.gateways.adyen_webhooks import WEBHOOK_ANSWER, verify_and_parse_webhook
from holdfast.gateways.port import (
    AuthorizeRequest,
    GatewayCredentials,
    GatewayEvent,
    Outcome,
    PaymentSnapshot,
    RefundOutcome,
    RefundSnapshot,
)
from holdfast.payments.model import PaymentStatus
from holdfast.payments.state import PaymentFacts, derive_status, join
from holdfast.values.money import Money
from tests.gateways.receiver import Received, Receiver
from tests.gateways.served import ServedStage
from tests.gateways.stage import Asked

MERCHANT_ACCOUNT = "HoldfastDemo"
_REFUSED_BY = {Asked.CAPTURE: "CAPTURE", Asked.CANCEL: "CANCELLATION", Asked.REFUND: "REFUND"}
_OUTCOMES = {
    PaymentStatus.AUTHORIZED: Outcome.AUTHORIZED,
    PaymentStatus.CAPTURED: Outcome.SUCCEEDED,
    PaymentStatus.PARTIALLY_REFUNDED: Outcome.SUCCEEDED,
    PaymentStatus.REFUNDED: Outcome.SUCCEEDED,
    PaymentStatus.CANCELLED: Outcome.CANCELLED,
    PaymentStatus.FAILED: Outcome.DECLINED,
}


def card(holder_name: str, number: str = "4111111111111111") -> str:
    """Return a test card as the payment method that Adyen's client library would produce."""
    return json.dumps(
        {
            "type": "scheme",
            "encryptedCardNumber": f"test_{number}",
            "encryptedExpiryMonth": "test_03",
            "encryptedExpiryYear": "test_2030",
            "encryptedSecurityCode": "test_737",
            "holderName": holder_name,
        }
    )


class AdyenStage(ServedStage):
    token_ok = card("APPROVED")
    token_declined = card("NOT_ENOUGH_BALANCE")
    token_action = card("APPROVED", "4917610000000000")
    token_unknown = "8416038790270000"
    declined_code = "not_enough_balance"
    unknown_code = "803"
    last_four = "1111"
    announces_actions = False
    refunds_settle_later = True
    settles_later = True

    def __init__(self, base_url: str, pool: urllib3.PoolManager, receiver: Receiver) -> None:
        super().__init__(base_url, pool, receiver, f"AQE{uuid4().hex}")
        receiver.answer = WEBHOOK_ANSWER.encode()
        self.credentials = GatewayCredentials(
            self.api_key,
            ("00FF", self.secret),
            merchant_account=MERCHANT_ACCOUNT,
            webhook_user="adyen",
            webhook_password="s3cret",
        )
        self.gateway: AdyenGateway = AdyenGateway(self.credentials, pool=pool, base_url=base_url)
        self.requests: list[AuthorizeRequest] = []

    def endpoint_metadata(self) -> dict[str, str]:
        return {"user": "adyen", "password": "s3cret"}

    def request(self, **given: Any) -> AuthorizeRequest:
        request = replace(super().request(**given), return_url="https://shop.example/thanks")
        self.requests.append(request)
        return request

    def complete_action(self, transaction_id: str, *, succeed: bool) -> None:
        """The shopper acts at their bank and returns to the shop, which submits the result."""
        request = self.requests[-1]
        (payment,) = self.control("GET", f"/payments?metadata[payment_id]={request.payment_id}")
        path = f"/payments/{payment['pspReference']}/authenticate"
        came_back_with = self.control("POST", path, {"succeed": succeed})["redirectResult"]
        self.gateway.complete_action(request, {"redirectResult": came_back_with}, deadline_seconds=5)

    def dispute(self, transaction_id: str, *, won: bool | None = None) -> None:
        if won is None:
            due = {"defensePeriodEndsAt": "2030-01-01T12:00:00+01:00"}
            self.tell_of_dispute(transaction_id, "NOTIFICATION_OF_CHARGEBACK", "Undefended", **due)
            return
        self.tell_of_dispute(transaction_id, "CHARGEBACK", "Pending" if won else "Undefended")
        if won:
            self.tell_of_dispute(transaction_id, "CHARGEBACK_REVERSED", "Pending")
            self.tell_of_dispute(transaction_id, "ISSUER_RESPONSE_TIMEFRAME_EXPIRED", "Won")
        else:
            self.tell_of_dispute(transaction_id, "DISPUTE_DEFENSE_PERIOD_ENDED", "Lost")

    def tell_of_dispute(self, transaction_id: str, code: str, status: str | None = None, **more: Any) -> None:
        """Have Adyen send news of one stage of a dispute."""
        told = {"eventCode": code, **({"disputeStatus": status} if status else {}), **more}
        self.control("POST", f"/payments/{transaction_id}/dispute", told)

    def expire_authorization(self, transaction_id: str) -> None:
        self.control("POST", f"/payments/{transaction_id}/expire")

    def await_refusal(self, asked: Asked) -> None:
        self.receiver.wait_until(
            lambda received: any(
                event.gateway_event_type == _REFUSED_BY[asked] and event.payload["success"] == "false"
                for event in self.parse(received)
            )
        )

    def truth(self, transaction_id: str) -> PaymentSnapshot:
        """Return what all webhooks so far add up to: with Adyen there is no other source."""
        news = [
            event
            for event in self.parse(self.receiver.received)
            if event.event_type and transaction_id in {event.gateway_transaction_id, f"reference:{_reference(event)}"}
        ]
        request = next(one for one in self.requests if one.payment_id in {event.payment_id for event in news})
        facts = PaymentFacts(amount_minor=request.amount.amount_minor)
        for event in news:
            facts = join(facts, tidings_of(event, None).news)
        status = derive_status(facts)
        return PaymentSnapshot(
            gateway_transaction_id=transaction_id,
            outcome=_OUTCOMES[status],
            amount=request.amount,
            captured_minor=facts.standing_minor,
            refunded_minor=facts.refunded_minor,
            capturable_minor=facts.remaining_minor,
            authorization_expires_at=facts.authorization_expires_at,
        )

    def truth_of_refund(self, gateway_refund_id: str) -> RefundSnapshot:
        told = Counter(
            str(event.event_type)
            for event in self.parse(self.receiver.received)
            if event.gateway_refund_id == gateway_refund_id
        )
        status = RefundOutcome.FAILED if told["refund_failed"] else RefundOutcome.SUCCEEDED
        return RefundSnapshot(gateway_refund_id=gateway_refund_id, status=status, amount=Money(1, "USD"))

    def verify(self, delivery: Received, now: datetime) -> Sequence[GatewayEvent]:
        return verify_and_parse_webhook(delivery.headers, delivery.body, self.credentials, now)


def _reference(event: GatewayEvent) -> Any:
    return event.payload.get("merchantReference")
