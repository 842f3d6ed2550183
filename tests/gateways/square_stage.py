"""The stage for Square: our adapter against local/square_server, which runs in its own process, over HTTP."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import urllib3

from holdfast.gateways.port import AuthorizeRequest, GatewayCredentials, GatewayEvent
from holdfast.gateways.square import SquareGateway
from holdfast.gateways.square_webhooks import verify_and_parse_webhook
from tests.gateways.receiver import Received, Receiver
from tests.gateways.served import ServedStage
from tests.gateways.stage import Resolution


class SquareStage(ServedStage):
    token_ok = "cnon:card-nonce-ok"
    token_declined = "cnon:card-nonce-declined"
    token_action = None
    token_unknown = "cnon:nobody"
    declined_code = "generic_decline"
    unknown_code = "not_found"
    last_four = "5858"
    resolution = Resolution.CANCELLATION
    refunds_settle_later = True

    def __init__(self, base_url: str, pool: urllib3.PoolManager, receiver: Receiver) -> None:
        super().__init__(base_url, pool, receiver, f"EAAA{uuid4().hex}")
        self.location_id = f"L{uuid4().hex[:12].upper()}"
        self.set_seller(location_id=self.location_id)
        self.credentials = GatewayCredentials(
            self.api_key,
            ("previous", self.secret),
            merchant_account=self.location_id,
            notification_url=receiver.url,
        )
        self.gateway: SquareGateway = SquareGateway(self.credentials, pool=pool, base_url=base_url)
        self._payments: defaultdict[UUID, list[UUID]] = defaultdict(list)

    def set_seller(self, **seller: str) -> None:
        self.control("POST", "/sellers", {"account": self.api_key, **seller})

    def request(self, **given: Any) -> AuthorizeRequest:
        """Remember the payment of the order: Square knows payments by `reference_id`, and nothing about our orders."""
        request = super().request(**given)
        self._payments[request.order_id].append(request.payment_id)
        return request

    def complete_action(self, transaction_id: str, *, succeed: bool) -> None:
        raise NotImplementedError("the shopper acts before there is a payment")

    def dispute(self, transaction_id: str, *, won: bool | None = None) -> None:
        state = "EVIDENCE_REQUIRED" if won is None else "WON" if won else "LOST"
        self.control("POST", f"/payments/{transaction_id}/dispute", {"state": state})

    def expire_authorization(self, transaction_id: str) -> None:
        self.control("POST", f"/payments/{transaction_id}/expire")

    def totals_of(self, order_id: UUID) -> Any:
        totals: Counter[str] = Counter()
        for payment_id in self._payments[order_id]:
            query = f"metadata[reference_id]={payment_id}&account={self.api_key}"
            totals.update(self.control("GET", f"/totals?{query}"))
        return totals

    def verify(self, delivery: Received, now: datetime) -> Sequence[GatewayEvent]:
        return verify_and_parse_webhook(delivery.headers, delivery.body, self.credentials, now)
