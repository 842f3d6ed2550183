"""Every gateway by name: an account's secrets in, a ``Gateway`` out."""

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.gateways.calls import connection_pool
from holdfast.gateways.port import Gateway, GatewayCredentials, GatewayEvent
from holdfast.gateways.stripe import StripeGateway
from holdfast.gateways.stripe_webhooks import verify_and_parse_webhook as verify_stripe
from holdfast.values.errors import NotFound, SignatureInvalid

if TYPE_CHECKING:
    import urllib3

    from holdfast.settings import Settings

GATEWAY_NAMES = ("stripe",)


class Secrets(Protocol):
    """Where an account's keys are read from, by reference."""

    def read(self, reference: str, *, fresh: bool = False) -> Mapping[str, Any]:
        """The secret; ``fresh`` asks for the newest."""
        ...


class GatewayRegistry:
    """Makes gateways for accounts. Connections are pooled, secrets are cached."""

    def __init__(self, settings: "Settings", secrets: Secrets) -> None:
        self._settings = settings
        self._secrets = secrets

    @cached_property
    def _pool(self) -> "urllib3.PoolManager":
        return connection_pool()

    def gateway(self, name: str, secret_reference: str, merchant_account: str | None = None) -> Gateway:
        """The gateway ``name`` acting for the account whose secrets are at ``secret_reference``.

        Raises NotFound for a gateway that is not wired, Transient when the secret cannot be read.
        """
        if name not in GATEWAY_NAMES:
            raise NotFound(f"there is no gateway {name}")
        credentials = self._credentials(secret_reference, merchant_account)
        return StripeGateway(credentials, base_url=self._settings.stripe_base_url, pool=self._pool)

    def verify_and_parse_webhook(
        self,
        name: str,
        secret_reference: str,
        merchant_account: str | None,
        headers: Mapping[str, str],
        raw_body: bytes,
        now: datetime,
    ) -> tuple[GatewayEvent, ...]:
        """The events of a webhook. Raises SignatureInvalid, InvalidInput or NotFound.

        A signature that does not verify is tried once more with the secret read afresh: it may have been rotated.
        """
        if name not in GATEWAY_NAMES:
            raise NotFound(f"there is no gateway {name}")
        known = self._credentials(secret_reference, merchant_account)
        try:
            return verify_stripe(headers, raw_body, known, now)
        except SignatureInvalid:
            fresh = self._credentials(secret_reference, merchant_account, fresh=True)
            if fresh == known:
                raise
            return verify_stripe(headers, raw_body, fresh, now)

    def _credentials(self, reference: str, merchant_account: str | None, *, fresh: bool = False) -> GatewayCredentials:
        secret = self._secrets.read(reference, fresh=fresh)
        return GatewayCredentials(
            api_key=str(secret["api_key"]),
            webhook_secrets=tuple(str(value) for value in secret.get("webhook_secrets", ())),
            merchant_account=merchant_account,
        )
