"""What is specific to Square: its idempotency keys, its three-step capture, and how a lost answer is resolved."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import urllib3
from square.core.client_wrapper import SyncClientWrapper

from holdfast.gateways.calls import fitting_key
from holdfast.gateways.port import (
    GatewayCredentials,
    GatewayRefused,
    GatewayUnreachable,
    Outcome,
    OutcomeUnknown,
    RefundOutcome,
)
from holdfast.gateways.square import API_VERSION, SquareGateway
from holdfast.values.errors import NotRepresentable
from holdfast.values.ids import uuid7
from holdfast.values.money import Money
from tests.gateways.square_stage import SquareStage

DEADLINE_SECONDS = 5.0


def test_the_pinned_version_is_the_one_whose_models_the_sdk_checks() -> None:
    sent = SyncClientWrapper(token="t", base_url="https://x", httpx_client=None).get_headers()  # type: ignore[arg-type]
    assert sent["Square-Version"] == API_VERSION, "read Square's changelog, then move API_VERSION with the SDK"


class TestKeys:
    def test_a_key_that_square_would_not_take_is_always_replaced_by_the_same(self, square_stage: SquareStage) -> None:
        request = square_stage.request(idempotency_key=f"attempt-{uuid4()}-{uuid4()}")
        first, second = (square_stage.gateway.authorize(request, deadline_seconds=5) for _ in range(2))
        assert first.gateway_transaction_id == second.gateway_transaction_id
        assert square_stage.charges_of(request.order_id) == 1

    @pytest.mark.parametrize("key", ["k", "k" * 45])
    def test_a_key_that_fits_stays_as_it_is(self, key: str) -> None:
        assert fitting_key(key, 45) == key

    def test_keys_that_do_not_fit_stay_different_and_none_is_empty(self) -> None:
        assert len({fitting_key("k" * length, 45) for length in range(46, 100)}) == 54
        assert len(fitting_key("k" * 46, 45)) == 45
        with pytest.raises(ValueError, match="at least one"):
            fitting_key("", 45)


class TestPaying:
    def test_a_card_that_needs_verification_is_declined_until_the_shopper_verified(
        self, square_stage: SquareStage
    ) -> None:
        token = "cnon:card-nonce-requires-verification"
        refused = square_stage.gateway.authorize(square_stage.request(token=token), deadline_seconds=5)
        assert (refused.outcome, refused.failure_code) == (Outcome.DECLINED, "card_declined_verification_required")
        verified = square_stage.request(token=f"{token} verf:ok")
        assert square_stage.gateway.authorize(verified, deadline_seconds=5).outcome is Outcome.SUCCEEDED

    def test_a_card_on_file_is_charged_with_its_customer(self, square_stage: SquareStage) -> None:
        request = square_stage.request(token="ccof:customer-card-id-ok")
        with pytest.raises(GatewayRefused):
            square_stage.gateway.authorize(request, deadline_seconds=5)
        other = replace(request, gateway_customer_id="CUST1", idempotency_key=str(uuid4()))
        assert square_stage.gateway.authorize(other, deadline_seconds=5).outcome is Outcome.SUCCEEDED

    @pytest.mark.parametrize("currency", ["CHF", "KWD", "XTS"])
    def test_a_currency_no_seller_has_is_not_representable(self, square_stage: SquareStage, currency: str) -> None:
        with pytest.raises(NotRepresentable):
            square_stage.gateway.authorize(square_stage.request(currency=currency), deadline_seconds=5)

    def test_another_currency_than_the_sellers_is_refused(self, square_stage: SquareStage) -> None:
        with pytest.raises(GatewayRefused) as refused:
            square_stage.gateway.authorize(square_stage.request(currency="JPY"), deadline_seconds=5)
        assert refused.value.failure_code == "invalid_value"
        square_stage.set_seller(currency="JPY")
        answer = square_stage.gateway.authorize(square_stage.request(currency="JPY"), deadline_seconds=5)
        assert (answer.amount, answer.captured_minor) == (Money(1999, "JPY"), 1999)

    def test_a_location_that_is_not_the_sellers_is_refused(
        self, square_stage: SquareStage, pool: urllib3.PoolManager
    ) -> None:
        account = replace(square_stage.credentials, merchant_account="LELSEWHERE")
        gateway = SquareGateway(account, pool=pool, base_url=square_stage.base_url)
        with pytest.raises(GatewayRefused):
            gateway.authorize(square_stage.request(), deadline_seconds=5)

    def test_a_wrong_token_says_nothing_of_the_attempt(
        self, square_stage: SquareStage, pool: urllib3.PoolManager
    ) -> None:
        gateway = SquareGateway(GatewayCredentials("wrong"), pool=pool, base_url=square_stage.base_url)
        with pytest.raises(GatewayRefused) as refused:
            gateway.authorize(square_stage.request(), deadline_seconds=5)
        assert not refused.value.is_about_attempt

    @pytest.mark.parametrize(
        ("status", "error"), [(429, GatewayUnreachable), (500, OutcomeUnknown), (503, OutcomeUnknown)]
    )
    def test_square_in_trouble_leaves_open_only_what_may_have_happened(
        self, square_stage: SquareStage, status: int, error: type[Exception]
    ) -> None:
        square_stage.behave(http_status=status, retry_after_seconds=7)
        with pytest.raises(error):
            square_stage.gateway.authorize(square_stage.request(), deadline_seconds=5)
        square_stage.behave(http_status=status)
        with pytest.raises(GatewayUnreachable):
            square_stage.gateway.fetch("p1", deadline_seconds=5)


class TestCapture:
    def held(self, stage: SquareStage) -> str:
        return stage.gateway.authorize(stage.request(capture_now=False), deadline_seconds=5).gateway_transaction_id

    def capture(self, stage: SquareStage, payment: str, amount_minor: int, key: str) -> Any:
        amount = Money(amount_minor, "USD")
        return stage.gateway.capture(payment, amount, idempotency_key=key, deadline_seconds=DEADLINE_SECONDS)

    @pytest.mark.parametrize("lost", ["payments.update", "payments.complete"])
    @pytest.mark.parametrize("fault", ["timeout_before", "timeout_after"])
    def test_a_part_whose_capture_broke_off_is_captured_once_by_repeating(
        self, square_stage: SquareStage, lost: str, fault: str
    ) -> None:
        payment, key = self.held(square_stage), f"capture-{uuid4()}"
        square_stage.behave(match={"operation": lost}, fault=fault)
        with pytest.raises(OutcomeUnknown):
            self.capture(square_stage, payment, 1200, key)
        after = self.capture(square_stage, payment, 1200, key)
        assert (after.outcome, after.captured_minor, after.amount) == (Outcome.SUCCEEDED, 1200, Money(1999, "USD"))

    def test_the_amount_is_never_raised(self, square_stage: SquareStage) -> None:
        payment = self.held(square_stage)
        with pytest.raises(GatewayRefused) as refused:
            self.capture(square_stage, payment, 2000, "key")
        assert refused.value.failure_code == "amount_too_high"
        assert square_stage.gateway.fetch(payment, deadline_seconds=5).capturable_minor == 1999

    def test_somebody_elses_change_in_between_is_noticed(self, square_stage: SquareStage) -> None:
        payment = self.held(square_stage)
        square_stage.behave(match={"operation": "payments.complete"}, http_status=409)
        with pytest.raises(OutcomeUnknown):
            self.capture(square_stage, payment, 1999, "key")
        assert square_stage.gateway.fetch(payment, deadline_seconds=5).outcome is Outcome.AUTHORIZED


class TestFinding:
    def test_an_attempt_still_underway_is_unknown_while_the_list_may_lag(self, square_stage: SquareStage) -> None:
        young = replace(square_stage.request(), payment_id=uuid7(datetime.now(UTC)))
        with pytest.raises(OutcomeUnknown):
            square_stage.gateway.find(young, deadline_seconds=5)
        old = replace(young, payment_id=uuid7(datetime.now(UTC) - timedelta(minutes=5)))
        assert square_stage.gateway.find(old, deadline_seconds=5) is None

    def test_an_attempt_is_found_behind_many_others(self, square_stage: SquareStage) -> None:
        request = replace(square_stage.request(), payment_id=uuid7(datetime.now(UTC)))
        taken = square_stage.gateway.authorize(request, deadline_seconds=5)
        for _ in range(101):
            square_stage.gateway.authorize(square_stage.request(), deadline_seconds=5)
        found = square_stage.gateway.find(request, deadline_seconds=5)
        assert found is not None
        assert (found.gateway_transaction_id, found.captured_minor) == (taken.gateway_transaction_id, 1999)

    def test_an_attempt_that_never_arrived_is_known_to_be_missing_however_much_is_sold_afterwards(
        self, square_stage: SquareStage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("holdfast.gateways.square._LISTED_PAGES_MAX", 1)
        for _ in range(101):
            square_stage.gateway.authorize(square_stage.request(), deadline_seconds=5)
        missing = replace(square_stage.request(), payment_id=uuid7(datetime.now(UTC) - timedelta(minutes=20)))
        assert square_stage.gateway.find(missing, deadline_seconds=5) is None
        young = replace(missing, payment_id=uuid7(datetime.now(UTC) - timedelta(minutes=5)))
        with pytest.raises(OutcomeUnknown, match="more payments than"):
            square_stage.gateway.find(young, deadline_seconds=5)

    def test_another_sellers_attempt_is_not_found(self, square_stage: SquareStage, pool: urllib3.PoolManager) -> None:
        request = square_stage.request()
        square_stage.gateway.authorize(request, deadline_seconds=5)
        other = SquareGateway(GatewayCredentials(f"EAAA{uuid4().hex}"), pool=pool, base_url=square_stage.base_url)
        assert other.find(request, deadline_seconds=5) is None


def test_a_refund_may_stay_pending_and_then_fail(square_stage: SquareStage) -> None:
    square_stage.behave(match={"operation": "payments.create"}, refund_fate="pending_first")
    payment = square_stage.gateway.authorize(square_stage.request(), deadline_seconds=5).gateway_transaction_id
    refund = square_stage.gateway.refund(
        payment, Money(500, "USD"), idempotency_key="r", refund_id=uuid4(), deadline_seconds=5
    ).gateway_refund_id
    assert square_stage.gateway.fetch_refund(refund, deadline_seconds=5).status is RefundOutcome.PENDING
    square_stage.control("POST", f"/refunds/{refund}/fail", {"status": "REJECTED"})
    after = square_stage.gateway.fetch_refund(refund, deadline_seconds=5)
    assert (after.status, after.failure_code) == (RefundOutcome.FAILED, "rejected")
    square_stage.events_until("refund_failed")
