"""Guest tokens from the development issuer, over real HTTP and as a verifier sees them."""

import socket
import uuid

import jwt
import pytest

from holdfast.identity.development import LIFETIME_SECONDS, DevelopmentGuestTokens
from holdfast.values.caller import CallerKind
from holdfast.values.errors import Transient
from holdfast.web.caller import caller_from
from local.issuer import AUDIENCE
from tests.identity.issuer_server import IssuerServer

ORGANIZATION, GUEST = uuid.uuid4(), uuid.uuid4()


def test_the_token_verifies_and_says_which_guest_of_which_shop(issuer: IssuerServer) -> None:
    issued = DevelopmentGuestTokens(issuer.url + "/").issue(organization_id=ORGANIZATION, guest_id=GUEST)
    claims = jwt.decode(
        issued.token, issuer.issuer.public_key, algorithms=["RS256"], audience=AUDIENCE, issuer=issuer.url
    )
    caller = caller_from({"requestContext": {"authorizer": {"jwt": {"claims": claims}}}})
    assert (caller.organization_id, caller.kind, caller.guest_id) == (ORGANIZATION, CallerKind.GUEST, GUEST)
    assert issued.expires_in_seconds == claims["exp"] - claims["iat"] == LIFETIME_SECONDS


@pytest.mark.parametrize(
    "answer", [(500, b"oops"), (200, b"<html>"), (200, b"{}"), (200, b"[]"), (200, b"null"), (302, b""), (200, b"\xff")]
)
def test_an_issuer_that_talks_nonsense_is_a_matter_of_time(issuer: IssuerServer, answer: tuple[int, bytes]) -> None:
    issuer.answers_instead = answer
    with pytest.raises(Transient):
        DevelopmentGuestTokens(issuer.url).issue(organization_id=ORGANIZATION, guest_id=GUEST)


def test_an_issuer_that_is_not_there_is_a_matter_of_time() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(Transient):
        DevelopmentGuestTokens(url).issue(organization_id=ORGANIZATION, guest_id=GUEST)
