"""From the verified claims of a token to a ``Caller``."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from holdfast.identity.port import GUEST_SUBJECT_PREFIX
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import Unauthenticated


def caller_from(event: Mapping[str, Any]) -> Caller:
    """The caller of an HTTP API event whose token the authorizer has verified.

    Raises Unauthenticated for a token that names no organization or makes no sense.
    """
    claims = event.get("requestContext", {}).get("authorizer", {}).get("jwt", {}).get("claims", {})
    try:
        kind = CallerKind(claims.get("custom:kind") or "customer")
        organization_id = UUID(claims["custom:organization_id"])
        subject = str(claims["sub"])
        guest_id = _guest_id(claims) if kind is CallerKind.GUEST else None
    except (KeyError, ValueError) as error:
        raise Unauthenticated("the token does not say whose it is and for which shop") from error
    return Caller(organization_id, kind, subject, claims.get("email"), guest_id)


def _guest_id(claims: Mapping[str, Any]) -> UUID:
    """Cognito chooses ``sub`` by itself and carries the guest's id as an attribute; the development issuer signs it as ``sub``."""
    text = claims.get("custom:guest_id") or str(claims["sub"]).removeprefix(GUEST_SUBJECT_PREFIX)
    return UUID(text)
