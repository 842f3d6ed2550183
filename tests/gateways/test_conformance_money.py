"""What every gateway must do with money that is held or taken: capture it, release it, refund it."""

from uuid import uuid4

import pytest

from holdfast.gateways.port import (
    Outcome,
    OutcomeUnknown,
    PaymentSnapshot,
    RefundOutcome,
    RefundSnapshot,
)
from holdfast.values.money import Money
from holdfast.values.payment_events import EventType
from tests.gateways.conforming import (
    DEADLINE_SECONDS,
    cancel,
    changed,
    fetch,
    give_back,
    held,
    let_go,
    paid,
    refusal,
    settled,
    take,
    taken,
    told_of_captures,
)
from tests.gateways.stage import Asked, Stage


class TestCapture:
    def capture(self, stage: Stage, payment: PaymentSnapshot, amount_minor: int) -> PaymentSnapshot:
        return take(stage, payment, amount_minor)

    def test_a_part_is_captured_and_the_rest_released(self, stage: Stage) -> None:
        payment = held(stage)
        captured = changed(stage, self.capture(stage, payment, 1200), "capture_succeeded")
        assert captured.outcome is Outcome.SUCCEEDED
        event = next(e for e in stage.events_until("capture_succeeded") if e.event_type == "capture_succeeded")
        assert told_of_captures(event) == 1200
        assert event.amount_minor in (1999, None), "the payment's amount, where the gateway's word for it tells that"
        after = let_go(stage, payment)
        assert (after.captured_minor, after.capturable_minor, after.refunded_minor) == (1200, 0, 0)

        settled(stage, give_back(stage, payment, 200))
        assert fetch(stage, payment).refunded_minor == 200

    def test_more_than_is_held_is_refused(self, stage: Stage) -> None:
        payment = held(stage)
        with refusal(stage, Asked.CAPTURE):
            self.capture(stage, payment, 2000)
        assert fetch(stage, payment).outcome is Outcome.AUTHORIZED

    @pytest.mark.parametrize("ending", ["captured", "cancelled", "expired"])
    def test_what_can_no_longer_be_captured_says_what_it_is(self, stage: Stage, ending: str) -> None:
        payment = held(stage)
        transaction = payment.gateway_transaction_id
        if ending == "captured":
            changed(stage, self.capture(stage, payment, 1999), "capture_succeeded")
        elif ending == "cancelled":
            key = f"cancel-{uuid4()}"
            asked = stage.gateway.cancel(transaction, idempotency_key=key, deadline_seconds=DEADLINE_SECONDS)
            changed(stage, asked, "cancellation_succeeded")
        else:
            stage.expire_authorization(transaction)
            stage.events_until("authorization_expired")
        after = self.capture(stage, payment, 1999)
        if stage.settles_later:
            stage.await_refusal(Asked.CAPTURE)
            after = fetch(stage, payment)
        expected = Outcome.SUCCEEDED if ending == "captured" else Outcome.CANCELLED
        assert (after.outcome, after.refunded_minor) == (expected, 0)
        assert after.captured_minor == (1999 if ending == "captured" else 0)


class TestSeveralCaptures:
    """Cases for every gateway: one that captures once is done after the first capture, whatever else is asked."""

    def test_parts_are_captured_one_by_one_and_a_refund_goes_across_them(self, stage: Stage) -> None:
        payment = held(stage)
        first = taken(stage, payment, 700, is_final=False, nth=1)
        if not stage.gateway.multiple_captures:
            assert (first.captured_minor, first.capturable_minor) == (700, 0)
            return
        assert (first.captured_minor, first.capturable_minor) == (700, 1299)
        second = taken(stage, payment, 800, is_final=False, nth=2)
        assert (second.captured_minor, second.capturable_minor) == (1500, 499)
        news = [event for event in stage.events_until("capture_succeeded", "capture_succeeded") if event.captures]
        assert sorted({one.amount.amount_minor for event in news for one in event.captures}) == [700, 800]
        named = sorted({one.gateway_capture_id for event in news for one in event.captures})
        assert len(named) == 2
        parts = [(named[0], 500), (named[1], 500)]
        refunds = [self.give_back(stage, payment, capture_id, minor) for capture_id, minor in parts]
        assert len({refund.gateway_refund_id for refund in refunds}) == 2
        if stage.refunds_settle_later:
            stage.events_until("refund_succeeded", "refund_succeeded")
        after = fetch(stage, payment)
        assert (after.captured_minor, after.refunded_minor, after.capturable_minor) == (1500, 1000, 499)

    def give_back(self, stage: Stage, payment: PaymentSnapshot, capture_id: str, amount_minor: int) -> RefundSnapshot:
        return stage.gateway.refund(
            payment.gateway_transaction_id,
            Money(amount_minor, "USD"),
            idempotency_key=f"refund-{uuid4()}",
            refund_id=uuid4(),
            gateway_capture_id=capture_id,
            deadline_seconds=DEADLINE_SECONDS,
        )

    def test_more_than_is_left_is_refused_or_says_what_it_is(self, stage: Stage) -> None:
        payment = held(stage)
        taken(stage, payment, 1500, is_final=False, nth=1)
        if stage.gateway.multiple_captures:
            with refusal(stage, Asked.CAPTURE):
                take(stage, payment, 500)
        else:
            assert take(stage, payment, 500).captured_minor == 1500
        assert fetch(stage, payment).captured_minor == 1500

    def test_after_the_final_one_nothing_is_captured(self, stage: Stage) -> None:
        payment = held(stage)
        taken(stage, payment, 1500, is_final=True, nth=1)
        let_go(stage, payment)
        after = take(stage, payment, 400)
        if stage.settles_later:
            stage.await_refusal(Asked.CAPTURE)
            after = fetch(stage, payment)
        assert after.capture_id is None
        assert (after.outcome, after.captured_minor, after.capturable_minor) == (Outcome.SUCCEEDED, 1500, 0)

    @pytest.mark.parametrize("is_final", [False, True])
    def test_a_second_capture_whose_answer_was_lost_is_repeated_and_taken_once(
        self, stage: Stage, is_final: bool
    ) -> None:
        if not stage.gateway.multiple_captures:
            pytest.skip("this gateway captures once")
        payment, key = held(stage), f"capture-{uuid4()}"
        taken(stage, payment, 700, is_final=False, nth=1)
        stage.lose_answer()
        with pytest.raises(OutcomeUnknown):
            take(stage, payment, 800, is_final=is_final, key=key)
        again = [take(stage, payment, 800, is_final=is_final, key=key) for _ in range(2)]
        assert len({snapshot.capture_id for snapshot in again}) == 1
        stage.events_until("capture_succeeded", "capture_succeeded")
        assert fetch(stage, payment).captured_minor == 1500

    def test_a_second_capture_that_never_arrived_is_repeated_and_taken_once(self, stage: Stage) -> None:
        if not stage.gateway.multiple_captures:
            pytest.skip("this gateway captures once")
        payment, key = held(stage), f"capture-{uuid4()}"
        taken(stage, payment, 700, is_final=False, nth=1)
        stage.lose_request()
        with pytest.raises(OutcomeUnknown):
            take(stage, payment, 800, is_final=False, key=key)
        take(stage, payment, 800, is_final=False, key=key)
        stage.events_until("capture_succeeded", "capture_succeeded")
        assert fetch(stage, payment).captured_minor == 1500

    def test_two_captures_of_the_same_amount_are_two(self, stage: Stage) -> None:
        if not stage.gateway.multiple_captures:
            pytest.skip("this gateway captures once")
        payment = held(stage)
        for nth in (1, 2):
            after = taken(stage, payment, 600, is_final=False, nth=nth)
        assert (after.captured_minor, after.capturable_minor) == (1200, 799)

    def test_what_captures_left_can_be_given_up(self, stage: Stage) -> None:
        payment = held(stage)
        taken(stage, payment, 1200, is_final=False, nth=1)
        asked = cancel(stage, payment)
        if stage.gateway.multiple_captures:
            asked = changed(stage, asked, "cancellation_succeeded")
            stage.events_until("cancellation_succeeded")
        assert (asked.outcome, asked.captured_minor, asked.capturable_minor) == (Outcome.SUCCEEDED, 1200, 0)

    def test_the_webhook_of_a_capture_that_comes_twice_is_one_capture(self, stage: Stage) -> None:
        if not stage.gateway.multiple_captures:
            pytest.skip("this gateway captures once")
        payment = held(stage)
        stage.events_until("authorization_succeeded")
        stage.send_webhooks_twice_and_backwards()
        take(stage, payment, 700, is_final=False)
        events = stage.events_until("capture_succeeded", "capture_succeeded")
        told = [event for event in events if event.event_type is EventType.CAPTURE_SUCCEEDED]
        assert len({event.gateway_event_id for event in told}) * 2 == len(told), "a repetition is known by its id"
        assert {told_of_captures(event) for event in told} == {700}
        assert len({one.gateway_capture_id for event in told for one in event.captures}) <= 1
        assert fetch(stage, payment).captured_minor == 700


class TestCancellation:
    def test_held_money_goes_back(self, stage: Stage) -> None:
        payment = held(stage)
        for _ in range(2):
            asked = stage.gateway.cancel(
                payment.gateway_transaction_id,
                idempotency_key=f"cancel-{uuid4()}",
                deadline_seconds=DEADLINE_SECONDS,
            )
            cancelled = changed(stage, asked, "cancellation_succeeded")
            assert (cancelled.outcome, cancelled.capturable_minor) == (Outcome.CANCELLED, 0)
        stage.events_until("authorization_succeeded", "cancellation_succeeded")

    def test_a_cancellation_that_comes_after_the_capture_says_so(self, stage: Stage) -> None:
        payment = paid(stage)
        asked = stage.gateway.cancel(
            payment.gateway_transaction_id, idempotency_key=f"cancel-{uuid4()}", deadline_seconds=DEADLINE_SECONDS
        )
        after = changed(stage, asked, "capture_succeeded", "cancellation_failed")
        assert (after.outcome, after.captured_minor) == (Outcome.SUCCEEDED, 1999)


class TestRefunds:
    def test_a_part_is_refunded_and_no_more_than_was_captured(self, stage: Stage) -> None:
        payment = paid(stage)
        refund = give_back(stage, payment, 700)
        assert refund.amount == Money(700, "USD")
        assert settled(stage, refund).status is RefundOutcome.SUCCEEDED
        after = fetch(stage, payment)
        assert (after.outcome, after.captured_minor, after.refunded_minor) == (Outcome.SUCCEEDED, 1999, 700)
        with refusal(stage, Asked.REFUND):
            give_back(stage, payment, 1300)
        assert fetch(stage, payment).refunded_minor == 700

    def test_a_refund_that_succeeded_can_fail_later(self, stage: Stage) -> None:
        payment = paid(stage)
        refund_id = uuid4()
        refund = stage.gateway.refund(
            payment.gateway_transaction_id,
            Money(700, "USD"),
            idempotency_key=f"refund-{refund_id}",
            refund_id=refund_id,
            deadline_seconds=DEADLINE_SECONDS,
        )
        assert settled(stage, refund).status is RefundOutcome.SUCCEEDED
        stage.fail_refund(refund.gateway_refund_id)
        events = stage.events_until("refund_succeeded", "refund_failed")
        failed = next(event for event in events if event.event_type is EventType.REFUND_FAILED)
        assert (failed.gateway_refund_id, failed.refund_id) == (refund.gateway_refund_id, refund_id)
        assert (failed.gateway_transaction_id, failed.amount_minor) == (payment.gateway_transaction_id, 700)
        assert failed.failure_code
        assert stage.truth_of_refund(refund.gateway_refund_id).status is RefundOutcome.FAILED
        assert fetch(stage, payment).refunded_minor == 0
