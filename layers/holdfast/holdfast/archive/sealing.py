"""Personal data in the archive, sealed with a separate key for each customer; the same text gives the same bytes.

AES-SIV (RFC 5297) is deterministic and authenticates what it seals. A document that is built again is therefore the
same document, and a sealed part that was altered or moved to another order does not open. Customers' keys are wrapped
with a key that the database never sees.
"""

import os
from base64 import b64decode, b64encode
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

KEY_BYTES: Final = 64
"""AES-256-SIV takes two keys of 256 bits."""
_CACHED_KEYS_MAX: Final = 4_096


class BrokenSeal(Exception):
    """A sealed part, or a wrapped key, is not what was sealed or wrapped."""


class Keyring:
    """Wraps and unwraps customers' keys with the archive's own key, and seals with them.

    ``secret`` is a text of at least 32 random characters, from which the archive's key is derived.
    """

    def __init__(self, secret: str) -> None:
        if len(secret) < 32:
            raise ValueError("the archive's secret is too short")
        from cryptography.hazmat.primitives.hashes import SHA512  # noqa: PLC0415 -- only who reads sealed parts pays
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

        derived = HKDF(SHA512(), KEY_BYTES, None, b"holdfast archive: customer keys").derive(secret.encode())
        self._wrapping = _cipher(derived)

    def new_key(self, organization_id: UUID, customer_id: UUID) -> bytes:
        """Generate a key for a customer and return it wrapped."""
        wrapped: bytes = self._wrapping.encrypt(os.urandom(KEY_BYTES), [organization_id.bytes, customer_id.bytes])
        return wrapped

    def seal(self, text: str, organization_id: UUID, customer_id: UUID, order_id: UUID, wrapped_key: bytes) -> str:
        """Seal the personal part of an order and return it as base64."""
        key = self._unwrap(organization_id, customer_id, wrapped_key)
        return b64encode(_cipher(key).encrypt(text.encode(), [organization_id.bytes, order_id.bytes])).decode()

    def unseal(self, sealed: str, organization_id: UUID, customer_id: UUID, order_id: UUID, wrapped_key: bytes) -> str:
        """Return the text that was sealed. Raises BrokenSeal."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415

        key = self._unwrap(organization_id, customer_id, wrapped_key)
        try:
            text: bytes = _cipher(key).decrypt(b64decode(sealed), [organization_id.bytes, order_id.bytes])
        except (InvalidTag, ValueError) as error:
            raise BrokenSeal("the sealed part of the order does not open") from error
        return text.decode()

    def _unwrap(self, organization_id: UUID, customer_id: UUID, wrapped_key: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415

        try:
            key: bytes = self._wrapping.decrypt(bytes(wrapped_key), [organization_id.bytes, customer_id.bytes])
        except InvalidTag as error:
            raise BrokenSeal("the customer's key does not unwrap") from error
        return key


@lru_cache(maxsize=_CACHED_KEYS_MAX)
def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # noqa: PLC0415

    return AESSIV(key)
