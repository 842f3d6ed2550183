import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.payments.facts_record import from_json, to_json
from holdfast.payments.model import PaymentStatus, RefundStatus
from holdfast.payments.state import PaymentNews, RefundFact, derive_status, is_known, join
from holdfast.values.errors import InvalidInput
from holdfast.values.payment_events import DisputeOutcome, EventType
from tests.domains.payment_news import (
    HELD,
    NEW,
    NOON,
    asked,
    captured,
    dispute,
    facts_of,
    fell,
    news,
    refund,
    status_of,
    took,
)

amounts = st.integers(1, NEW.amount_minor)
minutes = st.integers(0, 3)
capture_ids = st.sampled_from(["cap_1", "cap_2", "cap_3"])
dispute_kinds = sorted(kind for kind in EventType if "dispute" in kind)
plain_kinds = sorted(
    kind
    for kind in EventType
    if "refund" not in kind and "dispute" not in kind and kind is not EventType.CAPTURE_SUCCEEDED
)
any_news = st.one_of(
    st.builds(
        news,
        st.sampled_from(plain_kinds),
        minutes,
        authorized_minor=st.none() | amounts,
        authorization_expires_at=st.none() | st.just(NOON) | st.just(NOON + timedelta(days=7)),
        failure_code=st.sampled_from([None, "card_declined", "insufficient_funds"]),
    ),
    st.builds(captured, amounts, minutes),
    st.builds(took, capture_ids, amounts, minutes, is_final=st.booleans()),
    st.builds(fell, capture_ids, amounts, minutes),
    st.builds(asked, capture_ids, amounts, is_final=st.booleans()),
    st.builds(
        news,
        st.sampled_from(dispute_kinds),
        minutes,
        gateway_dispute_id=st.sampled_from(["du_1", "du_2"]),
        amount_minor=amounts,
        dispute_lost_minor=st.none() | amounts,
        dispute_outcome=st.none() | st.sampled_from(DisputeOutcome),
        dispute_reason=st.sampled_from([None, "fraudulent", "general"]),
        dispute_due_at=st.sampled_from([None, NOON, NOON + timedelta(days=7)]),
    ),
    st.builds(
        refund, st.sampled_from(["requested", "succeeded", "failed"]), amounts, st.sampled_from(["re_1", "re_2"])
    ),
)
histories = st.lists(any_news, max_size=6)


@settings(max_examples=60)
@given(histories)
def test_every_permutation_of_up_to_6_events_ends_in_the_same_facts_and_status(events):
    endings = {facts_of(order) for order in permutations(events)}
    assert len(endings) == 1
    assert len({derive_status(facts) for facts in endings}) == 1


@given(histories.filter(bool), st.data())
def test_every_duplication_in_every_place_ends_in_the_same_facts(events, data):
    repeated = data.draw(st.lists(st.sampled_from(events), max_size=12))
    delivered = data.draw(st.permutations([*events, *repeated]))
    assert facts_of(delivered) == facts_of(events)


@given(histories, any_news, any_news)
def test_two_events_may_change_places_and_one_may_come_again(history, one, other):
    facts = facts_of(history)
    assert join(join(facts, one), other) == join(join(facts, other), one)
    assert join(join(facts, one), one) == join(facts, one)


# The statuses in the order of a payment's progress. Only the two event types of TAKES_BACK may move one back.
PROGRESS = [
    PaymentStatus.PENDING,
    PaymentStatus.PROCESSING,
    PaymentStatus.REQUIRES_ACTION,
    PaymentStatus.FAILED,
    PaymentStatus.AUTHORIZED,
    PaymentStatus.CANCELLED,
    PaymentStatus.CAPTURED,
    PaymentStatus.PARTIALLY_REFUNDED,
    PaymentStatus.REFUNDED,
]
TAKES_BACK = {EventType.CAPTURE_FAILED, EventType.REFUND_FAILED}


@given(
    histories.filter(lambda events: all(each.event_type not in TAKES_BACK for each in events)),
    any_news.filter(lambda event: event.event_type not in TAKES_BACK),
)
def test_a_later_state_is_never_undone_by_another_event(history, event):
    before, after = facts_of(history), join(facts_of(history), event)
    if event.event_type in {EventType.CAPTURE_SUCCEEDED, EventType.AUTHORIZATION_SUCCEEDED} and before.refunded_minor:
        return  # learning of more captured or held money may turn "refunded" into "partially refunded"
    assert PROGRESS.index(derive_status(after)) >= PROGRESS.index(derive_status(before))


@given(histories, any_news, histories)
def test_news_that_is_known_changes_nothing_now_or_after_whatever_else_comes(history, event, more):
    facts = facts_of(history)
    if is_known(facts, event):
        later = facts_of([*history, *more])
        assert join(facts, event) == facts
        assert join(later, event) == later


def test_what_a_webhook_says_of_money_is_known_unless_it_says_more():
    taken = facts_of([captured()])
    assert is_known(taken, captured())
    assert is_known(taken, replace(captured(), occurred_at=captured().occurred_at - timedelta(seconds=1)))
    assert not is_known(taken, replace(captured(), occurred_at=captured().occurred_at + timedelta(seconds=1)))
    assert not is_known(facts_of([HELD]), captured())
    assert not is_known(NEW, HELD)
    assert not is_known(facts_of([HELD]), captured(2_000)), "more than the payment is for"


def test_news_that_takes_money_back_is_never_taken_for_known():
    for event in (refund("succeeded"), dispute("opened"), news("authorization_failed"), fell()):
        history = [captured(), event]
        assert not is_known(facts_of(history), event)


@given(histories)
def test_facts_survive_json(events):
    facts = facts_of(events)
    assert from_json(json.loads(json.dumps(to_json(facts)))) == facts


@given(histories)
@example([refund("succeeded", 417, "re_1"), refund("succeeded", 584, "re_2")])  # a gateway that gives back too much
def test_no_more_is_captured_than_was_authorized_or_asked_for(events):
    facts = facts_of(events)
    assert facts.standing_minor <= facts.succeeded_minor <= facts.amount_minor
    assert facts.captured_minor <= facts.authorized_minor
    assert facts.authorized or not facts.succeeded_minor
    assert 0 <= facts.remaining_minor <= max(0, facts.amount_minor - facts.taken_minor)
    assert facts.refunded_minor <= facts.collected_minor
    assert 0 <= facts.charged_back_minor <= facts.taken_minor - facts.refunded_minor


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([], "pending"),
        ([news("payment_initiated")], "pending"),
        ([news("authorization_requested")], "processing"),
        ([news("payment_processing")], "processing"),
        ([news("payment_processing"), news("action_required")], "requires_action"),
        ([news("action_required"), news("authorization_failed")], "failed"),
        ([news("authorization_failed"), news("authorization_succeeded")], "authorized"),
        ([news("authorization_succeeded"), news("capture_requested")], "authorized"),
        ([news("authorization_succeeded"), news("cancellation_succeeded")], "cancelled"),
        ([news("authorization_succeeded"), news("authorization_expired")], "cancelled"),
        ([news("authorization_succeeded"), news("cancellation_failed")], "authorized"),
        ([news("cancellation_succeeded"), captured()], "captured"),
        ([news("capture_failed")], "failed"),
        ([captured(600)], "captured"),
        ([HELD, asked()], "authorized"),
        ([HELD, took()], "captured"),
        ([HELD, took(), took("cap_2", 400)], "captured"),
        ([HELD, took(), news("cancellation_succeeded")], "captured"),
        ([HELD, took(), news("authorization_expired")], "captured"),
        ([HELD, took(), fell()], "authorized"),
        ([HELD, took(), fell(), news("cancellation_succeeded")], "failed"),
        ([HELD, took(), took("cap_2", 400), fell()], "captured"),
        ([HELD, took(), took("cap_2", 400), fell(), fell("cap_2", 400)], "failed"),
        ([HELD, fell()], "authorized"),
        ([HELD, took(), refund("succeeded", 600)], "partially_refunded"),
        ([HELD, took(), refund("succeeded", 600), news("cancellation_succeeded")], "refunded"),
        ([HELD, took(is_final=True), refund("succeeded", 600)], "refunded"),
        ([HELD, took(), took("cap_2", 400), refund("succeeded", 600)], "partially_refunded"),
        ([captured(), refund("requested")], "captured"),
        ([captured(), refund("succeeded", 400)], "partially_refunded"),
        ([captured(), refund("succeeded", 400), refund("succeeded", 600, "re_2")], "refunded"),
        ([captured(600), refund("succeeded", 600)], "refunded"),
        ([captured(), refund("succeeded"), refund("failed")], "captured"),
        ([captured(), refund("succeeded", 400), refund("failed", 600, "re_2")], "partially_refunded"),
        ([captured(), dispute("opened"), dispute("closed", 1, lost=True)], "captured"),
    ],
)
def test_the_strongest_fact_decides_the_status(events: Sequence[PaymentNews], status: str):
    assert status_of(*events) == status


def test_the_gateways_two_words_for_one_capture_count_once():
    assert facts_of([captured(700), captured(700)]).captured_minor == 700
    assert facts_of([captured(1_000), captured(700)]).captured_minor == 1_000


def test_a_capture_that_falls_through_later_leaves_the_payment_failed_whatever_arrives_first():
    success, failure = captured(minutes=0), news("capture_failed", minutes=90, failure_code="returned")
    assert status_of(success, failure) == status_of(failure, success) == PaymentStatus.FAILED
    assert facts_of([success, failure]).failure_code == "returned"


def test_a_capture_that_succeeds_after_a_failed_try_stands_whatever_arrives_first():
    failure, success = news("capture_failed", minutes=0), captured(minutes=1)
    assert status_of(failure, success) == status_of(success, failure) == PaymentStatus.CAPTURED
    assert not facts_of([success, failure]).capture_failed


def test_a_capture_and_its_failure_of_the_same_instant_leave_the_capture_standing():
    assert status_of(captured(), news("capture_failed")) == PaymentStatus.CAPTURED


def test_a_failed_capture_leaves_the_authorization_to_be_captured_again():
    facts = facts_of([news("authorization_succeeded"), news("capture_failed")])
    assert facts.capture_failed
    assert derive_status(facts) is PaymentStatus.AUTHORIZED


def test_a_refund_known_before_its_capture_is_not_yet_called_full():
    partial = refund("succeeded", 400)
    assert status_of(partial) == PaymentStatus.PARTIALLY_REFUNDED
    assert facts_of([partial]).collected_minor == 400
    assert status_of(partial, captured(400)) == PaymentStatus.REFUNDED


def test_a_refund_that_failed_stays_failed_when_its_success_arrives_late():
    facts = facts_of([captured(), refund("failed"), refund("succeeded"), refund("requested")])
    assert facts.refunds == (RefundFact("re_1", RefundStatus.FAILED, 1_000),)
    assert facts.refunded_minor == 0


def test_the_latest_failure_is_the_one_that_is_told():
    late = news("authorization_failed", 5, failure_code="insufficient_funds", failure_message="Not enough money.")
    early = news("authorization_failed", 1, failure_code="card_declined")
    for order in permutations([late, early]):
        facts = facts_of(order)
        assert (facts.failure_code, facts.failure_message) == ("insufficient_funds", "Not enough money.")
    assert (NEW.failure_code, NEW.failure_message) == (None, None)


def test_an_authorization_holds_the_whole_amount_unless_the_gateway_says_less():
    assert facts_of([news("authorization_succeeded")]).authorized_minor == 1_000
    assert facts_of([news("authorization_succeeded", authorized_minor=900)]).authorized_minor == 900


def test_a_renewed_authorization_is_good_until_its_later_end():
    first = news("authorization_succeeded", authorization_expires_at=NOON + timedelta(days=3))
    renewed = news("authorization_succeeded", authorization_expires_at=NOON + timedelta(days=29))
    assert facts_of([renewed, first]).authorization_expires_at == NOON + timedelta(days=29)


@pytest.mark.parametrize(
    "event",
    [
        captured(1_001),
        captured(0),
        took("cap_1", 1_001),
        took("cap_1", 0),
        news("capture_succeeded"),
        refund("succeeded", 1_001),
        refund("failed", 0),
        news("refund_succeeded", amount_minor=100),
        news("refund_succeeded", gateway_refund_id="re_1"),
        news("dispute_opened", amount_minor=1_000),
        news("dispute_opened", amount_minor=-1, gateway_dispute_id="du_1"),
    ],
)
def test_news_that_cannot_be_true_of_the_payment_is_refused_in_any_state(event):
    for facts in (NEW, facts_of([captured(), refund("succeeded", 400)])):
        with pytest.raises(InvalidInput):
            join(facts, event)


def test_our_own_request_for_a_refund_states_nothing_until_the_gateway_named_it():
    assert join(NEW, news("refund_requested", amount_minor=400)) == NEW


def test_a_dispute_that_was_closed_is_not_opened_again_by_its_late_opening():
    opened, reviewed, lost = dispute("opened"), dispute("updated", 1), dispute("closed", 2, lost=True)
    endings = {facts_of([captured(), *order, order[0]]) for order in permutations([opened, reviewed, lost])}
    (facts,) = endings
    assert (facts.is_disputed, facts.charged_back_minor) == (False, 1_000)


def test_an_appeal_opens_a_dispute_again_and_a_won_one_gives_the_money_back():
    lost, appealed, won = dispute("closed", 1, lost=True), dispute("opened", 2), dispute("closed", 3)
    assert facts_of([captured(), lost, appealed]).is_disputed
    assert facts_of([captured(), lost, appealed]).charged_back_minor == 0
    assert facts_of([captured(), won, lost, appealed]).charged_back_minor == 0


def test_what_was_given_back_before_is_not_charged_back_again():
    facts = facts_of([captured(), refund("succeeded", 700), dispute("closed", lost=True)])
    assert (facts.refunded_minor, facts.charged_back_minor) == (700, 300)


def test_a_dispute_lost_before_its_capture_is_heard_of_counts_once_it_is():
    lost = dispute("closed", lost=True, amount_minor=400)
    assert facts_of([lost]).charged_back_minor == 0
    assert facts_of([lost, captured()]).charged_back_minor == 400
