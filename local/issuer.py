"""The development token issuer: OpenID Connect discovery, keys, and tokens for anybody who asks on this machine.

It takes the place of a user pool in the cloud. Its key is kept in the state folder, so that tokens survive a restart.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

AUDIENCE = "holdfast"
ALGORITHM = "RS256"
KEY_ID = "holdfast-development"
KEY_BITS = 2048
LIFETIME_SECONDS = 12 * 3600
LIFETIME_MAX_SECONDS = 30 * 24 * 3600


class Issuer:
    """Signs tokens as `url`. Create one per process; all that share a folder share the key."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self._key = _kept_key(folder / "issuer.pem")
        self.public_key = self._key.public_key()

    def sign(self, claims: Mapping[str, Any], *, now: datetime, lifetime_seconds: int = LIFETIME_SECONDS) -> str:
        """Return a token with these claims, valid from `now`.

        The issuer, audience and times are set here, whatever the claims.
        """
        if not 0 < lifetime_seconds <= LIFETIME_MAX_SECONDS:
            raise ValueError(f"a token lives 1 to {LIFETIME_MAX_SECONDS} seconds")
        own = {
            "iss": self.url,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + timedelta(seconds=lifetime_seconds),
            "jti": str(uuid.uuid4()),
            "token_use": "id",
        }
        return jwt.encode({**claims, **own}, self._key, algorithm=ALGORITHM, headers={"kid": KEY_ID})

    def discovery(self) -> dict[str, Any]:
        """Return the document of OpenID Connect Discovery 1.0."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks.json",
            "token_endpoint": f"{self.url}/token",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
        }

    def jwks(self) -> dict[str, Any]:
        """Return the public key (RFC 7517)."""
        return {"keys": [RSAAlgorithm.to_jwk(self.public_key, as_dict=True) | {"kid": KEY_ID, "use": "sig"}]}

    def answer(self, body: bytes, *, now: datetime) -> tuple[int, dict[str, Any]]:
        """Return status and answer of `POST /token` with `{"claims": {...}, "expires_in_seconds"?: 3600}`."""
        try:
            wish = json.loads(body)
            claims = wish["claims"]
            lifetime = int(wish.get("expires_in_seconds", LIFETIME_SECONDS))
            token = self.sign({**claims, "sub": str(claims["sub"])}, now=now, lifetime_seconds=lifetime)
        except (ValueError, TypeError, LookupError) as problem:
            return 400, {"error": "invalid_request", "error_description": str(problem)}
        return 200, {"token": token, "token_type": "Bearer", "expires_in_seconds": lifetime}


def _kept_key(path: Path) -> RSAPrivateKey:
    if not path.exists():
        key = generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(pem)
    loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(loaded, RSAPrivateKey):
        raise ValueError(f"{path} holds no RSA key; `make reset` makes a new one")  # noqa: TRY004 (a file's content)
    return loaded
