"""PayPal's access tokens (OAuth2 client credentials), cached per process until shortly before they expire.

Source: https://developer.paypal.com/api/rest/authentication/
"""

import time
from base64 import b64encode
from dataclasses import dataclass
from threading import Lock
from typing import Final

import urllib3

from holdfast.gateways.calls import bounded_request
from holdfast.gateways.port import GatewayCredentials, GatewayDenied, GatewayUnreachable

RENEW_BEFORE_EXPIRY_SECONDS: Final = 120
CLIENTS_MAX: Final = 256
"""How many clients' tokens are kept; the one fetched longest ago is dropped first."""
_TOKEN_PATH: Final = "/v1/oauth2/token"  # noqa: S105 -- an address


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    renew_at: float
    """Seconds on the monotonic clock."""


class AccessTokens:
    """Every client's current token, shared by the gateways of a process, which are created anew for each call."""

    def __init__(self, pool: urllib3.PoolManager) -> None:
        self._pool = pool
        self._tokens: dict[tuple[str, str, str], _Token] = {}
        self._lock = Lock()

    def token(
        self, base_url: str, credentials: GatewayCredentials, *, deadline_seconds: float, refused: str | None = None
    ) -> str:
        """Return a token that should still be valid.

        ``refused`` is a token that PayPal just rejected: a newer one is fetched, unless another thread has already done
        so.

        Raises GatewayUnreachable (the actual request was not sent yet), and GatewayDenied for an account without a
        client id or a client that PayPal does not accept.
        """
        if not credentials.client_id:
            raise GatewayDenied("A PayPal account needs a client id.", failure_code="client_id_missing")
        name = (base_url, credentials.client_id, credentials.api_key)
        with self._lock:
            known = self._tokens.get(name)
        if known is not None and known.value != refused and time.monotonic() < known.renew_at:
            return known.value
        # Two threads that ask at once both fetch a token; PayPal gives both the same one.
        fetched = self._fetch(base_url, credentials.client_id, credentials.api_key, deadline_seconds)
        with self._lock:
            self._tokens.pop(name, None)
            self._tokens[name] = fetched
            while len(self._tokens) > CLIENTS_MAX:
                del self._tokens[next(iter(self._tokens))]
        return fetched.value

    def _fetch(self, base_url: str, client_id: str, secret: str, deadline_seconds: float) -> _Token:
        asked_at = time.monotonic()
        basic = b64encode(f"{client_id}:{secret}".encode()).decode()
        answer = bounded_request(
            self._pool,
            "POST",
            base_url + _TOKEN_PATH,
            vendor="PayPal",
            headers={
                "Authorization": f"Basic {basic}",
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
                "User-Agent": "Holdfast",
            },
            body="grant_type=client_credentials",
            deadline_seconds=deadline_seconds,
            changes=False,
        )
        told = answer.json_object()
        if answer.status >= 400:
            raise GatewayDenied(
                f"PayPal gives no access: {told.get('error_description') or answer.status}",
                failure_code=str(told.get("error") or f"http_{answer.status}"),
                gateway="paypal",
            )
        value, seconds = told.get("access_token"), told.get("expires_in")
        if not isinstance(value, str) or not value or not isinstance(seconds, int):
            raise GatewayUnreachable("PayPal answered something that is no access token.")
        return _Token(value, asked_at + max(seconds - RENEW_BEFORE_EXPIRY_SECONDS, 1))
