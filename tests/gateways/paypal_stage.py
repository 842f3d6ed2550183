"""The stage for PayPal: our adapter against local/paypal_server, which runs in its own process, over HTTP."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import urllib3

from holdfast.gateways.paypal import PayPalGateway
from holdfast.gateways.paypal_access import AccessTokens
from holdfast.gateways.paypal_certificates import CertificateSource
from holdfast.gateways.paypal_webhooks import verify_and_parse_webhook
from holdfast.gateways.port import AuthorizeRequest, GatewayCredentials, GatewayEvent, PaymentSnapshot
from tests.gateways.receiver import Received, Receiver
from tests.gateways.served import ServedStage

CHANGES = ("orders.create", "captures.refund", "authorizations.capture")


class PayPalStage(ServedStage):
    token_ok = "card:visa4242"
    token_declined = "card:declined5120"
    token_action = "paypal"
    token_unknown = "card:nobody"
    declined_code = "5120"
    unknown_code = "TOKEN_ID_NOT_FOUND"
    announces_actions = False

    def __init__(self, base_url: str, pool: urllib3.PoolManager, receiver: Receiver, roots_file: Path) -> None:
        self.client_id = f"client-{uuid4().hex}"
        super().__init__(base_url, pool, receiver, self.client_id)
        self.roots_file = roots_file
        self.trust_roots()
        self.credentials = GatewayCredentials("secret", client_id=self.client_id, webhook_id=self.endpoint_id)
        self.tokens = AccessTokens(pool)
        self.gateway: PayPalGateway = PayPalGateway(self.credentials, pool=pool, tokens=self.tokens, base_url=base_url)
        self._payments: defaultdict[UUID, set[UUID]] = defaultdict(set)

    def trust_roots(self) -> None:
        """Fetch the roots that the server signs with now, and trust them from now on."""
        self.roots_file.write_text(self.control("POST", "/roots")["pem"])
        self.certificates = CertificateSource(self.pool, base_url=self.base_url, roots_file=str(self.roots_file))

    def verify(self, delivery: Received, now: datetime) -> Sequence[GatewayEvent]:
        return verify_and_parse_webhook(delivery.headers, delivery.body, self.credentials, now, self.certificates)

    def request(self, **given: Any) -> AuthorizeRequest:
        """Give the request an order number of its own: PayPal wants `invoice_id`, which names our order, to be unique.

        PayPal knows our payments by `custom_id`.
        """
        request = super().request(**given)
        self._payments[request.order_id].add(request.payment_id)
        return replace(request, order_number=f"HF-{request.order_id}")

    def behave(self, *, operations: Sequence[str] = CHANGES, **behavior: Any) -> None:
        """Apply the behavior to the requests that change something: at PayPal one action takes several requests."""
        match = behavior.pop("match", {})
        for operation in operations:
            super().behave(match={**match, "operation": operation}, **behavior)

    def approve(self, transaction_id: str, instrument: str = "wallet") -> None:
        """The buyer approves at PayPal."""
        self.control("POST", f"/orders/{transaction_id}/approve", {"instrument": instrument})

    def complete_action(self, transaction_id: str, *, succeed: bool) -> None:
        """The buyer approves, with funds or without; then a fetch, like the watchdog's, takes the money."""
        self.approve(transaction_id, "wallet" if succeed else "declined0500")
        self.events_until("payment_processing")
        self.gateway.fetch(transaction_id, deadline_seconds=5)

    @property
    def kept_as(self) -> tuple[str | None, str | None]:
        """A PayPal account has no digits to show."""
        return "paypal", None

    def pay_and_keep(self, request: AuthorizeRequest) -> PaymentSnapshot:
        """PayPal's own card fields save a card beforehand; a PayPal account is saved when its owner approves."""
        asked = self.gateway.authorize(replace(request, token="paypal"), deadline_seconds=5)
        self.approve(asked.gateway_transaction_id)
        return self.gateway.fetch(asked.gateway_transaction_id, deadline_seconds=5)

    def dispute(self, transaction_id: str, *, won: bool | None = None) -> None:
        code = None if won is None else "RESOLVED_SELLER_FAVOUR" if won else "RESOLVED_BUYER_FAVOUR"
        self.control("POST", f"/orders/{transaction_id}/dispute", {"outcome_code": code})

    def expire_authorization(self, transaction_id: str) -> None:
        self.control("POST", f"/orders/{transaction_id}/expire")

    def totals_of(self, order_id: UUID) -> dict[str, int]:
        chosen = [f"metadata[custom_id]={payment_id}" for payment_id in self._payments[order_id]]
        totals = [self.control("GET", f"/totals?{one}&account={self.client_id}") for one in chosen]
        return {name: sum(one[name] for one in totals) for name in ("charges_succeeded", "captured")}
