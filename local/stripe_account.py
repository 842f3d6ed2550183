"""The demo shop's account at the local Stripe server: its key, and a webhook endpoint that calls back to the API.

Done over Stripe's own API, as an operator would do it with a real account.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

ENABLED_EVENTS = (
    "payment_intent.succeeded",
    "payment_intent.amount_capturable_updated",
    "payment_intent.requires_action",
    "payment_intent.processing",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "charge.captured",
    "charge.expired",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "charge.dispute.closed",
)
SECRETS_MAX = 2
"""The current secret and the one before it, because what was signed before a change must still be accepted."""
_TIMEOUT_SECONDS = 10


class StripeAccount:
    """An account of the server at `url`."""

    def __init__(self, url: str, api_key: str) -> None:
        self._url = url
        self._api_key = api_key

    def ensure_webhook(self, target: str, kept: Path) -> list[str]:
        """Registers `target` unless it is registered, deletes other endpoints, and returns the signing secrets.

        Stripe reveals a secret only once, when the endpoint is created; `kept` is the file that remembers it. Raises
        OSError when the server does not answer.
        """
        known: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {"id": None, "secrets": []}
        present = False
        for endpoint in self._call("GET", "/v1/webhook_endpoints")["data"]:
            if endpoint["id"] == known["id"] and endpoint["url"] == target:
                present = True
            else:
                self._call("DELETE", f"/v1/webhook_endpoints/{endpoint['id']}")
        if not present:
            wish = [("url", target), *(("enabled_events[]", name) for name in ENABLED_EVENTS)]
            made = self._call("POST", "/v1/webhook_endpoints", wish)
            known = {"id": made["id"], "secrets": [made["secret"], *known["secrets"]][:SECRETS_MAX]}
            kept.touch(mode=0o600)
            kept.write_text(json.dumps(known))
        secrets: list[str] = known["secrets"]
        return secrets

    def _call(self, method: str, path: str, form: list[tuple[str, str]] | None = None) -> dict[str, Any]:
        request = Request(  # noqa: S310 (an address of this machine, made by the caller)
            self._url + path,
            data=urlencode(form).encode() if form else None,
            headers={"authorization": f"Bearer {self._api_key}"},
            method=method,
        )
        with urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 -- the address is our own, on loopback
            content: dict[str, Any] = json.load(answer)
            return content
