"""Giving money back: what is owed is committed first, the gateway asked once, the order follows what it confirms."""

import pytest

from holdfast.payments.model import RestockReason
from holdfast.payments.refund_plan import Wanted
from holdfast.values.errors import (
    IdempotencyKeyReused,
    RefundExceeds,
)
from tests.flows.actions import movements, ordered, staff, status, topics
from tests.flows.test_cancel_order import load
from tests.house import House
from tests.refunding import (
    RESELLABLE,
    at_gateway,
    given_back,
    line,
    refund,
    total,
    units,
)


def test_a_full_refund_before_anything_shipped_is_a_cancellation(house: House) -> None:
    house.add_variant("TEE", stock={"EWR": 3})
    house.add_variant("MUG", stock={"RNO": 3})
    order_id = ordered(house, {"TEE": 2, "MUG": 1})
    body = refund(house, order_id)
    cost = total(house, order_id)
    (made,) = body["refunds"]
    assert (made["status"], made["amount_minor"], made["is_full_refund"]) == ("succeeded", cost, True)
    assert (body["order"]["status"], body["order"]["payment_status"]) == ("cancelled", "refunded")
    assert at_gateway(house, order_id) == [("succeeded", cost)]
    assert (house.stock("TEE"), house.stock("MUG"), load(house)) == ({"EWR": (3, 0)}, {"RNO": (3, 0)}, 0)
    assert (line(house, order_id)[0], line(house, order_id, "MUG")[0]) == (2, 1)
    assert topics(house, order_id)[-1][1] == "order.cancelled"
    assert house.violations() == []


def test_the_same_key_is_the_same_refund_and_the_same_answer(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    caller = staff(house)
    first = refund(house, order_id, Wanted(amount_minor=100), caller=caller, key="one")
    assert refund(house, order_id, Wanted(amount_minor=100), caller=caller, key="one") == first
    assert at_gateway(house, order_id) == [("succeeded", 100)]
    with pytest.raises(IdempotencyKeyReused):
        refund(house, order_id, Wanted(amount_minor=200), caller=caller, key="one")
    assert house.violations() == []


def test_units_given_back_one_at_a_time_end_with_the_whole_line(house: House) -> None:
    house.add_variant(stock=10, price=999)
    order_id = ordered(house, {"TEE": 3})
    for number in (1, 2, 3):
        refund(house, order_id, units(house, order_id, 1))
        assert line(house, order_id)[0] == number
        assert house.stock() == {"EWR": (7 + number, 0)}
    (item,) = house.order(order_id)["items"]
    assert line(house, order_id)[1] == item["subtotal_minor"] - item["discount_minor"] + item["tax_minor"]
    with pytest.raises(RefundExceeds) as refused:
        refund(house, order_id, units(house, order_id, 1))
    assert refused.value.facts["items"][0]["refundable_quantity"] == 0
    assert refused.value.facts["refundable_minor"] == house.order(order_id)["amounts"]["shipping_minor"]
    assert status(house, order_id) == "confirmed"
    assert house.order(order_id)["payment_status"] == "partially_refunded"
    assert [topic for _, topic in topics(house, order_id)][-3:] == ["order.partially_refunded"] * 3
    assert house.violations() == []


@pytest.mark.parametrize("reason", [reason for reason in RestockReason if reason is not RESELLABLE])
def test_what_cannot_be_sold_again_does_not_go_back_to_stock(house: House, reason: RestockReason) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2})
    refund(house, order_id, units(house, order_id, 1, reason))
    assert (movements(house, "return"), house.stock()) == ([], {"EWR": (8, 0)})
    house.cancel(order_id)
    assert (movements(house, "return"), house.stock()) == ([1], {"EWR": (9, 0)})
    assert given_back(house, order_id) == house.order(order_id)["amounts"]["total_minor"]
    assert house.violations() == []


def test_a_line_split_over_warehouses_goes_back_to_where_it_came_from(house: House) -> None:
    house.add_variant(stock={"EWR": 2, "RNO": 2})
    order_id = ordered(house, {"TEE": 4})
    for _ in range(4):
        refund(house, order_id, units(house, order_id, 1))
    assert house.stock() == {"EWR": (2, 0), "RNO": (2, 0)}
    assert sorted(movements(house, "return")) == [1, 1, 1, 1]
    assert house.violations() == []
