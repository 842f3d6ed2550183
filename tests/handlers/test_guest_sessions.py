"""A guest gets an identity in exchange for the shop's publishable key."""

import jwt
import pytest

from holdfast.identity.development import DevelopmentGuestTokens
from tests.handlers.door import Door, checkout_body
from tests.identity.issuer_server import IssuerServer

SESSIONS = "POST /v1/guest-sessions"


@pytest.fixture
def desk(door: Door, issuer: IssuerServer) -> Door:
    """Return a door whose guests get tokens from a real issuer."""
    door.house.runtime.__dict__["guest_tokens"] = DevelopmentGuestTokens(issuer.url)
    return door


def test_a_guest_gets_a_token_and_checks_out_with_it(desk: Door) -> None:
    desk.house.add_variant(stock=1)
    session = desk.send(desk.sample("guest_sessions/start"))
    assert session.status == 201
    claims = jwt.decode(session.body["token"], options={"verify_signature": False})
    order = desk.ask("POST /v1/checkout", checkout_body(email="guest@example.com"), who=claims).body["order"]
    assert order["customer_id"] == session.body["customer_id"]
    assert desk.ask("GET /v1/orders/{reference}", who=claims, reference=order["id"]).status == 200


def test_a_guest_without_an_address_for_mail_is_told_so(desk: Door) -> None:
    desk.house.add_variant(stock=1)
    reply = desk.ask("POST /v1/checkout", checkout_body(), who=desk.guest())
    assert (reply.status, reply.body["errors"][0]["field"]) == (422, "email")


def test_nothing_is_written_for_a_guest_who_only_looks_around(desk: Door) -> None:
    before = desk.rows_of_all_tables()
    assert desk.send(desk.sample("guest_sessions/start")).status == 201
    assert desk.rows_of_all_tables() == before


@pytest.mark.parametrize("key", ["", "pk_of_nobody_0123456789", "%", "' OR true --"])
def test_a_key_that_no_shop_has_opens_nothing(desk: Door, key: str) -> None:
    reply = desk.ask(SESSIONS, who={}, headers={"x-publishable-key": key})
    assert (reply.status, reply.body["code"]) == (401, "unauthenticated")


def test_a_missing_or_endless_key_is_told(desk: Door) -> None:
    assert desk.ask(SESSIONS, who={}).status == 400
    assert desk.ask(SESSIONS, who={}, headers={"x-publishable-key": "k" * 81}).status == 422


def test_a_suspended_shop_lets_nobody_in(desk: Door) -> None:
    desk.house.sql("UPDATE tenancy.organizations SET status = 'suspended'")
    reply = desk.send(desk.sample("guest_sessions/start"))
    assert reply.status == 401


def test_an_issuer_that_is_down_is_a_matter_of_time(desk: Door) -> None:
    desk.house.runtime.__dict__["guest_tokens"] = DevelopmentGuestTokens("http://127.0.0.1:9")
    reply = desk.send(desk.sample("guest_sessions/start"))
    assert (reply.status, reply.body["code"]) == (503, "unavailable")
    assert int(reply.headers["retry-after"]) >= 1
