"""What is specific to Stripe: its headers, its errors, and the failures that it replays."""

import socket
import subprocess
import sys
from typing import Any
from uuid import uuid4

import pytest
import stripe
import urllib3

from holdfast.gateways.port import GatewayCredentials, GatewayRefused, GatewayUnreachable, Outcome, OutcomeUnknown
from holdfast.gateways.stripe import API_VERSION, StripeGateway
from holdfast.values.errors import NotRepresentable
from holdfast.values.money import Money
from tests.gateways.stripe_stage import REPOSITORY, StripeStage

DEADLINE_SECONDS = 5.0


def test_the_pinned_version_is_the_one_whose_models_the_sdk_checks() -> None:
    assert stripe.api_version == API_VERSION, "read Stripe's changelog, then move API_VERSION with the SDK"


def test_neither_the_sdk_nor_requests_is_loaded_at_run_time() -> None:
    program = (
        "import sys, holdfast.gateways.stripe, holdfast.gateways.stripe_webhooks\n"
        "sys.exit(bool({'stripe', 'requests', 'httpx', 'boto3', 'pydantic'} & sys.modules.keys()))"
    )
    folder = REPOSITORY / "layers" / "holdfast"
    assert subprocess.run([sys.executable, "-c", program], cwd=folder, check=False).returncode == 0


def test_webhooks_are_verified_without_loading_an_http_client() -> None:
    program = "import sys, holdfast.gateways.stripe_webhooks\nsys.exit('urllib3' in sys.modules)"
    folder = REPOSITORY / "layers" / "holdfast"
    assert subprocess.run([sys.executable, "-c", program], cwd=folder, check=False).returncode == 0


def test_an_address_nobody_listens_at_is_unreachable_and_not_unknown(pool: urllib3.PoolManager) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    gateway = StripeGateway(GatewayCredentials("sk_test_1"), pool=pool, base_url=f"http://127.0.0.1:{port}")
    with pytest.raises(GatewayUnreachable):
        gateway.fetch("pi_1", deadline_seconds=DEADLINE_SECONDS)
    with pytest.raises(GatewayUnreachable):
        gateway.cancel("pi_1", idempotency_key="key", deadline_seconds=DEADLINE_SECONDS)


def test_a_silent_gateway_is_left_at_the_deadline(pool: urllib3.PoolManager) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        gateway = StripeGateway(GatewayCredentials("sk_test_1"), pool=pool, base_url=base_url)
        with pytest.raises(OutcomeUnknown):
            gateway.cancel("pi_1", idempotency_key="key", deadline_seconds=0.2)
        with pytest.raises(GatewayUnreachable):
            gateway.fetch("pi_1", deadline_seconds=0.2)


def test_a_rate_limit_says_when_to_come_back(stripe_stage: StripeStage) -> None:
    stripe_stage.behave(http_status=429, retry_after_seconds=7)
    with pytest.raises(GatewayUnreachable) as turned_away:
        stripe_stage.gateway.authorize(stripe_stage.request(), deadline_seconds=DEADLINE_SECONDS)
    assert turned_away.value.retry_after_seconds == 7


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_error_leaves_a_payment_unknown_and_a_look_unreachable(stripe_stage: StripeStage, status: int) -> None:
    request = stripe_stage.request()
    stripe_stage.behave(http_status=status)
    with pytest.raises(OutcomeUnknown):
        stripe_stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
    stripe_stage.behave(http_status=status)
    with pytest.raises(GatewayUnreachable):
        stripe_stage.gateway.fetch("pi_1", deadline_seconds=DEADLINE_SECONDS)


def test_a_charge_behind_a_stored_500_is_found_by_its_metadata(stripe_stage: StripeStage) -> None:
    """Stripe replays the 500 for as long as it keeps the key, so repeating the request would never give the outcome."""
    request = stripe_stage.request()
    stripe_stage.behave(http_status=500, execute=True)
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            stripe_stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
    found = stripe_stage.gateway.find(request, deadline_seconds=DEADLINE_SECONDS)
    assert found is not None
    assert (found.outcome, found.captured_minor) == (Outcome.SUCCEEDED, 1999)
    assert stripe_stage.charges_of(request.order_id) == 1


def test_a_stored_500_with_nothing_behind_it_stays_unknown(stripe_stage: StripeStage) -> None:
    request = stripe_stage.request(token="pm_no_such_card")
    stripe_stage.behave(http_status=500, execute=True)
    with pytest.raises(OutcomeUnknown):
        stripe_stage.gateway.find(request, deadline_seconds=DEADLINE_SECONDS)


@pytest.mark.parametrize(
    ("changes", "failure_code"),
    [
        ({"amount_minor": 10}, "amount_too_small"),
        ({"amount_minor": 10**9}, "amount_too_large"),
        ({"currency": "XTS"}, "invalid_request_error"),
    ],
)
def test_our_mistakes_are_refused_with_stripes_code(
    stripe_stage: StripeStage, changes: dict[str, Any], failure_code: str
) -> None:
    with pytest.raises(GatewayRefused) as refused:
        stripe_stage.gateway.authorize(stripe_stage.request(**changes), deadline_seconds=DEADLINE_SECONDS)
    assert refused.value.failure_code == failure_code


def test_an_unknown_transaction_is_refused(stripe_stage: StripeStage) -> None:
    with pytest.raises(GatewayRefused) as refused:
        stripe_stage.gateway.fetch("pi_nobody", deadline_seconds=DEADLINE_SECONDS)
    assert refused.value.failure_code == "resource_missing"


def test_a_wrong_api_key_is_refused(stripe_stage: StripeStage, pool: urllib3.PoolManager) -> None:
    gateway = StripeGateway(GatewayCredentials("pk_wrong"), pool=pool, base_url=stripe_stage.base_url)
    with pytest.raises(GatewayRefused):
        gateway.fetch("pi_1", deadline_seconds=DEADLINE_SECONDS)


def test_one_account_does_not_see_the_payments_of_another(stripe_stage: StripeStage, pool: urllib3.PoolManager) -> None:
    payment = stripe_stage.gateway.authorize(stripe_stage.request(), deadline_seconds=DEADLINE_SECONDS)
    other = StripeGateway(GatewayCredentials("sk_test_other"), pool=pool, base_url=stripe_stage.base_url)
    with pytest.raises(GatewayRefused):
        other.fetch(payment.gateway_transaction_id, deadline_seconds=DEADLINE_SECONDS)


def test_an_amount_that_is_not_representable_is_never_sent(stripe_stage: StripeStage) -> None:
    request = stripe_stage.request(amount_minor=5124, currency="KWD")
    with pytest.raises(NotRepresentable):
        stripe_stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
    assert stripe_stage.totals_of(request.order_id)["payment_intents"] == 0


@pytest.mark.parametrize("currency", ["JPY", "ISK", "UGX", "KWD", "MGA"])
def test_what_the_gateway_answers_is_what_was_asked_in_every_kind_of_currency(
    stripe_stage: StripeStage, currency: str
) -> None:
    request = stripe_stage.request(amount_minor=50_000, currency=currency)
    answer = stripe_stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
    assert answer.amount == Money(50_000, currency)
    assert answer.captured_minor == 50_000


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_an_idempotency_key_that_stripe_would_not_take_is_a_bug(stripe_stage: StripeStage, key: str) -> None:
    with pytest.raises(ValueError, match="1 to 255"):
        stripe_stage.gateway.cancel("pi_1", idempotency_key=key, deadline_seconds=DEADLINE_SECONDS)


def test_a_shopper_is_sent_to_their_bank_and_back(stripe_stage: StripeStage) -> None:
    plain = stripe_stage.request(token=stripe_stage.token_action)
    request = type(plain)(
        **{name: getattr(plain, name) for name in plain.__slots__ if name != "return_url"},
        return_url="https://shop.example/thanks",
    )
    answer = stripe_stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
    assert answer.client_action is not None
    assert answer.client_action["redirect_url"].startswith(f"{stripe_stage.base_url}/")
    assert answer.client_action["client_secret"].startswith(f"{answer.gateway_transaction_id}_secret_")


def test_a_reason_of_ours_travels_as_metadata(stripe_stage: StripeStage) -> None:
    payment = stripe_stage.gateway.authorize(stripe_stage.request(), deadline_seconds=DEADLINE_SECONDS)
    refund_id = uuid4()
    stripe_stage.gateway.refund(
        payment.gateway_transaction_id,
        Money(100, "USD"),
        idempotency_key=f"refund-{refund_id}",
        refund_id=refund_id,
        reason="late_payment",
        deadline_seconds=DEADLINE_SECONDS,
    )
    client = stripe.StripeClient(stripe_stage.api_key, base_addresses={"api": stripe_stage.base_url})
    (refund,) = client.v1.refunds.list({"payment_intent": payment.gateway_transaction_id}).data
    assert refund.metadata is not None
    assert refund.metadata.to_dict() == {"refund_id": str(refund_id), "reason": "late_payment"}
    assert refund.reason is None


def test_a_secret_does_not_show_in_a_representation() -> None:
    shown = repr(GatewayCredentials("sk_live_secret", ("whsec_secret",)))
    assert "secret" not in shown.replace("webhook_secrets", "")
