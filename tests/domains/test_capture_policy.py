import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.payments.capture_policy import (
    NOTHING,
    CapturePolicy,
    Leaving,
    Remedy,
    Share,
    policy_of,
    remedy_before_expiry,
    share_of_shipment,
)

LATER = (CapturePolicy.AT_FIRST_SHIPMENT, CapturePolicy.PER_SHIPMENT)


def test_without_a_setting_the_money_is_taken_at_once() -> None:
    assert policy_of(None) is CapturePolicy.AT_ONCE


def test_a_setting_that_nobody_knows_holds_the_money() -> None:
    assert policy_of("whenever") is CapturePolicy.AT_FIRST_SHIPMENT


@pytest.mark.parametrize("policy", CapturePolicy)
def test_every_policy_is_a_setting(policy: CapturePolicy) -> None:
    assert policy_of(str(policy)) is policy


@pytest.mark.parametrize("multiple_captures", [True, False])
def test_at_first_shipment_all_is_taken_with_the_first(multiple_captures: bool) -> None:
    share = share_of_shipment(
        CapturePolicy.AT_FIRST_SHIPMENT,
        Leaving(500, is_last=False),
        owed_minor=1999,
        captured_minor=0,
        multiple_captures=multiple_captures,
    )
    assert share == Share(1999, is_final=True)


def test_a_gateway_that_captures_once_takes_all_with_the_first_shipment() -> None:
    first = share_of_shipment(
        CapturePolicy.PER_SHIPMENT,
        Leaving(500, is_last=False),
        owed_minor=1999,
        captured_minor=0,
        multiple_captures=False,
    )
    assert first == Share(1999, is_final=True)


def test_what_a_gateway_released_with_its_one_capture_is_not_asked_for_again() -> None:
    share = share_of_shipment(
        CapturePolicy.PER_SHIPMENT,
        Leaving(500, is_last=True),
        owed_minor=1999,
        captured_minor=1200,
        multiple_captures=False,
    )
    assert share == NOTHING


@given(
    owed=st.integers(1, 10_000),
    worths=st.lists(st.integers(0, 4_000), min_size=1, max_size=6),
    policy=st.sampled_from(CapturePolicy),
    multiple=st.booleans(),
)
def test_over_all_shipments_exactly_what_is_owed_is_taken(
    owed: int, worths: list[int], policy: CapturePolicy, multiple: bool
) -> None:
    captured, finals = 0, 0
    for number, worth in enumerate(worths, start=1):
        share = share_of_shipment(
            policy,
            Leaving(worth, is_last=number == len(worths)),
            owed_minor=owed,
            captured_minor=captured,
            multiple_captures=multiple,
        )
        assert not (finals and share.amount_minor), "nothing is taken after the final capture"
        assert share.is_final == (captured + share.amount_minor == owed and share.amount_minor > 0)
        captured += share.amount_minor
        finals += share.is_final
    assert captured == owed


@given(
    owed_steps=st.integers(1, 100),
    worths=st.lists(st.integers(0, 4_000), min_size=1, max_size=6),
    step=st.sampled_from((1, 10, 100)),
)
def test_shares_are_what_the_gateway_can_express_and_the_last_has_what_they_left(
    owed_steps: int, worths: list[int], step: int
) -> None:
    captured, worth_so_far = 0, 0
    for number, worth in enumerate(worths, start=1):
        share = share_of_shipment(
            CapturePolicy.PER_SHIPMENT,
            Leaving(worth, is_last=number == len(worths)),
            owed_minor=owed_steps * step,
            captured_minor=captured,
            multiple_captures=True,
            step_minor=step,
        )
        captured, worth_so_far = captured + share.amount_minor, worth_so_far + worth
        assert share.amount_minor % step == 0
        assert captured <= worth_so_far or number == len(worths)
    assert captured == owed_steps * step


def test_what_nobody_can_take_of_an_order_that_lost_goods_is_let_go() -> None:
    share = share_of_shipment(
        CapturePolicy.PER_SHIPMENT,
        Leaving(66_667, is_last=True),
        owed_minor=66_667,
        captured_minor=0,
        multiple_captures=True,
        step_minor=100,
    )
    assert share == Share(66_600, is_final=True)


@pytest.mark.parametrize("policy", LATER)
def test_money_that_waits_for_goods_is_held_anew_where_that_can_be(policy: CapturePolicy) -> None:
    assert remedy_before_expiry(policy, can_renew=True) is Remedy.RENEW
    assert remedy_before_expiry(policy, can_renew=False) is Remedy.CAPTURE


def test_money_that_was_to_be_taken_at_once_is_taken() -> None:
    assert remedy_before_expiry(CapturePolicy.AT_ONCE, can_renew=True) is Remedy.CAPTURE
