"""Captures that carry a gateway id: each counts once, and one that fails takes back its own amount alone."""

from itertools import permutations

import pytest

from holdfast.payments.model import PaymentStatus
from holdfast.payments.state import PaymentNews, derive_status
from tests.domains.payment_news import HELD, asked, facts_of, fell, named, news, took


def test_captures_with_names_add_up_and_one_that_is_told_twice_counts_once():
    for order in permutations([HELD, asked(), took(), took("cap_2", 300), took()]):
        facts = facts_of(order)
        assert (facts.taken_minor, facts.remaining_minor, facts.is_capture_final) == (900, 100, False)
        assert [capture.status for capture in facts.captures] == ["succeeded", "succeeded"]


def test_a_capture_that_falls_through_takes_back_itself_and_is_not_held_again():
    for order in permutations([HELD, took(), took("cap_2", 300), fell("cap_2", 300)]):
        facts = facts_of(order)
        assert (facts.taken_minor, facts.lost_minor, facts.remaining_minor) == (600, 300, 100)


def test_a_named_capture_and_its_failure_of_the_same_second_is_a_failure():
    assert facts_of([HELD, took(minutes=5), fell(minutes=5)]).taken_minor == 0


def test_a_capture_that_was_refused_leaves_its_money_to_the_next():
    facts = facts_of([HELD, asked(is_final=True), fell(), took("cap_2", 300)])
    assert (facts.taken_minor, facts.lost_minor, facts.remaining_minor) == (300, 0, 700)


def test_a_capture_that_the_gateway_repeats_after_its_failure_stands():
    for order in permutations([HELD, took(), fell(minutes=30), took(minutes=60)]):
        assert (facts_of(order).taken_minor, derive_status(facts_of(order))) == (600, PaymentStatus.CAPTURED)


@pytest.mark.parametrize(
    "last",
    [
        took("cap_2", 300, is_final=True),
        news("cancellation_succeeded"),
        news("authorization_expired"),
        news("capture_succeeded", captures=(named(succeeded=0),), is_capture_final=True),
    ],
)
def test_after_the_last_capture_nothing_is_held(last: PaymentNews):
    for order in permutations([HELD, took(), last]):
        assert (facts_of(order).is_capture_final, facts_of(order).remaining_minor) == (True, 0)


def test_a_final_capture_under_way_or_refused_is_not_the_end():
    assert facts_of([HELD, took(), asked("cap_2", 300, is_final=True)]).remaining_minor == 400
    assert facts_of([HELD, took(), asked("cap_2", 300, is_final=True), fell("cap_2", 300)]).remaining_minor == 400


def test_captures_of_more_than_the_payment_are_told_and_counted_as_the_payment():
    facts = facts_of([HELD, took(), took("cap_2", 600)])
    assert (facts.taken_minor, facts.overcaptured_minor, facts.remaining_minor) == (1_000, 200, 0)
