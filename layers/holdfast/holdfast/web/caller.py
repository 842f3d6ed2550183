"""Turns the verified claims of a token into a ``Caller``."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from holdfast.identity.port import GUEST_SUBJECT_PREFIX
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import Unauthenticated

SUBJECT_MAX_CHARACTERS: Final = 255
EMAIL_MAX_CHARACTERS: Final = 254


def caller_from(event: Mapping[str, Any]) -> Caller:
    """Return the caller of an HTTP API event whose token the authorizer has verified.

    Raises Unauthenticated for a token that names no organization or has invalid claims.
    """
    claims = _claims(event)
    try:
        kind = CallerKind(claims.get("custom:kind") or "customer")
        organization_id = UUID(claims["custom:organization_id"])
        subject = _subject(claims["sub"])
        guest_id = _guest_id(claims) if kind is CallerKind.GUEST else None
    except (KeyError, ValueError, AttributeError) as error:
        raise Unauthenticated("the token does not say whose it is and for which shop") from error
    return Caller(organization_id, kind, subject, _email(claims.get("email")), guest_id)


def _claims(event: Mapping[str, Any]) -> Mapping[str, Any]:
    value: Any = event
    for name in ("requestContext", "authorizer", "jwt", "claims"):
        value = value.get(name) or {}
    claims: Mapping[str, Any] = value
    return claims


def _subject(text: str) -> str:
    """Check and return the subject: 1 to 255 case-sensitive ASCII characters (OpenID Connect Core, section 2)."""
    if not 1 <= len(text) <= SUBJECT_MAX_CHARACTERS or not text.isprintable():
        raise ValueError("not a subject")
    return text


def _email(text: str | None) -> str | None:
    """Return the token's email address if it is valid, and None otherwise: a shopper can send one with the order."""
    return text if text and len(text) <= EMAIL_MAX_CHARACTERS and text.isprintable() and "@" in text else None


def _guest_id(claims: Mapping[str, Any]) -> UUID:
    """Return the guest's id.

    Cognito chooses ``sub`` itself and keeps the id in an attribute; the development issuer puts it into ``sub``.
    """
    text = claims.get("custom:guest_id") or str(claims["sub"]).removeprefix(GUEST_SUBJECT_PREFIX)
    return UUID(text)
