"""Orders that the shopper approves: at PayPal, in PayPal's buttons, too late, or with another way to pay."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from holdfast.gateways.port import (
    AuthorizeRequest,
    GatewayRefused,
    Outcome,
    OutcomeUnknown,
    PaymentSnapshot,
)
from tests.gateways.paypal_stage import PayPalStage

DEADLINE_SECONDS = 5.0


def authorize(stage: PayPalStage, request: AuthorizeRequest) -> PaymentSnapshot:
    return stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)


def fetch(stage: PayPalStage, order_id: str) -> PaymentSnapshot:
    return stage.gateway.fetch(order_id, deadline_seconds=DEADLINE_SECONDS)


def cancel(stage: PayPalStage, order_id: str) -> PaymentSnapshot:
    return stage.gateway.cancel(order_id, idempotency_key=f"cancel-{uuid4()}", deadline_seconds=DEADLINE_SECONDS)


def order_at_paypal(stage: PayPalStage, order_id: str) -> dict[str, Any]:
    (found,) = (one for one in stage.control("GET", f"/orders?account={stage.client_id}") if one["id"] == order_id)
    return dict(found)


def made_by_buttons(stage: PayPalStage, request: AuthorizeRequest, **changes: Any) -> str:
    """Create an order as PayPal's buttons do in the browser, with nothing of ours but the amount; return its id."""
    value = f"{request.amount.amount_minor // 100}.{request.amount.amount_minor % 100:02d}"
    unit = {"amount": {"currency_code": request.amount.currency, "value": value}, **changes.pop("unit", {})}
    token = stage.tokens.token(stage.base_url, stage.credentials, deadline_seconds=DEADLINE_SECONDS)
    answer = stage.pool.request(
        "POST",
        f"{stage.base_url}/v2/checkout/orders",
        headers={"Authorization": f"Bearer {token}"},
        json={"intent": "CAPTURE", "purchase_units": [unit], **changes},
    )
    assert answer.status == 201, answer.data
    return str(answer.json()["id"])


class TestApproval:
    def test_the_shopper_is_sent_to_paypal_and_back(self, paypal_stage: PayPalStage) -> None:
        request = replace(paypal_stage.request(token="paypal"), return_url="https://shop.example/thanks")
        answer = authorize(paypal_stage, request)
        assert answer.outcome is Outcome.REQUIRES_ACTION
        action = answer.client_action
        assert action is not None
        assert (action["type"], action["order_id"]) == ("paypal_approval", answer.gateway_transaction_id)
        page = paypal_stage.pool.request("GET", action["url"])
        assert b"https://shop.example/thanks" in page.data

    @pytest.mark.parametrize(("capture_now", "outcome"), [(True, Outcome.SUCCEEDED), (False, Outcome.AUTHORIZED)])
    def test_whoever_looks_first_after_the_approval_takes_the_money_once(
        self, paypal_stage: PayPalStage, capture_now: bool, outcome: Outcome
    ) -> None:
        stage = paypal_stage
        request = stage.request(token="paypal", capture_now=capture_now)
        order_id = authorize(stage, request).gateway_transaction_id
        assert fetch(stage, order_id).outcome is Outcome.REQUIRES_ACTION
        stage.approve(order_id)
        assert stage.charges_of(request.order_id) == 0
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda _: looked_at(stage, order_id), range(4)))
        assert {one.outcome for one in found if one} == {outcome}
        assert stage.charges_of(request.order_id) == 1
        assert fetch(stage, order_id).method == "paypal"

    def test_finding_an_attempt_whose_answer_was_lost_takes_it_too(self, paypal_stage: PayPalStage) -> None:
        request = paypal_stage.request(token="paypal")
        order_id = authorize(paypal_stage, request).gateway_transaction_id
        paypal_stage.approve(order_id)
        found = paypal_stage.gateway.find(request, deadline_seconds=DEADLINE_SECONDS)
        assert found is not None
        assert (found.gateway_transaction_id, found.outcome) == (order_id, Outcome.SUCCEEDED)

    def test_an_instrument_that_is_declined_sends_the_shopper_back_to_choose_another(
        self, paypal_stage: PayPalStage
    ) -> None:
        request = paypal_stage.request(token="paypal")
        order_id = authorize(paypal_stage, request).gateway_transaction_id
        paypal_stage.approve(order_id, "emptywallet")
        answer = fetch(paypal_stage, order_id)
        assert (answer.outcome, answer.failure_code) == (Outcome.REQUIRES_ACTION, "INSTRUMENT_DECLINED")
        assert answer.client_action
        assert answer.client_action["url"].endswith(f"/approval/{order_id}")
        paypal_stage.approve(order_id, "wallet")
        assert fetch(paypal_stage, order_id).outcome is Outcome.SUCCEEDED
        assert paypal_stage.charges_of(request.order_id) == 1

    def test_a_shopper_who_cannot_pay_is_declined(self, paypal_stage: PayPalStage) -> None:
        order_id = authorize(paypal_stage, paypal_stage.request(token="paypal")).gateway_transaction_id
        paypal_stage.approve(order_id, "lockedwallet")
        answer = fetch(paypal_stage, order_id)
        assert (answer.outcome, answer.failure_code) == (Outcome.DECLINED, "PAYER_ACCOUNT_LOCKED_OR_CLOSED")
        assert answer.client_action is None

    def test_a_card_whose_bank_asks_its_holder_is_an_action_and_then_taken(self, paypal_stage: PayPalStage) -> None:
        answer = authorize(paypal_stage, paypal_stage.request(token="card:asks3ds"))
        assert answer.outcome is Outcome.REQUIRES_ACTION
        paypal_stage.approve(answer.gateway_transaction_id, "visa4242")
        assert fetch(paypal_stage, answer.gateway_transaction_id).outcome is Outcome.SUCCEEDED

    @pytest.mark.parametrize(("succeed", "outcome"), [(True, Outcome.SUCCEEDED), (False, Outcome.DECLINED)])
    def test_money_that_is_on_its_way_is_processing_until_it_came(
        self, paypal_stage: PayPalStage, succeed: bool, outcome: Outcome
    ) -> None:
        answer = authorize(paypal_stage, paypal_stage.request(token="paypal:echeck"))
        assert (answer.outcome, answer.captured_minor) == (Outcome.PROCESSING, 0)
        paypal_stage.control("POST", f"/orders/{answer.gateway_transaction_id}/settle", {"succeed": succeed})
        paypal_stage.events_until("payment_processing", "capture_succeeded" if succeed else "authorization_failed")
        assert fetch(paypal_stage, answer.gateway_transaction_id).outcome is outcome

    def test_an_approval_that_paypal_takes_back_is_a_failure(self, paypal_stage: PayPalStage) -> None:
        answer = authorize(paypal_stage, paypal_stage.request(token="paypal"))
        order_id = answer.gateway_transaction_id
        paypal_stage.approve(order_id)
        paypal_stage.control("POST", f"/orders/{order_id}/take_back_approval")
        events = paypal_stage.events_until("payment_processing", "authorization_failed")
        assert {event.gateway_transaction_id for event in events} == {order_id}
        assert fetch(paypal_stage, order_id).outcome is Outcome.CANCELLED


def looked_at(stage: PayPalStage, order_id: str) -> PaymentSnapshot | None:
    try:
        return fetch(stage, order_id)
    except OutcomeUnknown:
        return None


class TestOrdersBroughtAlong:
    def test_an_order_the_shopper_approved_already_finishes_the_checkout_at_once(
        self, paypal_stage: PayPalStage
    ) -> None:
        request = paypal_stage.request()
        order_id = made_by_buttons(paypal_stage, request)
        paypal_stage.approve(order_id)
        answer = authorize(paypal_stage, replace(request, token=f"order:{order_id}"))
        assert (answer.outcome, answer.gateway_transaction_id) == (Outcome.SUCCEEDED, order_id)
        (event,) = [one for one in paypal_stage.events_until("capture_succeeded") if one.captured_minor]
        assert (event.payment_id, event.gateway_transaction_id) == (request.payment_id, order_id)
        assert order_at_paypal(paypal_stage, order_id)["purchase_units"][0]["invoice_id"] == request.order_number

    def test_repeating_the_attempt_finds_the_same_payment(self, paypal_stage: PayPalStage) -> None:
        plain = paypal_stage.request()
        order_id = made_by_buttons(paypal_stage, plain)
        paypal_stage.approve(order_id)
        request = replace(plain, token=f"order:{order_id}")
        paypal_stage.behave(operations=["orders.capture"], fault="timeout_after")
        with pytest.raises(OutcomeUnknown):
            authorize(paypal_stage, request)
        found = paypal_stage.gateway.find(request, deadline_seconds=DEADLINE_SECONDS)
        assert found is not None
        assert found.outcome is Outcome.SUCCEEDED
        assert paypal_stage.charges_of(request.order_id) == 1

    def test_an_order_that_is_not_approved_yet_asks_for_it(self, paypal_stage: PayPalStage) -> None:
        request = paypal_stage.request()
        order_id = made_by_buttons(paypal_stage, request)
        answer = authorize(paypal_stage, replace(request, token=f"order:{order_id}"))
        assert answer.outcome is Outcome.REQUIRES_ACTION
        assert answer.client_action
        assert answer.client_action["url"]

    @pytest.mark.parametrize(
        "of_the_order",
        [{"amount_minor": 1}, {"amount_minor": 1998}, {"currency": "EUR"}, {"intent": "AUTHORIZE"}],
        ids=str,
    )
    def test_an_order_of_another_amount_or_kind_is_refused_and_not_taken(
        self, paypal_stage: PayPalStage, of_the_order: dict[str, Any]
    ) -> None:
        intent = of_the_order.pop("intent", "CAPTURE")
        order_id = made_by_buttons(paypal_stage, paypal_stage.request(**of_the_order), intent=intent)
        paypal_stage.approve(order_id)
        with pytest.raises(GatewayRefused) as refused:
            authorize(paypal_stage, paypal_stage.request(token=f"order:{order_id}"))
        assert refused.value.failure_code == "order_mismatch"
        assert order_at_paypal(paypal_stage, order_id)["status"] == "APPROVED"

    def test_an_order_pays_only_once(self, paypal_stage: PayPalStage) -> None:
        first = paypal_stage.request()
        order_id = made_by_buttons(paypal_stage, first)
        paypal_stage.approve(order_id)
        authorize(paypal_stage, replace(first, token=f"order:{order_id}"))
        with pytest.raises(GatewayRefused) as refused:
            authorize(paypal_stage, paypal_stage.request(token=f"order:{order_id}"))
        assert refused.value.failure_code == "order_of_another_payment"

    def test_an_order_of_another_attempt_is_refused(self, paypal_stage: PayPalStage) -> None:
        order_id = authorize(paypal_stage, paypal_stage.request(token="paypal")).gateway_transaction_id
        paypal_stage.approve(order_id)
        with pytest.raises(GatewayRefused) as refused:
            authorize(paypal_stage, paypal_stage.request(token=f"order:{order_id}"))
        assert refused.value.failure_code == "order_of_another_payment"

    def test_two_payments_that_bring_the_same_order_at_once_take_it_once(self, paypal_stage: PayPalStage) -> None:
        requests = [paypal_stage.request() for _ in range(2)]
        order_id = made_by_buttons(paypal_stage, requests[0])
        paypal_stage.approve(order_id)

        def pay(request: AuthorizeRequest) -> UUID | None:
            try:
                answer = authorize(paypal_stage, replace(request, token=f"order:{order_id}"))
            except (GatewayRefused, OutcomeUnknown):
                return None
            assert answer.outcome is Outcome.SUCCEEDED
            return request.payment_id

        with ThreadPoolExecutor(2) as threads:
            paid = [payment_id for payment_id in threads.map(pay, requests) if payment_id]
        assert len(paid) <= 1
        owner = order_at_paypal(paypal_stage, order_id)["purchase_units"][0]["custom_id"]
        assert not paid or owner == str(paid[0])


class TestCancelling:
    @pytest.mark.parametrize("approve_before", [True, False])
    def test_what_was_given_up_is_never_taken_even_if_the_shopper_approves_it(
        self, paypal_stage: PayPalStage, approve_before: bool
    ) -> None:
        request = paypal_stage.request(token="paypal")
        order_id = authorize(paypal_stage, request).gateway_transaction_id
        if approve_before:
            paypal_stage.approve(order_id)
        assert cancel(paypal_stage, order_id).outcome is Outcome.CANCELLED
        if not approve_before:
            paypal_stage.approve(order_id)
        assert fetch(paypal_stage, order_id).outcome is Outcome.CANCELLED
        found = paypal_stage.gateway.find(request, deadline_seconds=DEADLINE_SECONDS)
        assert found is not None
        assert found.outcome is Outcome.CANCELLED
        assert cancel(paypal_stage, order_id).outcome is Outcome.CANCELLED
        assert paypal_stage.charges_of(request.order_id) == 0

    def test_what_was_given_up_is_still_known_to_be_ours(self, paypal_stage: PayPalStage) -> None:
        request = paypal_stage.request(token="paypal")
        order_id = authorize(paypal_stage, request).gateway_transaction_id
        cancel(paypal_stage, order_id)
        paypal_stage.approve(order_id)
        (event,) = paypal_stage.events_until("payment_processing")
        assert (event.payment_id, event.gateway_transaction_id) == (request.payment_id, order_id)
