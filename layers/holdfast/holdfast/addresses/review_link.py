"""The link in the mail that asks a shopper to check an address: what it carries, and how it is told from a guess.

A link names one review of one organization and the instant at which it expires, and is signed (HMAC-SHA256). Without
the key nobody can make a link, change one, or transfer one to another review. That it is used only once is the review's
own state: its nonce is compared, and a review that has ended accepts no link any more.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

from holdfast.values.errors import Rejected
from holdfast.values.return_url import valid_template

SETTING: Final = "address_review_page_url"
TOKEN_MAX_CHARACTERS: Final = 256
KEY_MIN_BYTES: Final = 32
KEYS_MAX: Final = 2
"""The current key and the previous one: links mailed under the old key keep working while the new one is rolled out."""

_PURPOSE: Final = b"holdfast address review link"
"""Part of what is signed, so that a signature made with the same key for another purpose is not valid here."""
_VERSION: Final = b"\x01"
_NONCE_FORM: Final = re.compile(r"[0-9a-f]{32}")
_IDS_END: Final = 33
_NONCE_BEGIN: Final = 41
_LENGTH: Final = 57
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class LinkInvalid(Rejected):
    """The link is not one of this system's: guessed, cut short, changed, or signed with a key that was withdrawn."""

    code: ClassVar[str] = "link_invalid"


class LinkExpired(Rejected):
    """The deadline of the review has passed."""

    code: ClassVar[str] = "link_expired"


class LinkUsed(Rejected):
    """The address was settled before, by this link or otherwise."""

    code: ClassVar[str] = "link_used"


@dataclass(frozen=True, slots=True)
class ReviewLink:
    """The content of a link whose signature was valid."""

    review_id: UUID
    organization_id: UUID
    nonce: str
    expires_at: datetime


def make_token(review_id: UUID, organization_id: UUID, nonce: str, expires_at: datetime, key: bytes) -> str:
    """Return the signed part of the link: letters, digits, ``-``, ``_`` and one dot.

    ``nonce`` is the review's: 32 hexadecimal digits. Raises ``ValueError`` for a key that is too short to sign with, or
    for an invalid nonce.
    """
    if not _NONCE_FORM.fullmatch(nonce):
        raise ValueError("a nonce is 32 hexadecimal digits")
    instant = (expires_at - _EPOCH) // _MICROSECOND
    body = _VERSION + organization_id.bytes + review_id.bytes + instant.to_bytes(8, "big") + bytes.fromhex(nonce)
    return f"{_encoded(body)}.{_encoded(_signature(body, key))}"


def read_token(token: str, keys: Sequence[bytes], now: datetime) -> ReviewLink:
    """Return the content of the link if one of the keys signed it.

    Raises LinkInvalid, always with the same words, or LinkExpired. The time taken does not reveal which key it was, or
    how much of the signature was right.
    """
    body, signature = _parts(token)
    signed_by = [hmac.compare_digest(_signature(body, key), signature) for key in keys]
    if not any(signed_by):
        raise _invalid()
    link = ReviewLink(
        organization_id=UUID(bytes=body[1:17]),
        review_id=UUID(bytes=body[17:_IDS_END]),
        expires_at=_EPOCH + int.from_bytes(body[_IDS_END:_NONCE_BEGIN], "big") * _MICROSECOND,
        nonce=body[_NONCE_BEGIN:].hex(),
    )
    if now >= link.expires_at:
        raise LinkExpired("the time to check the address is over")
    return link


def keys_of(secret: Mapping[str, Any]) -> list[bytes]:
    """Return the keys of a secret ``{"current": ..., "previous": ...}``, beginning with the one to sign with.

    Raises ``ValueError`` when there is no current key, or when a key is too short.
    """
    keys = [str(secret[name]).encode() for name in ("current", "previous") if secret.get(name)]
    if not secret.get("current") or any(len(key) < KEY_MIN_BYTES for key in keys):
        raise ValueError(f"the keys of address review links are at least {KEY_MIN_BYTES} bytes long")
    return keys[:KEYS_MAX]


def page_url(settings: Mapping[str, Any], default: str, token: str) -> str | None:
    """Return the storefront page for one link, or ``None`` where neither the shop nor the deployment has one."""
    template = settings.get(SETTING) or default
    return valid_page(template).replace("{token}", token) if template else None


def valid_page(template: str) -> str:
    """Return the template itself.

    Raises ``ValueError`` unless it is an address of the storefront that contains ``{token}``.
    """
    if "{token}" not in valid_template(template, "token"):
        raise ValueError(f"{template[:200]!r} has no {{token}}: every shopper would come to the same page")
    return template


def _invalid() -> LinkInvalid:
    return LinkInvalid("there is no such link")


def _parts(token: str) -> tuple[bytes, bytes]:
    body_text, dot, signature_text = token.partition(".")
    if len(token) > TOKEN_MAX_CHARACTERS or not token.isascii() or not dot:
        raise _invalid()
    body, signature = _decoded(body_text), _decoded(signature_text)
    if len(body) != _LENGTH or body[:1] != _VERSION:
        raise _invalid()
    return body, signature


def _signature(body: bytes, key: bytes) -> bytes:
    if len(key) < KEY_MIN_BYTES:
        raise ValueError(f"a key of {len(key)} bytes is too short to sign with")
    return hmac.digest(key, _PURPOSE + body, hashlib.sha256)


def _encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    """Decode base64.

    Raises LinkInvalid unless ``text`` is the canonical form of these bytes, so that a link can be written in only one
    way.
    """
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid() from error
    if _encoded(octets) != text:
        raise _invalid()
    return octets
