"""Deliveries as Adyen makes them: a signed item in a notification, one after the other.

Source: https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures and /webhooks (the queue).
"""

import base64
import hashlib
import hmac
import json
from typing import Final

from local.gateway_server.courier import Post
from local.gateway_server.model import Endpoint, Event, Json

_ACCEPTED: Final = b"[accepted]"


class AdyenPost(Post):
    """Signs inside the body. A notification that is not accepted holds up those behind it."""

    give_up_after_seconds = 30 * 24 * 3600
    in_line = True

    def body(self, endpoint: Endpoint, event: Event) -> str | None:
        """Return a notification of one item, signed with the endpoint's key."""
        if event.body is None:
            return None
        item: Json = json.loads(event.body)
        item["additionalData"]["hmacSignature"] = signature_of(item, endpoint.secret)
        return json.dumps({"live": "false", "notificationItems": [{"NotificationRequestItem": item}]})

    def headers(self, endpoint: Endpoint, body: bytes) -> dict[str, str]:
        """Return HTTP Basic credentials, where the endpoint has a user."""
        headers = {"User-Agent": "Adyen HttpClient 1.0"}
        if "user" in endpoint.metadata:
            pair = f"{endpoint.metadata['user']}:{endpoint.metadata.get('password', '')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return headers

    def is_taken(self, status: int, answer: bytes) -> bool:
        """Whether the answer is 2xx and has the word that Adyen expects."""
        return 200 <= status < 300 and _ACCEPTED in answer


def signature_of(item: Json, key: str) -> str:
    """Return the base64 HMAC-SHA256 over eight fields joined by colons. The key is given in hexadecimal."""
    names = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
    fields = [str(item.get(name, "")) for name in names]
    fields += [str(item["amount"]["value"]), item["amount"]["currency"], item["eventCode"], item["success"]]
    digest = hmac.new(bytes.fromhex(key), ":".join(fields).encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
