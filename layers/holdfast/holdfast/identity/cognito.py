"""Guest tokens from the Cognito user pool: a guest is a user of the pool whose password nobody ever learns.

A single issuer for guests, customers and staff lets the HTTP API's JWT authorizer verify them all.
"""

import secrets
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from holdfast.identity.port import GUEST_SUBJECT_PREFIX, GuestToken
from holdfast.values.errors import Transient

_PASSWORD_BYTES: Final = 32


class CognitoGuestTokens:
    """Creates the guest in the pool, signs in once, and forgets the password."""

    def __init__(self, user_pool_id: str, client_id: str) -> None:
        self._pool = user_pool_id
        self._client_id = client_id

    @cached_property
    def _client(self) -> Any:
        import boto3  # noqa: PLC0415 -- only the guest session function needs it

        return boto3.client("cognito-idp")

    def issue(self, *, organization_id: UUID, guest_id: UUID) -> GuestToken:
        """See ``GuestTokens.issue``. Of Cognito's tokens, the ID token carries the custom attributes."""
        username = f"{GUEST_SUBJECT_PREFIX}{guest_id}"
        password = f"Aa1-{secrets.token_urlsafe(_PASSWORD_BYTES)}"
        attributes = [
            {"Name": "custom:organization_id", "Value": str(organization_id)},
            {"Name": "custom:kind", "Value": "guest"},
            {"Name": "custom:guest_id", "Value": str(guest_id)},
        ]
        try:
            self._client.admin_create_user(
                UserPoolId=self._pool, Username=username, UserAttributes=attributes, MessageAction="SUPPRESS"
            )
            self._client.admin_set_user_password(
                UserPoolId=self._pool, Username=username, Password=password, Permanent=True
            )
            answer = self._client.admin_initiate_auth(
                UserPoolId=self._pool,
                ClientId=self._client_id,
                AuthFlow="ADMIN_USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": username, "PASSWORD": password},
            )
        except Exception as error:
            raise Transient(f"the user pool does not answer: {type(error).__name__}") from error
        result = answer["AuthenticationResult"]
        return GuestToken(str(result["IdToken"]), int(result["ExpiresIn"]))
