"""Webhooks: only what a gateway signed is stored; everything else is counted and leaves no other trace."""

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast.secrets.store import SecretStore
from local.sample_events import stripe_signature
from tests.handlers.door import PROBLEM, Door, Reply
from tests.house import House

WEBHOOK = "POST /v1/webhooks/{gateway}/{endpoint_key}"
EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "payment_intent.succeeded",
    "created": 1_763_596_800,
    "data": {"object": {"id": "pi_1", "amount": 100, "amount_received": 100, "currency": "usd", "metadata": {}}},
}


@pytest.fixture
def unchanged(shared_door: Door) -> Iterator[None]:
    before = shared_door.rows_of_all_tables()
    yield
    assert shared_door.rows_of_all_tables() == before


def deliver(
    door: Door,
    body: bytes | str,
    *,
    secret: str | None = None,
    seconds_ago: int = 0,
    signature: str | None = None,
    endpoint: str | None = None,
    encoded: bool = False,
    gateway: str = "stripe",
) -> Reply:
    raw = body.encode() if isinstance(body, str) else body
    if signature is None:
        at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
        signature = stripe_signature(raw, secret=secret or door.house.webhook_secret, now=at)
    text = base64.b64encode(raw).decode() if encoded else raw.decode()
    return door.ask(
        WEBHOOK,
        text,
        who={},
        key=None,
        headers={"stripe-signature": signature},
        base64_encoded=encoded,
        gateway=gateway,
        endpoint_key=door.house.endpoint_key if endpoint is None else endpoint,
    )


def test_the_signature_is_over_the_bytes_and_not_over_their_meaning(door: Door) -> None:
    spaced = json.dumps(EVENT, indent=3, ensure_ascii=False) + "\r\n\u00e9"[:2]
    assert deliver(door, spaced).status == 200
    signature = stripe_signature(spaced.encode(), secret=door.house.webhook_secret, now=door.house.clock())
    assert deliver(door, json.dumps(EVENT), signature=signature).status == 401


def test_a_body_in_base64_is_verified_as_the_bytes_it_stands_for(door: Door) -> None:
    assert deliver(door, json.dumps(EVENT), encoded=True).status == 200
    assert door.house.value("SELECT count(*) FROM payments.payment_events") == 1


def test_a_delivery_that_comes_twice_at_once_or_again_is_one_event(door: Door) -> None:
    replies = [deliver(door, json.dumps(EVENT)) for _ in range(3)]
    assert {reply.status for reply in replies} == {200}
    assert door.house.value("SELECT count(*) FROM payments.payment_events") == 1


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("endpoint", ["nobody", "x" * 64, "\u00e9", "' OR '1'='1", "..", "%2e%2e"])
def test_an_endpoint_that_is_nobodys_is_not_found(shared_door: Door, endpoint: str) -> None:
    reply = deliver(shared_door, json.dumps(EVENT), endpoint=endpoint)
    assert (reply.status, reply.content_type, reply.body["code"]) == (404, PROBLEM, "not_found")


@pytest.mark.usefixtures("unchanged")
def test_a_gateway_that_is_not_wired_is_not_found(shared_door: Door) -> None:
    assert deliver(shared_door, json.dumps(EVENT), gateway="paypal").status == 404
    assert deliver(shared_door, json.dumps(EVENT), gateway="STRIPE").status == 422


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "signature",
    [
        "",
        "t=,v1=",
        "v1=00",
        f"t={int(time.time())}",
        f"t={int(time.time())},v1=" + "0" * 64,
        f"t={int(time.time())},v0=" + "0" * 64,
        f"t={int(time.time())}," + "v1=" + "f" * 5000,
        "t=" + "9" * 400 + ",v1=" + "0" * 64,
        "t=-1,v1=" + "0" * 64,
        "\u0661=\u0662",
        ",,,,;;;",
    ],
    ids=lambda signature: f"{len(signature)} characters",
)
def test_a_bad_signature_leaves_a_count_and_nothing_else(
    shared_door: Door, signature: str, capsys: pytest.CaptureFixture[str]
) -> None:
    reply = deliver(shared_door, json.dumps(EVENT), signature=signature)
    assert (reply.status, reply.body["code"]) == (401, "signature_invalid")
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    counted = [
        (each["WebhookSignatureInvalid"], each["Gateway"]) for each in metrics if "WebhookSignatureInvalid" in each
    ]
    assert counted == [([1.0], "stripe")]
    # The alarm watches a total without dimensions, because an alarm cannot add up metrics that have dimensions.
    (alarming,) = [metric for metric in metrics if "WebhooksRefused" in metric]
    assert (alarming["WebhooksRefused"], alarming["_aws"]["CloudWatchMetrics"][0]["Dimensions"]) == ([1.0], [[]])


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("seconds_ago", [302, 86_400, -302])
def test_an_old_or_a_coming_timestamp_is_no_proof(shared_door: Door, seconds_ago: int) -> None:
    assert deliver(shared_door, json.dumps(EVENT), seconds_ago=seconds_ago).status == 401


def test_a_timestamp_within_five_minutes_is_good(door: Door) -> None:
    assert deliver(door, json.dumps(EVENT), seconds_ago=290).status == 200


def test_the_secret_of_another_organization_proves_nothing(
    door: Door, stripe_url: str, secret_store: SecretStore
) -> None:
    with House(door.house.owner, stripe_url, secret_store) as other:
        before = door.rows_of_all_tables()
        for secret, endpoint in (
            (other.webhook_secret, door.house.endpoint_key),
            (door.house.webhook_secret, other.endpoint_key),
        ):
            assert deliver(door, json.dumps(EVENT), secret=secret, endpoint=endpoint).status == 401
        assert door.rows_of_all_tables() == before


def nested(depth: int) -> str:
    return '{"id":"evt_1","type":"x","created":1,"data":{"object":' + "[" * depth + "]" * depth + "}}"


GARBAGE: dict[str, tuple[bytes, int]] = {
    "a megabyte of noise": (bytes(range(256)) * 4096, 413),
    "a megabyte of JSON": (json.dumps(EVENT | {"padding": "x" * 1024 * 1024}).encode(), 413),
    "nothing": (b"", 422),
    "cut off": (json.dumps(EVENT).encode()[:-20], 422),
    "not UTF-8": (b'{"id": "evt_\xff"}', 422),
    "UTF-16": (json.dumps([EVENT]).encode("utf-16"), 422),
    "a list": (json.dumps([EVENT]).encode(), 422),
    "a number": (b"1", 422),
    "null": (b"null", 422),
    "100,000 levels deep": (nested(100_000).encode(), 422),
    "a time of 5,000 digits": (b'{"id":"e","type":"x","data":{"object":{}},"created":' + b"9" * 5000 + b"}", 422),
    "an id that is no text": (json.dumps(EVENT | {"id": 7}).encode(), 422),
}
UNREADABLE: dict[str, dict[str, Any]] = {
    "a time of 400 digits": EVENT | {"created": 10**400},
    "no data": EVENT | {"data": None},
    "an amount that is a text": EVENT | {"data": {"object": EVENT["data"]["object"] | {"amount": "a"}}},  # type: ignore[index]
}
"""Events that have an id and a type but cannot be read."""


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("case", sorted(GARBAGE))
def test_garbage_is_refused_even_when_it_is_signed(shared_door: Door, case: str) -> None:
    body, status = GARBAGE[case]
    reply = deliver(shared_door, body, encoded=True)
    assert (reply.status, reply.content_type) == (status, PROBLEM), reply.raw


@pytest.mark.parametrize("case", sorted(UNREADABLE))
def test_a_signed_event_that_cannot_be_read_is_taken_and_goes_to_a_person(door: Door, case: str) -> None:
    assert deliver(door, json.dumps(UNREADABLE[case])).status == 200
    door.house.clock.now = datetime.now(UTC)  # the functions behind the door use the machine's clock
    assert door.house.work() == ["dead_lettered"]
    assert door.house.value("SELECT payload FROM payments.dead_letters") == UNREADABLE[case]


@pytest.mark.usefixtures("unchanged")
def test_what_claims_to_be_base64_and_is_not_is_malformed(shared_door: Door) -> None:
    path: dict[str, Any] = {"gateway": "stripe", "endpoint_key": shared_door.house.endpoint_key}
    reply = shared_door.ask(WEBHOOK, "*not base64*", who={}, key=None, base64_encoded=True, **path)
    assert (reply.status, reply.body["code"]) == (400, "malformed_request")


@pytest.mark.parametrize("text", ["nul \x00 inside", "half \ud83d a character"])
def test_text_that_the_database_cannot_hold_does_not_make_the_gateway_come_back_for_days(door: Door, text: str) -> None:
    written = r"\u0000 \\ud83d \" \n 😀 é"
    intent = {**EVENT["data"]["object"], "description": text + written}  # type: ignore[index]
    reply = deliver(door, json.dumps(EVENT | {"data": {"object": intent}}))
    assert reply.status == 200, reply.raw
    kept = door.house.value("SELECT payload #>> '{data,object,description}' FROM payments.payment_events")
    assert kept == text.replace("\x00", "\ufffd").replace("\ud83d", "\ufffd") + written


def test_the_default_endpoint_is_as_strict(door: Door) -> None:
    door.house.sql("UPDATE tenancy.gateway_accounts SET endpoint_key = 'default-stripe'")
    before = door.rows_of_all_tables()

    def answer(body: str, *, secret: str = door.house.webhook_secret, encoded: bool = False) -> int:
        signature = stripe_signature(body.encode(), secret=secret, now=datetime.now(UTC))
        headers = {"stripe-signature": signature}
        default = "POST /v1/webhooks/{gateway}"
        return door.ask(
            default, body, who={}, key=None, headers=headers, base64_encoded=encoded, gateway="stripe"
        ).status

    assert answer("[]") == 422
    assert answer("{}", secret="whsec_wrong") == 401
    assert answer("*", encoded=True) == 400
    assert answer("x" * 600_000) == 413
    assert door.rows_of_all_tables() == before
    assert answer(json.dumps(EVENT)) == 200


def test_the_correlation_id_of_the_delivery_is_kept_with_the_event(door: Door) -> None:
    assert deliver(door, json.dumps(EVENT)).status == 200
    kept = door.house.value("SELECT correlation_id FROM payments.payment_events")
    assert len(kept) == 32


def test_a_secret_that_cannot_be_read_is_a_matter_of_time(door: Door) -> None:
    door.house.sql("UPDATE tenancy.gateway_accounts SET secret_reference = 'holdfast/lost'")
    reply = deliver(door, json.dumps(EVENT))
    assert (reply.status, reply.body["code"]) == (503, "unavailable")
    assert "holdfast/lost" not in reply.raw
    assert "retry-after" in reply.headers
