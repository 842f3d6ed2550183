"""Guest tokens from the development issuer of the local system, which signs whatever claims it is given."""

import json
from typing import Final
from uuid import UUID

import urllib3

from holdfast.identity.port import GUEST_SUBJECT_PREFIX, GuestToken
from holdfast.values.errors import Transient

LIFETIME_SECONDS: Final = 3600
_TIMEOUT: Final = urllib3.Timeout(connect=2, read=5)


class DevelopmentGuestTokens:
    """Requests guest tokens from the local issuer over HTTP."""

    def __init__(self, issuer_url: str) -> None:
        self._url = issuer_url.rstrip("/") + "/token"
        self._http = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)

    def issue(self, *, organization_id: UUID, guest_id: UUID) -> GuestToken:
        """See ``GuestTokens.issue``."""
        claims = {
            "sub": f"{GUEST_SUBJECT_PREFIX}{guest_id}",
            "custom:organization_id": str(organization_id),
            "custom:kind": "guest",
        }
        body = json.dumps({"claims": claims, "expires_in_seconds": LIFETIME_SECONDS})
        try:
            answer = self._http.request("POST", self._url, body=body, headers={"content-type": "application/json"})
        except urllib3.exceptions.HTTPError as error:
            raise Transient("the token issuer does not answer") from error
        if answer.status != 200:
            raise Transient(f"the token issuer answered {answer.status}")
        try:
            return GuestToken(str(answer.json()["token"]), LIFETIME_SECONDS)
        except (ValueError, LookupError, TypeError) as error:
            raise Transient("the token issuer answered with no token") from error
