"""How every gateway must cope with lost answers, repeated requests, and news in any order."""

from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from uuid import uuid4

import pytest

from holdfast.gateways.port import (
    GatewayRefused,
    Outcome,
    OutcomeUnknown,
    RefundOutcome,
    RefundSnapshot,
)
from holdfast.values.money import Money
from holdfast.values.payment_events import EventType
from tests.gateways.conforming import DEADLINE_SECONDS, fetch, held, paid, settled
from tests.gateways.stage import Resolution, Stage


class TestUnknownOutcome:
    def test_a_request_that_never_arrived_is_unknown_and_then_charged_once_or_given_up(self, stage: Stage) -> None:
        request = stage.request()
        stage.lose_request()
        with pytest.raises(OutcomeUnknown):
            stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
        assert stage.charges_of(request.order_id) == 0
        found = stage.gateway.find(request, deadline_seconds=DEADLINE_SECONDS)
        if stage.resolution is Resolution.CANCELLATION:
            assert found is None
            assert stage.charges_of(request.order_id) == 0
        else:
            assert found is not None
            assert found.outcome is Outcome.SUCCEEDED
            assert stage.charges_of(request.order_id) == 1

    def test_held_money_whose_answer_was_lost_is_found_or_given_up(self, stage: Stage) -> None:
        request = stage.request(capture_now=False)
        stage.lose_answer()
        with pytest.raises(OutcomeUnknown):
            stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
        given_up = stage.resolution is Resolution.CANCELLATION
        for _ in range(2):
            found = stage.gateway.find(request, deadline_seconds=DEADLINE_SECONDS)
            assert found is not None
            assert found.outcome is (Outcome.CANCELLED if given_up else Outcome.AUTHORIZED)
            assert found.capturable_minor == (0 if given_up else 1999)
        assert stage.charges_of(request.order_id) == 1

    def test_an_answer_that_was_lost_is_found_and_nothing_is_charged_again(self, stage: Stage) -> None:
        request = stage.request()
        stage.lose_answer()
        with pytest.raises(OutcomeUnknown):
            stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
        assert stage.charges_of(request.order_id) == 1
        found = stage.gateway.find(request, deadline_seconds=DEADLINE_SECONDS)
        assert found is not None
        assert found.outcome is Outcome.SUCCEEDED
        assert stage.charges_of(request.order_id) == 1
        assert stage.captured_of(request.order_id) == 1999

    def test_a_decline_whose_answer_was_lost_is_found_as_a_decline(self, stage: Stage) -> None:
        request = stage.request(token=stage.token_declined)
        stage.lose_answer()
        with pytest.raises(OutcomeUnknown):
            stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)
        found = stage.gateway.find(request, deadline_seconds=DEADLINE_SECONDS)
        assert found is not None
        assert (found.outcome, found.failure_code) == (Outcome.DECLINED, stage.declined_code)

    def test_a_call_ends_at_its_deadline_and_a_repetition_meanwhile_stays_unknown(self, stage: Stage) -> None:
        request = stage.request()
        stage.answer_late(1.0)
        started = monotonic()
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                stage.gateway.authorize(request, deadline_seconds=0.3)
        assert monotonic() - started < 0.9
        stage.events_until("capture_succeeded")
        found = stage.gateway.find(request, deadline_seconds=DEADLINE_SECONDS)
        assert found is not None
        assert found.outcome is Outcome.SUCCEEDED
        assert stage.charges_of(request.order_id) == 1

    def test_a_refund_whose_answer_was_lost_is_repeated_without_paying_twice(self, stage: Stage) -> None:
        payment = paid(stage)
        stage.lose_answer()
        key, refund_id = f"refund-{uuid4()}", uuid4()

        def refund() -> RefundSnapshot:
            return stage.gateway.refund(
                payment.gateway_transaction_id,
                Money(500, "USD"),
                idempotency_key=key,
                refund_id=refund_id,
                deadline_seconds=DEADLINE_SECONDS,
            )

        with pytest.raises(OutcomeUnknown):
            refund()
        repeated = refund()
        assert settled(stage, repeated).status is RefundOutcome.SUCCEEDED
        assert refund().gateway_refund_id == repeated.gateway_refund_id
        assert fetch(stage, payment).refunded_minor == 500


class TestDuplicates:
    def test_the_same_key_is_the_same_payment(self, stage: Stage) -> None:
        request = stage.request()
        first, second = (stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS) for _ in range(2))
        assert first == second
        assert stage.charges_of(request.order_id) == 1

    def test_the_same_key_at_once_is_charged_once(self, stage: Stage) -> None:
        request = stage.request()
        stage.answer_late(0.2)

        def attempt(_: int) -> Outcome | None:
            try:
                return stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS).outcome
            except OutcomeUnknown:
                return None

        with ThreadPoolExecutor(8) as threads:
            outcomes = set(threads.map(attempt, range(8)))
        assert outcomes <= {Outcome.SUCCEEDED, None}
        assert Outcome.SUCCEEDED in outcomes
        assert stage.charges_of(request.order_id) == 1

    def test_the_same_key_for_another_amount_is_refused(self, stage: Stage) -> None:
        first = stage.request(idempotency_key=f"attempt-{uuid4()}")
        stage.gateway.authorize(first, deadline_seconds=DEADLINE_SECONDS)
        other = stage.request(idempotency_key=first.idempotency_key, amount_minor=2999, order_id=first.order_id)
        with pytest.raises(GatewayRefused):
            stage.gateway.authorize(other, deadline_seconds=DEADLINE_SECONDS)
        assert stage.charges_of(first.order_id) == 1


class TestOrderOfArrival:
    def test_events_may_arrive_twice_and_backwards_and_are_recognized(self, stage: Stage) -> None:
        stage.send_webhooks_twice_and_backwards()
        payment = held(stage)
        events = stage.events_until("authorization_succeeded", "authorization_succeeded")
        twice = [event for event in events if event.event_type is EventType.AUTHORIZATION_SUCCEEDED]
        assert len(twice) == 2
        assert twice[0] == twice[1]
        assert twice[0].gateway_transaction_id == payment.gateway_transaction_id
