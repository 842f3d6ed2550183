"""The stage for Stripe: our adapter against local/stripe_server, which runs in its own process, over HTTP."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from uuid import uuid4

import urllib3

from holdfast.gateways.port import GatewayCredentials, GatewayEvent
from holdfast.gateways.stripe import StripeGateway
from holdfast.gateways.stripe_webhooks import verify_and_parse_webhook
from tests.gateways.receiver import Received, Receiver
from tests.gateways.served import REPOSITORY, ServedStage, running_server

__all__ = ["REPOSITORY", "StripeStage", "running_stripe_server"]


def running_stripe_server(*arguments: str) -> AbstractContextManager[str]:
    """Run a new local Stripe server and yield its base URL."""
    return running_server("local.stripe_server", *arguments)


class StripeStage(ServedStage):
    token_ok = "pm_card_visa"
    token_declined = "pm_card_chargeDeclinedInsufficientFunds"
    token_action = "pm_card_authenticationRequired"
    token_unknown = "pm_this_is_no_token"
    declined_code = "insufficient_funds"
    unknown_code = "resource_missing"

    def __init__(self, base_url: str, pool: urllib3.PoolManager, receiver: Receiver) -> None:
        super().__init__(base_url, pool, receiver, f"sk_test_{uuid4().hex}")
        self.credentials = GatewayCredentials(self.api_key, ("whsec_previous", self.secret))
        self.gateway = StripeGateway(self.credentials, pool=pool, base_url=base_url)

    def complete_action(self, transaction_id: str, *, succeed: bool) -> None:
        self.control("POST", f"/payment_intents/{transaction_id}/authenticate", {"succeed": succeed})

    def fail_refund(self, gateway_refund_id: str) -> None:
        self.control("POST", f"/refunds/{gateway_refund_id}/fail", {"failure_reason": "lost_or_stolen_card"})

    def dispute(self, transaction_id: str, *, won: bool | None = None) -> None:
        status = None if won is None else "won" if won else "lost"
        self.control("POST", f"/payment_intents/{transaction_id}/dispute", {"status": status})

    def expire_authorization(self, transaction_id: str) -> None:
        self.control("POST", f"/payment_intents/{transaction_id}/expire")

    def verify(self, delivery: Received, now: datetime) -> Sequence[GatewayEvent]:
        return verify_and_parse_webhook(delivery.headers, delivery.body, self.credentials, now)
