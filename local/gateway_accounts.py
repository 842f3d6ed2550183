"""The demo shop's accounts at the local gateways: keys, webhook endpoints that call back to the API, and ways to pay.

Stripe's endpoint is registered over Stripe's own API (``stripe_account.py``). The other vendors have that in a
dashboard, which is the control surface of their server here.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

from local.stripe_account import StripeAccount

PAYPAL_ROOTS_FILE: Final = "paypal-roots.pem"
_TIMEOUT_SECONDS: Final = 10


def _adyen_token(number: str) -> str:
    """Return a payment method as Adyen's library produces it: its fields are encrypted for Adyen, here for its
    stand-in."""
    plain = {
        "encryptedCardNumber": number,
        "encryptedExpiryMonth": "03",
        "encryptedExpiryYear": "2030",
        "encryptedSecurityCode": "737",
    }
    sealed = {name: f"adyenjs_0_1_25${b64encode(value.encode()).decode()}" for name, value in plain.items()}
    return json.dumps({"type": "scheme", **sealed, "holderName": "APPROVED"}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """The demo shop's account at one gateway."""

    gateway: str
    api_key: str
    payer: str
    """A token that pays at once."""
    asker: str | None = None
    """A token whose payment waits for its shopper."""
    account: str = ""
    """The account whose endpoints these are at the server. If empty, it is the key's."""
    merchant_account: str | None = None
    more_secrets: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def endpoint_key(self) -> str:
        """The last part of ``/v1/webhooks/{gateway}/...``."""
        return f"default-{self.gateway}"

    @property
    def secret_reference(self) -> str:
        """The name of its secret."""
        return f"holdfast/local/{self.gateway}"


ACCOUNTS: Final = (
    DemoAccount("stripe", "sk_test_holdfast_local", "pm_card_visa", "pm_card_authenticationRequired"),
    DemoAccount(
        "paypal",
        "demo-client-secret",
        "card:visa4242",
        "paypal",
        account="demo-client",
        more_secrets={"client_id": "demo-client"},
    ),
    DemoAccount("square", "EAAAdemo", "cnon:card-nonce-ok", merchant_account="LDEMO"),
    DemoAccount(
        "adyen",
        "AQEdemo",
        _adyen_token("4111111111111111"),
        _adyen_token("4917610000000000"),
        merchant_account="HoldfastDemo",
        more_secrets={"webhook_user": "adyen", "webhook_password": "demo-webhook-password"},
        metadata={"user": "adyen", "password": "demo-webhook-password"},
    ),
)


@dataclass(frozen=True, slots=True)
class Connected:
    """An account whose webhooks reach the API: its secret, and the facts of its row."""

    account: DemoAccount
    secret: Mapping[str, Any]
    webhook_id: str | None = None
    notification_url: str | None = None


def connect(account: DemoAccount, server_url: str, api_url: str, state: Path) -> Connected:
    """Register the webhook unless it is registered already. Raises OSError when the server does not answer."""
    target = f"{api_url}/v1/webhooks/{account.gateway}/{account.endpoint_key}"
    if account.gateway == "stripe":
        stripe = StripeAccount(server_url, account.api_key)
        webhook_secrets = stripe.ensure_webhook(target, state / "stripe-endpoint.json")
        return Connected(account, {"api_key": account.api_key, "webhook_secrets": webhook_secrets})
    if account.gateway == "square":
        seller = {"account": account.api_key, "location_id": account.merchant_account}
        _control(server_url, "POST", "/sellers", seller)
    if account.gateway == "paypal":
        (state / PAYPAL_ROOTS_FILE).write_text(_control(server_url, "POST", "/roots", {})["pem"])
    endpoint = _endpoint(account, server_url, target)
    return Connected(
        account,
        {"api_key": account.api_key, "webhook_secrets": [endpoint["secret"]], **account.more_secrets},
        webhook_id=endpoint["id"] if account.gateway == "paypal" else None,
        notification_url=target if account.gateway == "square" else None,
    )


def _endpoint(account: DemoAccount, server_url: str, target: str) -> dict[str, Any]:
    """Return the endpoint for ``target``. Endpoints for other addresses are deleted."""
    owner, found = account.account or account.api_key, None
    for endpoint in _control(server_url, "GET", "/webhook_endpoints"):
        if endpoint["account"] == owner and endpoint["url"] == target:
            found = endpoint
        elif endpoint["account"] == owner:
            _control(server_url, "DELETE", f"/webhook_endpoints/{endpoint['id']}")
    wish = {"account": owner, "url": target, "enabled_events": ["*"], "metadata": dict(account.metadata)}
    made: dict[str, Any] = found or _control(server_url, "POST", "/webhook_endpoints", wish)
    return made


def _control(server_url: str, method: str, path: str, body: Any = None) -> Any:
    request = Request(  # noqa: S310 (an address of this machine, made by the caller)
        f"{server_url}/_control{path}", data=None if body is None else json.dumps(body).encode(), method=method
    )
    with urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 -- the address is our own, on loopback
        return json.load(answer)
