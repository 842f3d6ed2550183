import json
import uuid
from typing import Any

import boto3
import pytest

from holdfast.flows.money.receive_webhook import receive_webhook
from holdfast.secrets.store import SecretStore
from holdfast.values.errors import InvalidInput, NotFound, SignatureInvalid
from local.postgres import Address
from tests.flows.actions import announced, at_once, authenticate, ordered, status, sweep
from tests.house import House

ASKS = "pm_card_authenticationRequired"


def an_event(**fields: Any) -> dict[str, Any]:
    return {"id": f"evt_{uuid.uuid4().hex}", "type": "customer.created", "created": 1, "data": {"object": {}}, **fields}


def stored(house: House) -> int:
    return int(house.value("SELECT count(*) FROM payments.payment_events WHERE gateway_event_type <> 'answer'"))


def test_a_new_event_is_stored_and_announced_and_a_repeated_one_is_neither(house: House) -> None:
    house.add_variant(stock=5)
    authenticate(house, ordered(house, token=ASKS))
    (webhook,) = house.webhooks("payment_intent.succeeded")
    assert [house.deliver(webhook) for _ in range(3)] == [1, 0, 0]
    assert stored(house) == 1
    assert len(announced(house)) == 1


def test_the_same_event_several_times_at_once_is_stored_once(house: House) -> None:
    house.add_variant(stock=5)
    authenticate(house, ordered(house, token=ASKS))
    (webhook,) = house.webhooks("payment_intent.succeeded")
    assert sorted(at_once(*[lambda: house.deliver(webhook)] * 4)) == [0, 0, 0, 1]
    assert (stored(house), len(announced(house))) == (1, 1)


def test_what_is_not_signed_with_the_endpoints_secret_is_not_stored(
    house: House, db: Address, stripe_url: str, secret_store: SecretStore
) -> None:
    with House(db, stripe_url, secret_store) as other:
        house.webhook_secret = other.webhook_secret
        with pytest.raises(SignatureInvalid):
            house.deliver(an_event())
    assert stored(house) == 0


def test_an_endpoint_nobody_has_is_not_there(house: House) -> None:
    house.endpoint_key = "endpoint-of-nobody"
    with pytest.raises(NotFound):
        house.deliver(an_event())


def test_a_signed_body_that_is_no_event_is_refused_and_not_stored(house: House) -> None:
    with pytest.raises(InvalidInput):
        house.deliver({"hello": "world"})
    with pytest.raises(SignatureInvalid):
        receive_webhook(house.runtime, "stripe", house.endpoint_key, {}, b"", house.clock(), "test")
    assert stored(house) == 0


@pytest.mark.parametrize("is_known", [True, False])
def test_a_signed_event_that_cannot_be_read_becomes_a_dead_letter_with_its_payload(
    house: House, is_known: bool
) -> None:
    """The payment may be readable from the event or not."""
    house.add_variant(stock=5)
    ordered(house)
    (webhook,) = house.webhooks("payment_intent.succeeded")
    thing = webhook["data"]["object"] if is_known else {}
    spoiled = webhook | {"data": {"object": {**thing, "amount": "much"}}}
    assert house.deliver(spoiled) == 1
    assert house.work() == ["dead_lettered"]
    (letter,) = house.rows("SELECT payload, event_type, payment_id, failure_reason FROM payments.dead_letters")
    assert (letter["payload"], letter["event_type"]) == (spoiled, "capture_succeeded")
    assert (letter["payment_id"] is not None) == is_known
    assert "cannot be read" in letter["failure_reason"]
    assert house.violations() == []


def test_an_event_with_a_number_that_no_database_holds_is_stored_all_the_same(house: House) -> None:
    house.deliver(an_event() | {"extra": {"rates": [float("inf"), 1.5]}})
    assert house.value("SELECT payload #>> '{extra,rates,0}' FROM payments.payment_events") == "inf"


def test_an_old_signature_is_refused(house: House) -> None:
    signed_at = house.clock.now
    house.clock.advance(seconds=301)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.house.receive_webhook", _later(house))
        with pytest.raises(SignatureInvalid):
            house.deliver(an_event(), now=signed_at)
    assert stored(house) == 0


def _later(house: House) -> Any:
    """Return a ``receive_webhook`` by which the webhook arrives now, whenever it was signed."""

    def receive(*arguments: Any) -> int:
        runtime, gateway, endpoint_key, headers, body, _, correlation_id = arguments
        return receive_webhook(runtime, gateway, endpoint_key, headers, body, house.clock(), correlation_id)

    return receive


def test_a_rotated_secret_is_read_afresh(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.secrets.store.FRESH_READ_MIN_INTERVAL_SECONDS", 0)
    house.deliver(an_event())
    house.webhook_secret = f"whsec_{uuid.uuid4().hex}"
    boto3.client("secretsmanager").put_secret_value(
        SecretId=house.secret_reference,
        SecretString=json.dumps({"api_key": house.api_key, "webhook_secrets": [house.webhook_secret]}),
    )
    house.deliver(an_event())
    assert stored(house) == 2


def test_an_event_that_could_not_be_announced_is_safe_and_found_by_the_sweep(house: House) -> None:
    house.add_variant(stock=5)
    order_id = ordered(house, token=ASKS)
    (webhook,) = house.webhooks("payment_intent.requires_action", order_id=order_id)

    class Down:
        def send(self, *_: object, **__: object) -> None:
            raise ConnectionError("no queue")

    house.runtime.__dict__["payment_events_queue"] = Down()
    assert house.deliver(webhook) == 1
    house.clock.advance(seconds=21)
    assert sweep(house) == 1
    assert len(announced(house)) == 1
    assert house.work() == ["processed"]
    assert status(house, order_id) == "payment_processing"
