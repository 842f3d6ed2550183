"""Deliveries as Stripe makes them: signed with the endpoint's secret.

Source: https://docs.stripe.com/webhooks (retries for three days, no promised order) and /webhooks/signature.
"""

import hashlib
import hmac
import time
from typing import Any

from local.gateway_server import courier
from local.gateway_server.courier import Post
from local.gateway_server.model import Endpoint, new_id


class StripePost(Post):
    """Signs as Stripe signs."""

    def headers(self, endpoint: Endpoint, body: bytes) -> dict[str, str]:
        """Return the signature, and how Stripe identifies itself."""
        return {
            "Accept": "*/*; q=0.5, application/xml",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature_header(body, endpoint.secret, int(time.time())),
        }


def signature_header(body: bytes, secret: str, at: int) -> str:
    """Return ``Stripe-Signature``.

    It is the hexadecimal HMAC-SHA256 over the time, a dot and the body, with the whole secret as key.
    """
    signature = hmac.new(secret.encode(), str(at).encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signature}"


def new_secret() -> str:
    """Return a new key for an endpoint."""
    return new_id("whsec", 32)


def new_endpoint(account: str, url: str, enabled_events: list[str], **more: Any) -> Endpoint:
    """Return an endpoint with an id and a secret of its own."""
    return courier.new_endpoint(account, url, enabled_events, secret=new_secret(), **more)
