"""The webhooks of every gateway at the function.

What the gateway signed for the endpoint is stored once. Everything else is refused and counted, and leaves nothing
behind.
"""

import json
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from holdfast.gateways.registry import GATEWAYS
from holdfast.runtime import use
from holdfast.secrets.store import SecretStore
from holdfast.values.ids import uuid7
from local.sample_events import stripe_signature
from tests.gateways.receiver import Received
from tests.handlers.door import Door, Reply
from tests.house import House
from tests.till import Till

WEBHOOK = "POST /v1/webhooks/{gateway}/{endpoint_key}"
SIGNATURES = (
    "stripe-signature",
    "x-square-hmacsha256-signature",
    "paypal-transmission-sig",
    "authorization",
)
Spoil = Callable[[Received], Received]


@pytest.fixture
def till(till: Till) -> Iterator[Till]:
    """Yield a house with an account at a gateway; each gateway takes its turn."""
    yield till
    use(None)


def genuine(till: Till) -> Received:
    """Return a webhook that the gateway made for this endpoint."""
    till.place()
    return till.telling()


def knock(till: Till, delivery: Received, *, endpoint_key: str | None = None, gateway: str | None = None) -> Reply:
    return Door(till.house).ask(
        WEBHOOK,
        b64encode(delivery.body).decode(),
        who={},
        key=None,
        headers=delivery.headers,
        base64_encoded=True,
        gateway=gateway or till.gateway,
        endpoint_key=endpoint_key or till.endpoint_key,
    )


def metrics(capsys: pytest.CaptureFixture[str], name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    return [line for line in lines if name in line]


def test_a_webhook_is_kept_and_answered_in_the_gateways_own_words(till: Till) -> None:
    delivery = genuine(till)
    reply = knock(till, delivery)
    wanted = GATEWAYS[till.gateway].webhook_answer
    assert (reply.status, reply.raw, reply.content_type) == (200, wanted.body, wanted.content_type)
    kept = "SELECT count(*) FROM payments.payment_events WHERE gateway_event_type <> 'answer' AND gateway = :g"
    assert till.house.value(kept, g=till.gateway) == 1


def test_a_replayed_webhook_is_acknowledged_and_stored_once(till: Till, capsys: pytest.CaptureFixture[str]) -> None:
    delivery = genuine(till)
    before = Door(till.house).rows_of_all_tables()["payments.payment_events"]
    replies = [knock(till, delivery) for _ in range(3)]
    assert {(reply.status, reply.raw) for reply in replies} == {(200, replies[0].raw)}
    assert Door(till.house).rows_of_all_tables()["payments.payment_events"] == before + 1
    assert [line["WebhookEventsStored"] for line in metrics(capsys, "WebhookEventsStored")] == [[1.0], [0.0], [0.0]]


def with_body(body: bytes) -> Spoil:
    return lambda delivery: replace(delivery, body=body)


def with_header(name: str, value: str | None) -> Spoil:
    def spoil(delivery: Received) -> Received:
        headers = {key: given for key, given in delivery.headers.items() if key != name}
        return replace(delivery, headers=headers if value is None else {**headers, name: value})

    return spoil


def unsigned(delivery: Received) -> Received:
    """Remove the signature: every header that carries one, and Adyen's, which is in the body."""
    headers = {name: value for name, value in delivery.headers.items() if name not in SIGNATURES}
    return Received(headers, delivery.body.replace(b"hmacSignature", b"noSignature"))


def tampered(delivery: Received) -> Received:
    """Change one digit of the amount."""
    body = delivery.body.replace(b"2857", b"2858").replace(b"28.57", b"28.58")
    assert body != delivery.body
    return replace(delivery, body=body)


def truncated(delivery: Received) -> Received:
    return replace(delivery, body=delivery.body[:-20])


def recoded(delivery: Received) -> Received:
    """Encode the same text as other bytes; it is the bytes that were signed."""
    return replace(delivery, body=delivery.body.decode().encode("utf-16"))


def garbage(delivery: Received) -> Received:
    """Replace the body by a megabyte of garbage, under the genuine headers."""
    return replace(delivery, body=bytes(range(256)) * 4096)


REFUSED: Mapping[str, tuple[Spoil, int]] = {
    "unsigned": (unsigned, 401),
    "tampered with": (tampered, 401),
    "truncated": (truncated, 401),
    "empty": (with_body(b""), 401),
    "not UTF-8": (with_body(b"\xff\xfe\x00"), 401),
    "null": (with_body(b"null"), 401),
    "a megabyte of garbage": (garbage, 413),
}
ADYEN_READS_FIRST = {"truncated": 422, "empty": 422, "not UTF-8": 422, "null": 422}
"""Adyen's signatures are inside the body, so a body that is not a notification has none to check."""


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_the_gateway_did_not_sign_is_refused_and_counted(
    till: Till, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, status = REFUSED[case]
    if till.gateway == "adyen":
        status = ADYEN_READS_FIRST.get(case, status)
    delivery = genuine(till)
    before = Door(till.house).rows_of_all_tables()
    capsys.readouterr()
    reply = knock(till, spoil(delivery))
    assert (reply.status, Door(till.house).rows_of_all_tables()) == (status, before)
    (counted,) = metrics(capsys, "WebhooksRefusedBy")
    assert (counted["WebhooksRefusedBy"], counted["Gateway"], counted["Reason"]) == (
        [1.0],
        till.gateway,
        {401: "signature_invalid", 413: "payload_too_large", 422: "invalid_input"}[status],
    )


@pytest.mark.parametrize("stage", ["stripe", "paypal", "square"], indirect=True)
def test_the_same_text_in_other_bytes_is_not_what_was_signed(till: Till) -> None:
    """Adyen is left out because it alone signs the values and not the bytes."""
    delivery = genuine(till)
    before = Door(till.house).rows_of_all_tables()
    reply = knock(till, recoded(delivery))
    assert (reply.status, Door(till.house).rows_of_all_tables()) == (401, before)


def test_the_endpoint_of_another_organization_is_no_place_for_it(
    till: Till, secret_store: SecretStore, capsys: pytest.CaptureFixture[str]
) -> None:
    delivery = genuine(till)
    with House(till.house.owner, till.house.stripe_url, secret_store) as other:
        secret = {**json.loads(till.secret()), "webhook_secrets": ["AB" * 32]}
        reference = f"{till.secret_reference}/other"
        boto3.client("secretsmanager").create_secret(Name=reference, SecretString=json.dumps(secret))
        other.sql(
            "INSERT INTO tenancy.gateway_accounts (organization_id, id, gateway, endpoint_key, secret_reference,"
            " merchant_account, webhook_id, notification_url, created_at) SELECT :o, :id, gateway, :key, :reference,"
            " merchant_account, webhook_id || '-other', notification_url || '/other', created_at"
            " FROM tenancy.gateway_accounts WHERE endpoint_key = :known",
            o=other.organization_id,
            id=uuid7(datetime.now(UTC)),
            key="another-shops-endpoint",
            reference=reference,
            known=till.endpoint_key,
        )
        before = Door(till.house).rows_of_all_tables()
        reply = knock(till, delivery, endpoint_key="another-shops-endpoint")
        assert (reply.status, reply.body["code"]) == (401, "signature_invalid")
        assert Door(till.house).rows_of_all_tables() == before
        assert metrics(capsys, "WebhookSignatureInvalid")[0]["Gateway"] == till.gateway


def test_an_endpoint_is_of_one_gateway_and_ends_with_its_account(till: Till) -> None:
    delivery = genuine(till)
    other = "square" if till.gateway == "stripe" else "stripe"
    assert knock(till, delivery, gateway=other).status == 404
    assert knock(till, delivery, gateway="cash").status == 404
    till.house.sql("UPDATE tenancy.gateway_accounts SET status = 'disabled'")
    assert knock(till, delivery).status == 404


@pytest.mark.parametrize("stage", ["stripe"], indirect=True)
@pytest.mark.parametrize("seconds_ago", [302, -302, 3 * 24 * 3600])
def test_a_genuine_webhook_of_stripes_that_is_played_again_later_is_refused(till: Till, seconds_ago: int) -> None:
    delivery = genuine(till)
    sent_at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    signature = stripe_signature(delivery.body, secret=till.stage.secret, now=sent_at)
    before = Door(till.house).rows_of_all_tables()
    reply = knock(till, with_header("stripe-signature", signature)(delivery))
    assert (reply.status, Door(till.house).rows_of_all_tables()) == (401, before)


@pytest.mark.parametrize("stage", ["paypal"], indirect=True)
@pytest.mark.parametrize(
    "where",
    [
        "http://127.0.0.1:{port}/v1/notifications/certs/CERT-1",
        "https://127.0.0.1:{port}/v1/notifications/certs/CERT-1",
        "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
        "https://api.paypal.com@127.0.0.1:{port}/v1/notifications/certs/CERT-1",
        "https://evilpaypal.com/v1/notifications/certs/CERT-1",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "",
    ],
)
def test_a_certificate_that_does_not_lie_with_paypal_is_not_even_asked_for(
    till: Till, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    delivery = genuine(till)
    before = Door(till.house).rows_of_all_tables()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        url = where.format(port=listening.getsockname()[1])
        reply = knock(till, with_header("paypal-cert-url", url)(delivery))
        with pytest.raises(TimeoutError):
            listening.accept()
    assert (reply.status, reply.body["code"]) == (401, "signature_invalid")
    assert Door(till.house).rows_of_all_tables() == before
    assert metrics(capsys, "WebhookSignatureInvalid")[-1]["Gateway"] == "paypal"
