"""What every gateway must do when somebody pays, whichever vendor is behind it."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from holdfast.gateways.answers import event_from_snapshot
from holdfast.gateways.port import (
    ForgetsMethods,
    GatewayRefused,
    Outcome,
    OutcomeUnknown,
    PaymentSnapshot,
    SavedMethod,
)
from holdfast.values.money import Money
from holdfast.values.payment_events import EventType
from tests.gateways.conforming import DEADLINE_SECONDS, changed, fetch, held
from tests.gateways.stage import Stage


def action_of(stage: Stage) -> str:
    """Return a payment method whose bank wants the shopper to act."""
    if stage.token_action is None:
        pytest.skip("at this gateway the shopper acts before there is a payment")
    return stage.token_action


class TestPaying:
    def test_a_good_card_is_charged_once_and_the_webhook_names_our_payment(self, stage: Stage) -> None:
        request = stage.request()
        answer = stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
        assert answer.outcome is Outcome.SUCCEEDED
        assert (answer.amount, answer.captured_minor, answer.refunded_minor) == (Money(1999, "USD"), 1999, 0)
        assert (answer.brand, answer.last_four) == ("visa", stage.last_four)
        assert stage.charges_of(request.order_id) == 1

        news = [event for event in stage.events_until("capture_succeeded") if event.event_type]
        succeeded = next(event for event in news if event.event_type is EventType.CAPTURE_SUCCEEDED)
        assert succeeded.payment_id == request.payment_id
        assert succeeded.gateway_transaction_id == answer.gateway_transaction_id
        assert (succeeded.captured_minor, succeeded.currency) == (1999, "USD")

    def test_the_answer_and_the_webhook_tell_the_same_in_the_same_form(self, stage: Stage) -> None:
        request = stage.request()
        answer = stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
        told = event_from_snapshot(answer, request.payment_id, datetime.now(UTC))
        arrived = stage.events_until("capture_succeeded")
        webhook = next(event for event in arrived if event.event_type is EventType.CAPTURE_SUCCEEDED)
        for name in ("event_type", "payment_id", "gateway_transaction_id", "amount_minor", "currency",
                     "authorized_minor", "captured_minor"):  # fmt: skip
            assert getattr(told, name) == getattr(webhook, name), name

    def test_money_can_be_held_first_and_the_gateway_says_how_long(self, stage: Stage) -> None:
        answer = held(stage)
        assert answer.outcome is Outcome.AUTHORIZED
        assert (answer.captured_minor, answer.capturable_minor) == (0, 1999)
        events = stage.events_until("authorization_succeeded")
        told = next(event for event in events if event.event_type is EventType.AUTHORIZATION_SUCCEEDED)
        expires_at = answer.authorization_expires_at or told.authorization_expires_at
        assert expires_at is not None
        assert expires_at > datetime.now(UTC) + timedelta(days=1)

    def test_a_decline_is_an_answer_with_a_reason(self, stage: Stage) -> None:
        request = stage.request(token=stage.token_declined)
        answer = stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
        assert answer.outcome is Outcome.DECLINED
        assert answer.failure_code == stage.declined_code
        assert answer.failure_message
        assert stage.charges_of(request.order_id) == 0

        failed = next(e for e in stage.events_until("authorization_failed") if e.event_type == "authorization_failed")
        assert (failed.payment_id, failed.failure_code) == (request.payment_id, stage.declined_code)

    def test_an_unknown_token_is_refused_and_not_declined(self, stage: Stage) -> None:
        request = stage.request(token=stage.token_unknown)
        with pytest.raises(GatewayRefused) as refused:
            stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
        assert refused.value.failure_code == stage.unknown_code
        assert stage.charges_of(request.order_id) == 0


class TestShoppersAction:
    @pytest.mark.parametrize(("succeed", "outcome"), [(True, Outcome.SUCCEEDED), (False, Outcome.DECLINED)])
    def test_the_outcome_is_open_until_the_shopper_acts(self, stage: Stage, succeed: bool, outcome: Outcome) -> None:
        request = stage.request(token=action_of(stage))
        answer = stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
        assert answer.outcome is Outcome.REQUIRES_ACTION
        assert answer.client_action
        assert answer.client_action["type"]
        assert stage.charges_of(request.order_id) == 0
        if stage.announces_actions:
            stage.events_until("action_required")

        stage.complete_action(answer.gateway_transaction_id, succeed=succeed)
        stage.events_until("capture_succeeded" if succeed else "authorization_failed")
        assert fetch(stage, answer).outcome is outcome
        assert stage.charges_of(request.order_id) == int(succeed)

    def test_an_open_action_can_be_cancelled(self, stage: Stage) -> None:
        request = stage.request(token=action_of(stage))
        answer = stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
        asked = stage.gateway.cancel(
            answer.gateway_transaction_id, idempotency_key=f"cancel-{uuid4()}", deadline_seconds=DEADLINE_SECONDS
        )
        assert changed(stage, asked, "cancellation_succeeded").outcome is Outcome.CANCELLED


class TestKeptMethods:
    def keep(self, stage: Stage, *, capture_now: bool = True) -> SavedMethod:
        """Pay with a new method that is to be saved, and return it as the answer or the news names it."""
        request = stage.request(save_method=True, customer_id=uuid4(), capture_now=capture_now)
        answer = stage.pay_and_keep(request)
        assert answer.outcome is (Outcome.SUCCEEDED if capture_now else Outcome.AUTHORIZED)
        told = "capture_succeeded" if capture_now else "authorization_succeeded"
        news = [event.saved_method for event in stage.events_until(told) if event.payment_id == request.payment_id]
        kept = answer.saved_method or next(filter(None, news))
        assert kept.token not in (request.token, "")
        assert {other.token for other in filter(None, news)} <= {kept.token}, "answer and news tell of one method"
        return kept

    def pay_with(self, stage: Stage, kept: SavedMethod) -> PaymentSnapshot:
        request = stage.request(token=kept.token, gateway_customer_id=kept.gateway_customer_id, customer_id=uuid4())
        answer = stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
        assert stage.charges_of(request.order_id) == (answer.outcome is Outcome.SUCCEEDED)
        return answer

    @pytest.mark.parametrize("capture_now", [True, False])
    def test_a_method_that_was_kept_pays_again_and_again(self, stage: Stage, capture_now: bool) -> None:
        kept = self.keep(stage, capture_now=capture_now)
        assert (kept.brand, kept.last_four) == stage.kept_as
        assert (kept.expires_on is None) == (kept.last_four is None)
        for _ in range(2):
            paid = self.pay_with(stage, kept)
            assert (paid.outcome, paid.captured_minor) == (Outcome.SUCCEEDED, 1999)
            assert paid.saved_method is None, "it is kept already"

    def test_a_second_method_is_kept_for_the_same_customer_of_the_gateway(self, stage: Stage) -> None:
        first, customer_id = self.keep(stage), uuid4()
        request = stage.request(
            save_method=True, gateway_customer_id=first.gateway_customer_id, customer_id=customer_id
        )
        answer = stage.pay_and_keep(request)
        assert answer.outcome is Outcome.SUCCEEDED
        assert answer.saved_method is not None
        assert answer.saved_method.gateway_customer_id == first.gateway_customer_id

    def test_nothing_is_kept_unless_it_is_asked_for(self, stage: Stage) -> None:
        request = stage.request(customer_id=uuid4())
        assert stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS).saved_method is None
        assert {event.saved_method for event in stage.events_until("capture_succeeded")} == {None}

    def test_a_method_that_is_forgotten_pays_no_more_and_may_be_forgotten_twice(self, stage: Stage) -> None:
        kept = self.keep(stage)
        assert isinstance(stage.gateway, ForgetsMethods)
        for _ in range(2):
            stage.gateway.forget_method(
                kept.gateway_customer_id,
                kept.token,
                idempotency_key=f"forget-{uuid4()}",
                deadline_seconds=DEADLINE_SECONDS,
            )
        request = stage.request(token=kept.token, gateway_customer_id=kept.gateway_customer_id, customer_id=uuid4())
        try:
            outcome = stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS).outcome
        except GatewayRefused:
            outcome = Outcome.DECLINED
        assert outcome is Outcome.DECLINED
        assert stage.charges_of(request.order_id) == 0

    def test_a_lost_answer_keeps_one_method(self, stage: Stage) -> None:
        known = self.keep(stage).gateway_customer_id
        request = stage.request(save_method=True, gateway_customer_id=known, customer_id=uuid4())
        stage.lose_answer()
        with pytest.raises(OutcomeUnknown):
            stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
        found = stage.gateway.find(request, deadline_seconds=DEADLINE_SECONDS)
        again = stage.gateway.find(request, deadline_seconds=DEADLINE_SECONDS)
        assert found is not None
        assert again is not None
        assert found.saved_method == again.saved_method
        assert stage.charges_of(request.order_id) == 1
