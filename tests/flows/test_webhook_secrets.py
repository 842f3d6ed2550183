"""Webhook secrets are rotated in use: two are valid at a time, a failure reads them afresh, a removed one is dead."""

import boto3
import pytest

from holdfast.secrets import store
from holdfast.values.errors import SignatureInvalid
from holdfast.values.ids import uuid7
from tests.gateways.receiver import Received
from tests.till import Till

WITH_SECRETS = pytest.mark.parametrize("stage", ["stripe", "square", "adyen"], indirect=True)
"""The gateways that sign with a secret. PayPal signs with certificates; its account has the webhook's id instead."""
OTHER = "AB" * 32


@pytest.fixture(autouse=True)
def _read_afresh_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Act as if half a minute had passed between any two of these webhooks."""
    monkeypatch.setattr(store, "FRESH_READ_MIN_INTERVAL_SECONDS", 0)


def put(till: Till, *webhook_secrets: str) -> None:
    boto3.client("secretsmanager").put_secret_value(
        SecretId=till.secret_reference, SecretString=till.secret(webhook_secrets)
    )


def delivery_of(till: Till) -> Received:
    till.place()
    return till.telling()


@WITH_SECRETS
def test_while_a_secret_is_rotated_both_verify_and_then_only_the_new_one(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CACHE_SECONDS", 0)  # as if the cached secret had expired, which takes minutes
    delivery = delivery_of(till)
    # Nobody knows from which moment on the gateway signs with the new secret, so both are valid until then.
    put(till, OTHER, till.stage.secret)
    assert till.deliver(delivery) == 1
    put(till, till.stage.secret, OTHER)
    assert till.deliver(delivery) == 0
    put(till, OTHER)
    with pytest.raises(SignatureInvalid):
        till.deliver(delivery)


@WITH_SECRETS
def test_a_secret_that_changed_in_the_store_is_picked_up_without_a_restart(till: Till) -> None:
    delivery = delivery_of(till)
    put(till, OTHER)
    till.house.runtime.secrets.read(till.secret_reference, fresh=True)
    with pytest.raises(SignatureInvalid):
        till.deliver(delivery)
    put(till, OTHER, till.stage.secret)
    assert till.deliver(delivery) == 1


@WITH_SECRETS
def test_a_bad_signature_does_not_become_a_call_to_the_secret_store_each_time(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "FRESH_READ_MIN_INTERVAL_SECONDS", 30)
    delivery = delivery_of(till)
    assert till.deliver(delivery) == 1
    put(till, OTHER)
    # The secret was read less than half a minute ago, so it is not read again and the known one still verifies.
    assert till.deliver(delivery) == 0


@pytest.mark.parametrize("stage", ["paypal"], indirect=True)
def test_paypals_certificate_is_renewed_and_a_webhook_registered_anew_without_a_restart(till: Till) -> None:
    stage = till.stage
    delivery = delivery_of(till)
    till.house.sql("UPDATE tenancy.gateway_accounts SET webhook_id = 'before' WHERE gateway = 'paypal'")
    with pytest.raises(SignatureInvalid):
        till.deliver(delivery)
    till.house.sql(
        "UPDATE tenancy.gateway_accounts SET webhook_id = :id WHERE gateway = 'paypal'", id=stage.endpoint_id
    )
    assert till.deliver(delivery) == 1


def test_an_organization_has_several_endpoints_at_a_gateway_and_each_keeps_its_own(till: Till) -> None:
    delivery = delivery_of(till)
    house, second = till.house, uuid7(till.house.clock.advance(seconds=1))
    house.sql(
        "INSERT INTO tenancy.gateway_accounts (organization_id, id, gateway, endpoint_key, secret_reference,"
        " merchant_account, webhook_id, notification_url, created_at) SELECT organization_id, :id, gateway,"
        " 'a-second-endpoint', secret_reference, merchant_account, webhook_id, notification_url, created_at"
        " FROM tenancy.gateway_accounts WHERE endpoint_key = :known",
        id=second,
        known=till.endpoint_key,
    )
    for new in (1, 0):
        for key in (till.endpoint_key, "a-second-endpoint"):
            assert till.deliver(delivery, endpoint_key=key) == new
    kept = house.rows("SELECT gateway_account_id FROM payments.payment_events WHERE gateway_event_type <> 'answer'")
    assert len({row["gateway_account_id"] for row in kept}) == len(kept) == 2
