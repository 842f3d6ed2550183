"""API Gateway's JWT authorizer: checks RS256 signature, issuer, audience and times, and passes claims on as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from local.model import JwtSettings

VERIFIED_MAX = 10_000
TOKEN_MAX_BYTES = 16 * 1024


class Unauthorized(Exception):
    """There is no token, or it is not valid. `reason` is for the log, never for the caller."""


class JwtAuthorizer:
    """Verifies bearer tokens. A verified token is remembered until it expires, because its signature cannot change."""

    def __init__(self, settings: JwtSettings, key: RSAPublicKey) -> None:
        self._settings = settings
        self._key = key
        self._verified: dict[str, tuple[float, dict[str, str]]] = {}

    def claims(self, header: str | None, now: float) -> Mapping[str, str]:
        """Return the claims of the Authorization header's token at `now` (Unix seconds, UTC). Raises Unauthorized."""
        scheme, _, token = (header or "").strip().rpartition(" ")
        if not token or scheme.strip().lower() not in ("", "bearer") or len(token) > TOKEN_MAX_BYTES:
            raise Unauthorized("there is no bearer token")
        known = self._verified.get(token)
        if known is not None and known[0] > now:
            return known[1]
        try:
            raw = jwt.decode(
                token,
                self._key,
                algorithms=["RS256"],
                issuer=self._settings.issuer,
                audience=list(self._settings.audiences),
                options={
                    "require": ["exp", "iss", "aud"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            begins, ends = float(raw.get("nbf", now)), float(raw["exp"])
        except (jwt.InvalidTokenError, TypeError, ValueError) as problem:
            raise Unauthorized(str(problem)) from problem
        if not begins <= now < ends:
            self._verified.pop(token, None)
            raise Unauthorized("the token is not valid at this time")
        claims = {name: _text(value) for name, value in raw.items()}
        while len(self._verified) >= VERIFIED_MAX:
            del self._verified[next(iter(self._verified))]
        self._verified[token] = (ends, claims)
        return claims


def _text(value: Any) -> str:
    """Return a claim as the authorizer passes it on: text as it is, a list as `[a b]`, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{' '.join(map(_text, value))}]"
    return json.dumps(value, separators=(",", ":"))
