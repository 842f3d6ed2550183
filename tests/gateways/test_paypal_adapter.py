"""What is specific to PayPal: access tokens, errors, authorizations and their renewal, refunds."""

import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import urllib3

from holdfast.gateways.paypal import PayPalGateway
from holdfast.gateways.paypal_access import AccessTokens
from holdfast.gateways.port import (
    AuthorizeRequest,
    CaptureOutcome,
    GatewayCredentials,
    GatewayRefused,
    GatewayUnreachable,
    Outcome,
    OutcomeUnknown,
    PaymentSnapshot,
    RefundOutcome,
)
from holdfast.values.errors import NotRepresentable
from holdfast.values.money import Money
from tests.gateways.paypal_stage import PayPalStage
from tests.gateways.served import REPOSITORY

DEADLINE_SECONDS = 5.0


def authorize(stage: PayPalStage, request: AuthorizeRequest) -> PaymentSnapshot:
    return stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)


def fetch(stage: PayPalStage, order_id: str) -> PaymentSnapshot:
    return stage.gateway.fetch(order_id, deadline_seconds=DEADLINE_SECONDS)


def order_at_paypal(stage: PayPalStage, order_id: str) -> dict[str, Any]:
    (found,) = (one for one in stage.control("GET", f"/orders?account={stage.client_id}") if one["id"] == order_id)
    return dict(found)


class TestAccess:
    def test_neither_cryptography_nor_an_sdk_is_loaded_at_run_time(self) -> None:
        program = (
            "import sys, holdfast.gateways.paypal, holdfast.gateways.paypal_webhooks\n"
            "import holdfast.gateways.paypal_certificates\n"
            "sys.exit(bool({'cryptography', 'requests', 'httpx', 'boto3', 'pydantic'} & sys.modules.keys()))"
        )
        folder = REPOSITORY / "layers" / "holdfast"
        assert subprocess.run([sys.executable, "-c", program], cwd=folder, check=False).returncode == 0

    def test_one_token_serves_all_calls_and_all_gateways_of_a_process(self, paypal_stage: PayPalStage) -> None:
        stage = paypal_stage
        payment = authorize(stage, stage.request())
        other = PayPalGateway(stage.credentials, pool=stage.pool, tokens=stage.tokens, base_url=stage.base_url)
        closed = stage.control("POST", "/behaviors", {"match": {"operation": "oauth2"}, "http_status": 500})
        try:
            assert other.fetch(payment.gateway_transaction_id, deadline_seconds=DEADLINE_SECONDS) == payment
        finally:
            stage.control("DELETE", f"/behaviors/{closed['id']}")

    def test_a_token_that_paypal_forgot_is_replaced_once(self, paypal_stage: PayPalStage) -> None:
        payment = authorize(paypal_stage, paypal_stage.request())
        paypal_stage.control("POST", "/revoke_access")
        assert fetch(paypal_stage, payment.gateway_transaction_id) == payment

    def test_a_token_is_renewed_before_it_expires(
        self, paypal_stage: PayPalStage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stage, now = paypal_stage, [1000.0]
        monkeypatch.setattr("holdfast.gateways.paypal_access.time.monotonic", lambda: now[0])

        def token() -> str:
            return AccessTokens.token(tokens, stage.base_url, stage.credentials, deadline_seconds=DEADLINE_SECONDS)

        tokens = AccessTokens(stage.pool)
        first = token()
        now[0] += 32_400 - 200
        assert token() == first
        now[0] += 100
        assert token() != first

    @pytest.mark.parametrize("credentials", [GatewayCredentials("wrong", client_id="me"), GatewayCredentials("secret")])
    def test_a_client_that_paypal_does_not_know_says_nothing_of_the_attempt(
        self, paypal_stage: PayPalStage, credentials: GatewayCredentials
    ) -> None:
        stage = paypal_stage
        gateway = PayPalGateway(credentials, pool=stage.pool, tokens=stage.tokens, base_url=stage.base_url)
        with pytest.raises(GatewayRefused) as refused:
            gateway.find(stage.request(), deadline_seconds=DEADLINE_SECONDS)
        assert not refused.value.is_about_attempt

    def test_one_client_does_not_see_the_payments_of_another(self, paypal_stage: PayPalStage) -> None:
        stage = paypal_stage
        payment = authorize(stage, stage.request())
        stranger = GatewayCredentials("secret", client_id="stranger")
        gateway = PayPalGateway(stranger, pool=stage.pool, tokens=stage.tokens, base_url=stage.base_url)
        with pytest.raises(GatewayRefused) as refused:
            gateway.fetch(payment.gateway_transaction_id, deadline_seconds=DEADLINE_SECONDS)
        assert refused.value.failure_code == "INVALID_RESOURCE_ID"


class TestErrors:
    def test_an_address_nobody_listens_at_is_unreachable_and_not_unknown(self, pool: urllib3.PoolManager) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            base_url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        credentials = GatewayCredentials("secret", client_id="client")
        gateway = PayPalGateway(credentials, pool=pool, tokens=AccessTokens(pool), base_url=base_url)
        with pytest.raises(GatewayUnreachable):
            gateway.cancel("5O190127TN364715T", idempotency_key="key", deadline_seconds=DEADLINE_SECONDS)

    def test_a_silent_paypal_is_left_at_the_deadline_and_nothing_is_unknown_before_it_was_asked(
        self, pool: urllib3.PoolManager, paypal_stage: PayPalStage
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            base_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            credentials = GatewayCredentials("secret", client_id="client")
            gateway = PayPalGateway(credentials, pool=pool, tokens=AccessTokens(pool), base_url=base_url)
            with pytest.raises(GatewayUnreachable):
                gateway.authorize(paypal_stage.request(), deadline_seconds=0.2)

    def test_a_rate_limit_says_when_to_come_back(self, paypal_stage: PayPalStage) -> None:
        paypal_stage.behave(http_status=429, retry_after_seconds=7)
        with pytest.raises(GatewayUnreachable) as turned_away:
            authorize(paypal_stage, paypal_stage.request())
        assert turned_away.value.retry_after_seconds == 7

    @pytest.mark.parametrize("status", [500, 502, 503])
    def test_a_server_error_leaves_a_payment_unknown_and_a_look_unreachable(
        self, paypal_stage: PayPalStage, status: int
    ) -> None:
        paypal_stage.behave(operations=["orders.create"], http_status=status)
        with pytest.raises(OutcomeUnknown):
            authorize(paypal_stage, paypal_stage.request())
        paypal_stage.behave(operations=["orders.retrieve"], http_status=status)
        with pytest.raises(GatewayUnreachable):
            fetch(paypal_stage, "5O190127TN364715T")

    @pytest.mark.parametrize("key", ["", "k" * 109])
    def test_a_request_id_that_paypal_would_not_take_is_a_bug(self, paypal_stage: PayPalStage, key: str) -> None:
        request = replace(paypal_stage.request(), idempotency_key=key)
        with pytest.raises(ValueError, match="1 to 108"):
            authorize(paypal_stage, request)

    @pytest.mark.parametrize("token", ["", "pm_card_visa", "order:", "order:../x", "card:a b", "bank:5", "ORDER:5"])
    def test_a_token_of_no_known_form_is_refused_without_asking(self, paypal_stage: PayPalStage, token: str) -> None:
        request = paypal_stage.request()
        with pytest.raises(GatewayRefused) as refused:
            authorize(paypal_stage, replace(request, token=token))
        assert refused.value.failure_code == "token_unknown"
        assert paypal_stage.control("GET", f"/orders?account={paypal_stage.client_id}") == []

    def test_an_amount_that_is_not_representable_is_never_sent(self, paypal_stage: PayPalStage) -> None:
        with pytest.raises(NotRepresentable):
            authorize(paypal_stage, paypal_stage.request(amount_minor=50_001, currency="HUF"))
        assert paypal_stage.control("GET", f"/orders?account={paypal_stage.client_id}") == []

    @pytest.mark.parametrize("currency", ["JPY", "HUF", "TWD", "EUR"])
    def test_what_paypal_answers_is_what_was_asked_in_every_kind_of_currency(
        self, paypal_stage: PayPalStage, currency: str
    ) -> None:
        answer = authorize(paypal_stage, paypal_stage.request(amount_minor=50_000, currency=currency))
        assert answer.amount == Money(50_000, currency)
        assert answer.captured_minor == 50_000

    def test_a_saved_method_that_is_refused_before_there_is_an_order_is_a_refusal(
        self, paypal_stage: PayPalStage
    ) -> None:
        request = paypal_stage.request(token="paypal:emptywallet")
        with pytest.raises(GatewayRefused) as refused:
            authorize(paypal_stage, request)
        assert refused.value.failure_code == "INSTRUMENT_DECLINED"
        assert refused.value.is_about_attempt


class TestHolding:
    def held(self, stage: PayPalStage) -> str:
        return authorize(stage, stage.request(capture_now=False)).gateway_transaction_id

    def capture(self, stage: PayPalStage, order_id: str, amount_minor: int = 1999) -> PaymentSnapshot:
        return stage.gateway.capture(
            order_id, Money(amount_minor, "USD"), idempotency_key=f"c-{uuid4()}", deadline_seconds=DEADLINE_SECONDS
        )

    def test_a_hold_lasts_29_days(self, paypal_stage: PayPalStage) -> None:
        expires_at = fetch(paypal_stage, self.held(paypal_stage)).authorization_expires_at
        assert expires_at is not None
        assert abs(expires_at - datetime.now(UTC) - timedelta(days=29)) < timedelta(minutes=1)

    def test_no_more_is_taken_than_was_held_although_paypal_would(self, paypal_stage: PayPalStage) -> None:
        order_id = self.held(paypal_stage)
        with pytest.raises(GatewayRefused) as refused:
            self.capture(paypal_stage, order_id, 2100)
        assert refused.value.failure_code == "amount_exceeds_authorization"

    def test_a_capture_that_the_bank_refuses_leaves_the_hold_and_says_why(self, paypal_stage: PayPalStage) -> None:
        order_id = self.held(paypal_stage)
        paypal_stage.behave(operations=["authorizations.capture"], decline_code="5120")
        answer = self.capture(paypal_stage, order_id)
        assert (answer.outcome, answer.failure_code, answer.captured_minor) == (Outcome.AUTHORIZED, "5120", 0)
        events = paypal_stage.events_until("authorization_succeeded", "capture_failed")
        assert {event.failure_code for event in events} == {None, "5120"}

    def test_a_hold_is_renewed_from_the_fourth_day_on(self, paypal_stage: PayPalStage) -> None:
        order_id = self.held(paypal_stage)

        def renew() -> PaymentSnapshot:
            return paypal_stage.gateway.reauthorize(
                order_id, Money(1999, "USD"), idempotency_key=f"r-{uuid4()}", deadline_seconds=DEADLINE_SECONDS
            )

        with pytest.raises(GatewayRefused) as refused:
            renew()
        assert refused.value.failure_code == "REAUTHORIZATION_TOO_SOON"
        paypal_stage.control("POST", f"/orders/{order_id}/age", {"days": 4})
        renewed = renew()
        assert (renewed.outcome, renewed.capturable_minor) == (Outcome.AUTHORIZED, 1999)
        assert self.capture(paypal_stage, order_id).captured_minor == 1999

    def test_a_renewed_hold_is_given_up_with_what_it_renews(self, paypal_stage: PayPalStage) -> None:
        order_id = self.held(paypal_stage)
        paypal_stage.control("POST", f"/orders/{order_id}/age", {"days": 4})
        paypal_stage.gateway.reauthorize(
            order_id, Money(1999, "USD"), idempotency_key="renew", deadline_seconds=DEADLINE_SECONDS
        )
        given_up = paypal_stage.gateway.cancel(order_id, idempotency_key="void", deadline_seconds=DEADLINE_SECONDS)
        assert (given_up.outcome, given_up.capturable_minor) == (Outcome.CANCELLED, 0)

    def test_each_capture_has_an_invoice_id_of_its_own_and_is_known_by_it_for_ever(
        self, paypal_stage: PayPalStage
    ) -> None:
        request = paypal_stage.request(capture_now=False)
        order_id = authorize(paypal_stage, request).gateway_transaction_id

        def capture(key: str, amount_minor: int) -> PaymentSnapshot:
            return paypal_stage.gateway.capture(
                order_id,
                Money(amount_minor, "USD"),
                idempotency_key=key,
                is_final=False,
                deadline_seconds=DEADLINE_SECONDS,
            )

        first, second = capture("one", 700), capture("two", 700)
        assert first.capture_id != second.capture_id
        unit = order_at_paypal(paypal_stage, order_id)["purchase_units"][0]
        invoices = {one["invoice_id"] for one in unit["payments"]["captures"]}
        assert len(invoices) == 2
        assert all(invoice.startswith(f"{request.order_number}-") for invoice in invoices)
        # Repeating a request whose answer was lost must work even when nothing is left to be captured.
        third = paypal_stage.gateway.capture(
            order_id, Money(599, "USD"), idempotency_key="three", is_final=True, deadline_seconds=DEADLINE_SECONDS
        )
        assert third.capturable_minor == 0
        assert [capture(key, 700).capture_id for key in ("one", "two")] == [first.capture_id, second.capture_id]
        assert fetch(paypal_stage, order_id).captured_minor == 1999

    def test_a_capture_that_is_pending_is_spoken_for_and_its_end_is_told_by_its_id(
        self, paypal_stage: PayPalStage
    ) -> None:
        answer = authorize(paypal_stage, paypal_stage.request(token="paypal:echeck", capture_now=False))
        order_id = answer.gateway_transaction_id
        pending = paypal_stage.gateway.capture(
            order_id, Money(700, "USD"), idempotency_key="p", is_final=False, deadline_seconds=DEADLINE_SECONDS
        )
        (capture,) = pending.captures
        assert (capture.status, pending.capture_id) == (CaptureOutcome.PENDING, capture.gateway_capture_id)
        assert (pending.captured_minor, pending.capturable_minor) == (0, 1299)
        paypal_stage.control("POST", f"/orders/{order_id}/settle", {"succeed": True})
        told = next(e for e in paypal_stage.events_until("capture_succeeded") if e.event_type == "capture_succeeded")
        assert [one.gateway_capture_id for one in told.captures] == [capture.gateway_capture_id]
        assert fetch(paypal_stage, order_id).captured_minor == 700

    def test_a_hold_whose_29_days_are_over_by_our_own_look_is_cancelled(self, paypal_stage: PayPalStage) -> None:
        order_id = self.held(paypal_stage)
        paypal_stage.control("POST", f"/orders/{order_id}/age", {"days": 30})
        answer = self.capture(paypal_stage, order_id)
        assert (answer.outcome, answer.capturable_minor) == (Outcome.CANCELLED, 0)


class TestRefunds:
    def refund(self, stage: PayPalStage, order_id: str, refund_id: UUID, key: str) -> Any:
        return stage.gateway.refund(
            order_id,
            Money(500, "USD"),
            idempotency_key=key,
            refund_id=refund_id,
            reason="late_payment",
            deadline_seconds=DEADLINE_SECONDS,
        )

    def test_a_refund_that_paypal_knows_is_not_made_again_under_a_new_key(self, paypal_stage: PayPalStage) -> None:
        order_id = authorize(paypal_stage, paypal_stage.request()).gateway_transaction_id
        refund_id = uuid4()
        first, second = (self.refund(paypal_stage, order_id, refund_id, f"key-{uuid4()}") for _ in range(2))
        assert first == second
        assert fetch(paypal_stage, order_id).refunded_minor == 500

    def test_what_was_not_taken_cannot_be_refunded(self, paypal_stage: PayPalStage) -> None:
        order_id = authorize(paypal_stage, paypal_stage.request(token="paypal")).gateway_transaction_id
        with pytest.raises(GatewayRefused) as refused:
            self.refund(paypal_stage, order_id, uuid4(), "key")
        assert refused.value.failure_code == "nothing_captured"

    @pytest.mark.parametrize(
        ("token", "first", "then", "event"),
        [
            ("card:refundpends", RefundOutcome.PENDING, RefundOutcome.SUCCEEDED, "refund_succeeded"),
            ("card:refundfails", RefundOutcome.SUCCEEDED, RefundOutcome.FAILED, "refund_failed"),
        ],
    )
    def test_what_becomes_of_a_refund_later_is_told(
        self, paypal_stage: PayPalStage, token: str, first: RefundOutcome, then: RefundOutcome, event: str
    ) -> None:
        order_id = authorize(paypal_stage, paypal_stage.request(token=token)).gateway_transaction_id
        refund = self.refund(paypal_stage, order_id, uuid4(), "key")
        assert refund.status is first
        paypal_stage.events_until(event)
        found = paypal_stage.gateway.fetch_refund(refund.gateway_refund_id, deadline_seconds=DEADLINE_SECONDS)
        assert found.status is then

    def test_our_words_for_a_reason_are_not_shown_to_the_shopper(self, paypal_stage: PayPalStage) -> None:
        order_id = authorize(paypal_stage, paypal_stage.request()).gateway_transaction_id
        self.refund(paypal_stage, order_id, uuid4(), "key")
        assert "late_payment" not in str(order_at_paypal(paypal_stage, order_id))

    @pytest.mark.parametrize(
        ("verb", "given", "event"),
        [
            ("reverse", {}, "refund_succeeded"),
            ("dispute", {}, "dispute_opened"),
            ("dispute", {"outcome_code": "RESOLVED_SELLER_FAVOUR"}, "dispute_closed"),
        ],
    )
    def test_what_others_do_to_the_money_is_told_with_our_payments_id(
        self, paypal_stage: PayPalStage, verb: str, given: dict[str, Any], event: str
    ) -> None:
        request = paypal_stage.request()
        order_id = authorize(paypal_stage, request).gateway_transaction_id
        paypal_stage.control("POST", f"/orders/{order_id}/{verb}", given)
        told = next(one for one in paypal_stage.events_until(event) if one.event_type == event)
        assert told.payment_id == request.payment_id
        assert told.amount_minor == 1999


class TestTwice:
    def test_a_second_charge_of_an_order_number_is_refused_and_its_attempt_stays_undecided(
        self, paypal_stage: PayPalStage
    ) -> None:
        """This keeps an attempt from being executed again after PayPal has forgotten its request id."""
        request = paypal_stage.request()
        authorize(paypal_stage, request)
        forgotten = replace(request, idempotency_key=f"forgotten-{uuid4()}")
        asked: list[Callable[..., Any]] = [paypal_stage.gateway.authorize, paypal_stage.gateway.find]
        for ask, about_attempt in zip(asked, (True, False), strict=True):
            with pytest.raises(GatewayRefused) as refused:
                ask(forgotten, deadline_seconds=DEADLINE_SECONDS)
            assert refused.value.failure_code == "DUPLICATE_INVOICE_ID"
            assert refused.value.is_about_attempt is about_attempt
        assert paypal_stage.charges_of(request.order_id) == 1
