"""Deliveries as Square makes them (https://developer.squareup.com/docs/webhooks/step3validate)."""

import base64
import hashlib
import hmac

from local.gateway_server.courier import Post
from local.gateway_server.model import Endpoint


class SquarePost(Post):
    """Signs the endpoint's address together with the body; 11 attempts in 24 hours."""

    give_up_after_seconds = 24 * 3600

    def headers(self, endpoint: Endpoint, body: bytes) -> dict[str, str]:
        """Return the signature, and how Square identifies itself."""
        signed = hmac.new(endpoint.secret.encode(), endpoint.url.encode() + body, hashlib.sha256).digest()
        return {
            "User-Agent": "Square Connect v2",
            "square-environment": "Sandbox",
            "x-square-hmacsha256-signature": base64.b64encode(signed).decode(),
        }
