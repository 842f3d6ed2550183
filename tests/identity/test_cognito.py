"""Guest tokens of a Cognito user pool, made with real calls and set up as template.yaml sets it up."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import jwt
import pytest

from holdfast.identity.cognito import CognitoGuestTokens
from holdfast.values.caller import CallerKind
from holdfast.values.errors import Transient
from holdfast.web.caller import caller_from
from tests.architecture.template import TEMPLATE


@dataclass(frozen=True)
class Pool:
    """A user pool with the template's attributes, and its client for guests."""

    cognito: Any
    id: str
    client_id: str

    @property
    def tokens(self) -> CognitoGuestTokens:
        return CognitoGuestTokens(self.id, self.client_id)


@pytest.fixture
def pool(aws: str) -> Iterator[Pool]:
    cognito = boto3.client("cognito-idp")
    own, guests = TEMPLATE.resources["UserPool"]["Properties"], TEMPLATE.resources["GuestClient"]["Properties"]
    made = cognito.create_user_pool(
        PoolName=f"pool-{uuid.uuid4().hex}",
        Policies=own["Policies"],
        Schema=own["Schema"],
        UsernameConfiguration=own["UsernameConfiguration"],
        AdminCreateUserConfig=own["AdminCreateUserConfig"],
    )["UserPool"]["Id"]
    client = cognito.create_user_pool_client(
        UserPoolId=made,
        ClientName="guests",
        ExplicitAuthFlows=guests["ExplicitAuthFlows"],
        ReadAttributes=guests["ReadAttributes"],
        WriteAttributes=guests["WriteAttributes"],
    )["UserPoolClient"]["ClientId"]
    yield Pool(cognito, made, client)
    cognito.delete_user_pool(UserPoolId=made)


def issue(pool: Pool, organization_id: uuid.UUID, guest_id: uuid.UUID) -> dict[str, Any]:
    issued = pool.tokens.issue(organization_id=organization_id, guest_id=guest_id)
    assert issued.expires_in_seconds > 0
    claims: dict[str, Any] = jwt.decode(issued.token, options={"verify_signature": False})
    return claims


def test_the_token_says_which_guest_of_which_shop(pool: Pool) -> None:
    organization_id, guest_id = uuid.uuid4(), uuid.uuid4()
    claims = issue(pool, organization_id, guest_id)
    caller = caller_from({"requestContext": {"authorizer": {"jwt": {"claims": claims}}}})
    assert (caller.organization_id, caller.kind, caller.guest_id) == (organization_id, CallerKind.GUEST, guest_id)
    assert claims["token_use"] == "id"
    assert claims["aud"] == pool.client_id


def test_every_guest_is_a_user_of_its_own(pool: Pool) -> None:
    organization_id = uuid.uuid4()
    subjects = {issue(pool, organization_id, uuid.uuid4())["sub"] for _ in range(3)}
    assert len(subjects) == 3
    users = pool.cognito.list_users(UserPoolId=pool.id)["Users"]
    assert {user["UserStatus"] for user in users} == {"CONFIRMED"}


def test_the_same_guest_is_not_issued_twice(pool: Pool) -> None:
    guest_id = uuid.uuid4()
    issue(pool, uuid.uuid4(), guest_id)
    with pytest.raises(Transient):
        issue(pool, uuid.uuid4(), guest_id)


def test_a_password_passes_the_templates_own_policy_every_time(pool: Pool) -> None:
    for _ in range(10):
        issue(pool, uuid.uuid4(), uuid.uuid4())


def test_a_pool_that_is_not_there_is_told_without_its_name(aws: str) -> None:
    with pytest.raises(Transient) as found:
        CognitoGuestTokens("us-east-1_nowhere", "c").issue(organization_id=uuid.uuid4(), guest_id=uuid.uuid4())
    assert "us-east-1_nowhere" not in found.value.detail
