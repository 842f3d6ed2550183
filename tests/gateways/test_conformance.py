"""What every gateway must do, whichever vendor stands behind it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from uuid import uuid4

import pytest

from holdfast.gateways.answers import event_from_snapshot
from holdfast.gateways.port import (
    CaptureOutcome,
    ForgetsMethods,
    GatewayEvent,
    GatewayRefused,
    Outcome,
    OutcomeUnknown,
    PaymentSnapshot,
    RefundOutcome,
    RefundSnapshot,
    SavedMethod,
)
from holdfast.values.money import Money
from holdfast.values.payment_events import EventType
from tests.gateways.stage import Asked, Resolution, Stage

DEADLINE_SECONDS = 5.0


def held(stage: Stage, amount_minor: int = 1999) -> PaymentSnapshot:
    request = stage.request(capture_now=False, amount_minor=amount_minor)
    return stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)


def paid(stage: Stage, amount_minor: int = 1999) -> PaymentSnapshot:
    return stage.gateway.authorize(stage.request(amount_minor=amount_minor), deadline_seconds=DEADLINE_SECONDS)


def give_back(stage: Stage, payment: PaymentSnapshot, amount_minor: int) -> RefundSnapshot:
    return stage.gateway.refund(
        payment.gateway_transaction_id,
        Money(amount_minor, "USD"),
        idempotency_key=f"refund-{uuid4()}",
        refund_id=uuid4(),
        reason="requested_by_customer",
        deadline_seconds=DEADLINE_SECONDS,
    )


def fetch(stage: Stage, payment: PaymentSnapshot) -> PaymentSnapshot:
    return stage.truth(payment.gateway_transaction_id)


def settled(stage: Stage, refund: RefundSnapshot) -> RefundSnapshot:
    """A refund in the end; at some gateways it is pending at first."""
    if not stage.refunds_settle_later:
        return refund
    assert refund.status is RefundOutcome.PENDING
    stage.events_until("refund_succeeded")
    return stage.truth_of_refund(refund.gateway_refund_id)


def changed(stage: Stage, answer: PaymentSnapshot, *news: str) -> PaymentSnapshot:
    """What a change led to: its answer says it, or, where that only says "received", the news."""
    if not stage.settles_later:
        return answer
    assert (answer.outcome, answer.amount) == (Outcome.PROCESSING, None)
    stage.events_until(*news)
    return fetch(stage, answer)


@contextmanager
def refusal(stage: Stage, asked: Asked) -> Iterator[None]:
    """Too much is asked: refused at once, or taken and refused by webhook."""
    if stage.settles_later:
        yield
        stage.await_refusal(asked)
    else:
        with pytest.raises(GatewayRefused):
            yield


def action_of(stage: Stage) -> str:
    """A payment method whose bank asks the shopper."""
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
        """Pay with a new method that is to be kept; what the gateway keeps, by its answer or its news."""
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


def take(
    stage: Stage, payment: PaymentSnapshot, amount_minor: int, *, is_final: bool = True, key: str | None = None
) -> PaymentSnapshot:
    return stage.gateway.capture(
        payment.gateway_transaction_id,
        Money(amount_minor, "USD"),
        idempotency_key=key or f"capture-{uuid4()}",
        is_final=is_final,
        deadline_seconds=DEADLINE_SECONDS,
    )


def taken(stage: Stage, payment: PaymentSnapshot, amount_minor: int, *, is_final: bool, nth: int) -> PaymentSnapshot:
    """The payment once its `nth` capture is told of."""
    answer = take(stage, payment, amount_minor, is_final=is_final)
    stage.events_until(*["capture_succeeded"] * nth)
    return fetch(stage, payment) if stage.settles_later else answer


def let_go(stage: Stage, payment: PaymentSnapshot) -> PaymentSnapshot:
    """Have what captures left given up, where a final capture does not do that by itself."""
    if stage.gateway.releases_rest:
        return fetch(stage, payment)
    return changed(stage, cancel(stage, payment), "cancellation_succeeded")


def cancel(stage: Stage, payment: PaymentSnapshot) -> PaymentSnapshot:
    return stage.gateway.cancel(
        payment.gateway_transaction_id, idempotency_key=f"cancel-{uuid4()}", deadline_seconds=DEADLINE_SECONDS
    )


def told_of_captures(event: GatewayEvent) -> int:
    """What an event says was captured: by its cumulative figure, or of the captures that it names."""
    named = sum(one.amount.amount_minor for one in event.captures if one.status is CaptureOutcome.SUCCEEDED)
    return event.captured_minor or named


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
    """Held to by every gateway: those that capture once end with the first capture, whatever is asked of them."""

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


class TestOrderOfArrival:
    def test_events_may_arrive_twice_and_backwards_and_are_recognized(self, stage: Stage) -> None:
        stage.send_webhooks_twice_and_backwards()
        payment = held(stage)
        events = stage.events_until("authorization_succeeded", "authorization_succeeded")
        twice = [event for event in events if event.event_type is EventType.AUTHORIZATION_SUCCEEDED]
        assert len(twice) == 2
        assert twice[0] == twice[1]
        assert twice[0].gateway_transaction_id == payment.gateway_transaction_id
