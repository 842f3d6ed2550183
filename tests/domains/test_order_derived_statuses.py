import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.orders.model import (
    FulfillmentStatus,
    OrderPaymentStatus,
    derive_fulfillment_status,
    derive_payment_status,
)
from holdfast.payments.model import OPEN_STATUSES, PaymentStatus
from holdfast.values.shipping import ShipmentStatus


def test_an_order_speaks_of_its_money_in_the_words_of_a_payment():
    assert [status.value for status in OrderPaymentStatus] == [status.value for status in PaymentStatus]


@pytest.mark.parametrize(
    ("attempts", "status"),
    [
        ([], "pending"),
        (["failed"], "failed"),
        (["failed", "pending"], "pending"),
        (["failed", "requires_action"], "requires_action"),
        (["cancelled", "failed"], "failed"),
        (["failed", "captured"], "captured"),
        (["captured", "refunded"], "captured"),
        (["failed", "partially_refunded"], "partially_refunded"),
        (["failed", "refunded"], "refunded"),
        (["cancelled", "authorized"], "authorized"),
    ],
)
def test_the_attempt_that_holds_money_speaks_for_the_order(attempts, status):
    assert derive_payment_status(attempts) == status


@given(st.sampled_from(sorted(OPEN_STATUSES)))
def test_an_attempt_under_way_is_not_hidden_by_a_declined_one(under_way):
    assert derive_payment_status([PaymentStatus.FAILED, under_way, PaymentStatus.CANCELLED]) == under_way


@given(st.sampled_from(PaymentStatus))
def test_an_order_with_one_attempt_stands_as_that_attempt_does(status):
    assert derive_payment_status([status]) == status


@given(st.lists(st.sampled_from(PaymentStatus)))
def test_the_order_of_the_attempts_does_not_change_the_status(attempts):
    assert derive_payment_status(attempts) == derive_payment_status(reversed(attempts))


def test_a_word_that_is_no_payment_status_is_refused():
    with pytest.raises(ValueError, match="paid"):
        derive_payment_status(["paid"])


@pytest.mark.parametrize(
    ("shipments", "status"),
    [
        ([], "unfulfilled"),
        (["pending", "pending"], "unfulfilled"),
        (["failed"], "unfulfilled"),
        (["pending", "picked"], "in_preparation"),
        (["packed", "shipped"], "partially_shipped"),
        (["failed", "delivered"], "partially_shipped"),
        (["shipped", "in_transit"], "shipped"),
        (["in_transit", "delivered"], "shipped"),
        (["delivered", "delivered"], "delivered"),
        (["delivered", "cancelled"], "delivered"),
        (["cancelled", "cancelled"], "cancelled"),
    ],
)
def test_the_order_is_as_far_as_its_shipments_are_together(shipments, status):
    assert derive_fulfillment_status([ShipmentStatus(each) for each in shipments]) == status


@given(st.lists(st.sampled_from(ShipmentStatus), min_size=1))
def test_an_order_is_delivered_only_when_every_live_shipment_is(shipments):
    live = {status for status in shipments if status is not ShipmentStatus.CANCELLED}
    delivered = derive_fulfillment_status(shipments) is FulfillmentStatus.DELIVERED
    assert delivered is (live == {ShipmentStatus.DELIVERED})
