"""The registry: it turns an account's facts and secrets into a gateway, and a webhook's bytes into events."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.gateways.port import Outcome
from holdfast.gateways.registry import GATEWAY_NAMES, GATEWAYS, GatewayRegistry
from holdfast.settings import settings_from
from holdfast.values.errors import NotFound, NotRepresentable, SignatureInvalid
from holdfast.values.money import Money
from tests.gateways.adyen_stage import MERCHANT_ACCOUNT, AdyenStage
from tests.gateways.paypal_stage import PayPalStage
from tests.gateways.square_stage import SquareStage


class Secrets:
    """Secrets in memory; ``fresh`` holds the newest ones."""

    def __init__(self, known: Mapping[str, Any], fresh: Mapping[str, Any] | None = None) -> None:
        self._known = known
        self._fresh = known if fresh is None else fresh

    def read(self, reference: str, *, fresh: bool = False) -> Mapping[str, Any]:
        assert reference == "shop/secret"
        return self._fresh if fresh else self._known


def registry(secrets: Secrets, **environment: str) -> GatewayRegistry:
    return GatewayRegistry(settings_from({"DATABASE_HOST": "nowhere", **environment}), secrets)


@pytest.mark.parametrize(
    ("gateway", "currency", "step_minor"),
    [
        *((gateway, "USD", 1) for gateway in GATEWAY_NAMES),
        ("paypal", "HUF", 100),  # whole units of a currency that has hundredths
        ("paypal", "TWD", 100),
        ("paypal", "JPY", 1),
        ("stripe", "KWD", 10),  # thousandths whose last digit must be 0
        ("stripe", "MGA", 100),
        ("stripe", "UGX", 1),
        ("adyen", "CVE", 100),
        ("adyen", "KWD", 1),
    ],
)
def test_a_gateway_says_what_its_amounts_are_multiples_of(gateway: str, currency: str, step_minor: int) -> None:
    wiring = GATEWAYS[gateway]
    assert wiring.step_minor(currency) == step_minor
    wiring.write_amount(Money(7 * step_minor, currency))
    if step_minor > 1:
        with pytest.raises(NotRepresentable):
            wiring.write_amount(Money(7 * step_minor + 1, currency))


def test_a_currency_that_a_gateway_does_not_take_has_no_step() -> None:
    with pytest.raises(NotRepresentable):
        GATEWAYS["paypal"].step_minor("KWD")


def test_every_gateway_is_wired_and_no_other() -> None:
    assert GATEWAY_NAMES == ("stripe", "paypal", "square", "adyen")
    nobody = registry(Secrets({}))
    with pytest.raises(NotFound):
        nobody.gateway("cash", "shop/secret")
    with pytest.raises(NotFound):
        nobody.verify_and_parse_webhook("cash", "shop/secret", None, {}, b"", datetime.now(UTC))


@pytest.mark.parametrize("name", GATEWAY_NAMES)
def test_every_gateway_is_made_from_an_accounts_secret_and_points_at_the_live_one(name: str) -> None:
    secret = {"api_key": "key", "client_id": "client", "url_prefix": "prefix"}
    gateway = registry(Secrets(secret)).gateway(name, "shop/secret", "merchant")
    assert gateway.name == name


def test_adyen_wants_its_word_and_the_others_json() -> None:
    answers = {name: registry(Secrets({})).wiring(name).webhook_answer for name in GATEWAY_NAMES}
    assert (answers["adyen"].body, answers["adyen"].content_type) == ("[accepted]", "text/plain")
    assert {answers[name].body for name in ("stripe", "paypal", "square")} == {'{"received": true}'}


def test_adyen_alone_cannot_be_asked() -> None:
    assert [name for name in GATEWAY_NAMES if not registry(Secrets({})).wiring(name).can_be_asked] == ["adyen"]


@pytest.mark.parametrize("url_is_in", ["account", "secret"])
def test_square_pays_and_verifies_with_an_accounts_facts(square_stage: SquareStage, url_is_in: str) -> None:
    stage = square_stage
    secret = {"api_key": stage.api_key, "webhook_secrets": ["rotated away"]}
    fresh = {**secret, "webhook_secrets": [stage.secret, "rotated away"]}
    facts: dict[str, Any] = {}
    if url_is_in == "account":
        facts = {"notification_url": stage.receiver.url}
        secret, fresh = ({**one, "notification_url": "https://elsewhere.example"} for one in (secret, fresh))
    else:
        secret, fresh = ({**one, "notification_url": stage.receiver.url} for one in (secret, fresh))
    registered = registry(Secrets(secret, fresh), SQUARE_BASE_URL=stage.base_url)
    request = stage.request()
    answer = registered.gateway("square", "shop/secret", stage.location_id).authorize(request, deadline_seconds=5)
    assert answer.outcome is Outcome.SUCCEEDED
    delivery = stage.receiver.wait_until(bool)[0]

    def verify(body: bytes, **account: Any) -> Any:
        now = datetime.now(UTC)
        return registered.verify_and_parse_webhook(
            "square", "shop/secret", stage.location_id, delivery.headers, body, now, **account
        )

    (event,) = verify(delivery.body, **facts)
    assert event.payment_id == request.payment_id
    with pytest.raises(SignatureInvalid):
        verify(delivery.body + b" ", **facts)
    with pytest.raises(SignatureInvalid):
        verify(delivery.body, notification_url="https://another-endpoint.example")


def test_adyen_pays_and_verifies_with_an_accounts_facts(adyen_stage: AdyenStage) -> None:
    stage = adyen_stage
    secret = {
        "api_key": stage.api_key,
        "webhook_secrets": [stage.secret],
        "webhook_user": "adyen",
        "webhook_password": "s3cret",
    }
    registered = registry(Secrets(secret), ADYEN_BASE_URL=stage.base_url)
    request = stage.request()
    answer = registered.gateway("adyen", "shop/secret", MERCHANT_ACCOUNT).authorize(request, deadline_seconds=5)
    assert answer.outcome is Outcome.SUCCEEDED
    (delivery,) = stage.receiver.wait_until(bool)

    def verify(merchant_account: str, headers: Mapping[str, str]) -> Any:
        now = datetime.now(UTC)
        return registered.verify_and_parse_webhook(
            "adyen", "shop/secret", merchant_account, headers, delivery.body, now
        )

    (event,) = verify(MERCHANT_ACCOUNT, delivery.headers)
    assert event.payment_id == request.payment_id
    with pytest.raises(SignatureInvalid):
        verify("AnotherTenant", delivery.headers)
    with pytest.raises(SignatureInvalid):
        verify(MERCHANT_ACCOUNT, {})


def test_paypal_pays_and_verifies_with_an_accounts_facts(paypal_stage: PayPalStage) -> None:
    stage = paypal_stage
    secret = {"api_key": "secret", "client_id": stage.client_id, "webhook_id": "the-one-before"}
    environment = {"PAYPAL_BASE_URL": stage.base_url, "PAYPAL_WEBHOOK_ROOTS_FILE": str(stage.roots_file)}
    registered = registry(Secrets(secret, {**secret, "webhook_id": stage.endpoint_id}), **environment)
    request = stage.request()
    answer = registered.gateway("paypal", "shop/secret").authorize(request, deadline_seconds=5)
    assert answer.outcome is Outcome.SUCCEEDED
    (delivery,) = stage.receiver.wait_until(bool)

    def verify(body: bytes, **account: Any) -> Any:
        now = datetime.now(UTC)
        return registered.verify_and_parse_webhook(
            "paypal", "shop/secret", None, delivery.headers, body, now, **account
        )

    for facts in ({}, {"webhook_id": stage.endpoint_id}):
        (event,) = verify(delivery.body, **facts)
        assert event.payment_id == request.payment_id
        with pytest.raises(SignatureInvalid):
            verify(delivery.body + b" ", **facts)
    with pytest.raises(SignatureInvalid):
        verify(delivery.body, webhook_id="another")
