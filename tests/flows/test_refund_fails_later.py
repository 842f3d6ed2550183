"""A refund that the gateway confirmed and then took back: the record follows, and the goods stay where they are."""

import pytest

from holdfast.payments.refund_plan import Wanted
from tests import shipping
from tests.flows.actions import intents, last_payment, movements, ordered, resume, status, topics
from tests.house import House
from tests.refunding import at_gateway, delivered, fails_later, given_back, line, refund, total, units


def steps(house: House, order_id: str) -> list[tuple[str, bool]]:
    """Return (status, whether it is a step back) of the order's history."""
    rows = house.rows(
        "SELECT to_status, is_reversal FROM orders.order_status_history WHERE order_id = :id ORDER BY sequence",
        id=order_id,
    )
    return [(row["to_status"], row["is_reversal"]) for row in rows]


def test_a_delivered_order_goes_back_step_by_step(house: House) -> None:
    house.add_variant(stock=10)
    order_id = delivered(house, {"TEE": 2})
    refund(house, order_id, units(house, order_id, 1))
    refund(house, order_id)
    fails_later(house, order_id, 0)
    assert steps(house, order_id)[-2:] == [("refunded", False), ("partially_refunded", True)]
    assert house.order(order_id)["payment_status"] == "partially_refunded"
    fails_later(house, order_id, 1)
    assert steps(house, order_id)[-2:] == [("partially_refunded", True), ("delivered", True)]
    assert (given_back(house, order_id), line(house, order_id)) == (0, (0, 0))
    assert (house.order(order_id)["payment_status"], house.failures()) == ("captured", ["RefundFailed"])
    assert [topic for _, topic in topics(house, order_id)][-2:] == ["order.refund_failed"] * 2
    assert house.violations() == []


@pytest.mark.parametrize("left", [1, 2])
def test_an_order_that_was_being_shipped_goes_back_to_where_it_was(house: House, left: int) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2})
    shipping.shipped(house, shipping.only(house, order_id), items={"TEE": left})
    refund(house, order_id)
    fails_later(house, order_id)
    assert steps(house, order_id)[-3:] == [("shipped", False), ("refunded", False), ("shipped", True)]
    assert house.violations() == []


def test_an_order_whose_goods_arrived_while_it_was_refunded_goes_back_and_on_to_delivered(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2})
    parcel = shipping.shipped(house, shipping.pack(house, shipping.only(house, order_id)))
    refund(house, order_id)
    shipping.deliver(house, parcel)
    assert status(house, order_id) == "refunded"
    fails_later(house, order_id)
    assert steps(house, order_id)[-3:] == [("refunded", False), ("shipped", True), ("delivered", False)]
    assert topics(house, order_id)[-1][1] == "order.delivered"
    assert house.violations() == []


def test_a_partial_refund_that_moved_no_status_moves_none_back(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2})
    refund(house, order_id, units(house, order_id, 1))
    fails_later(house, order_id)
    assert (status(house, order_id), house.order(order_id)["payment_status"]) == ("confirmed", "captured")
    assert (line(house, order_id), house.failures()) == ((0, 0), ["RefundFailed"])
    assert house.violations() == []


def test_goods_that_came_back_stay_and_come_back_once(house: House) -> None:
    house.add_variant(stock=10)
    order_id = delivered(house, {"TEE": 2})
    refund(house, order_id, units(house, order_id, 1))
    fails_later(house, order_id)
    assert house.stock() == {"EWR": (9, 0)}
    refund(house, order_id, units(house, order_id, 1))
    assert (house.stock(), movements(house, "return")) == ({"EWR": (9, 0)}, [1])
    refund(house, order_id, units(house, order_id, 1))
    assert (house.stock(), movements(house, "return")) == ({"EWR": (10, 0)}, [1, 1])
    assert house.violations() == []


def test_an_order_that_a_refund_cancelled_stays_cancelled_and_a_person_is_called(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    refund(house, order_id)
    fails_later(house, order_id)
    assert (status(house, order_id), last_payment(house, order_id)["status"]) == ("cancelled", "captured")
    assert (house.failures(), house.stock()) == (["RefundFailed"], {"EWR": (10, 0)})
    house.clock.advance(hours=2)
    resume(house)
    assert len(at_gateway(house, order_id)) == 1, "what failed at the bank is not tried again by itself"
    refund(house, order_id)
    assert (given_back(house, order_id), movements(house, "return")) == (total(house, order_id), [1])
    assert house.violations() == []


def test_news_of_a_failure_that_comes_again_or_before_the_success_means_the_same(house: House) -> None:
    house.add_variant(stock=10)
    order_id = delivered(house)
    house.stripe_behaves(match={"operation": "refunds.create"}, fault="timeout_after")
    refund(house, order_id, Wanted(amount_minor=300))
    (intent,) = intents(house, order_id)
    house.stripe("POST", f"/refunds/{intent['refunds'][0]['id']}/fail")
    (failed,) = house.webhooks("refund.failed")
    (created,) = house.webhooks("refund.created")
    for webhook in (failed, created, {**failed, "id": "evt_again"}):
        house.deliver(webhook)
        house.work()
    house.clock.advance(minutes=5)
    resume(house)
    assert (status(house, order_id), given_back(house, order_id)) == ("delivered", 0)
    assert [topic for _, topic in topics(house, order_id)].count("order.refund_failed") == 1
    assert house.failures() == ["RefundFailed"]
    assert house.value("SELECT status FROM payments.refunds") == "failed"
    assert house.violations() == []


def test_money_that_comes_again_may_be_refunded_again(house: House) -> None:
    house.add_variant(stock=10)
    order_id = delivered(house)
    refund(house, order_id)
    fails_later(house, order_id)
    assert status(house, order_id) == "delivered"
    assert refund(house, order_id)["order"]["status"] == "refunded"
    assert house.violations() == []


@pytest.mark.parametrize("fate", ["refused", "sent back"])
def test_an_earlier_refund_that_failed_does_not_keep_the_money_of_a_cancelled_order_here(
    house: House, fate: str
) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2})
    if fate == "refused":
        house.stripe_behaves(match={"operation": "refunds.create"}, http_status=402)
    refund(house, order_id, Wanted(amount_minor=500))
    if fate == "sent back":
        fails_later(house, order_id)
    refund(house, order_id, Wanted(amount_minor=500))
    house.clock.advance(days=1)
    house.cancel(order_id)
    assert last_payment(house, order_id)["status"] == "refunded"
    assert house.charges()["refunded"] == total(house, order_id)
    assert house.failures() == ["RefundFailed"], "that of the first"
    assert house.violations() == []


def test_a_second_refund_that_fails_is_named_in_the_failure_that_is_open(house: House) -> None:
    house.add_variant(stock=10)
    order_id = delivered(house)
    for amount in (300, 500):
        refund(house, order_id, Wanted(amount_minor=amount))
    fails_later(house, order_id, 0)
    fails_later(house, order_id, 1)
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=400)
    refund(house, order_id, Wanted(amount_minor=700))
    (failure,) = house.rows("SELECT details, payload, version FROM operations.process_failures WHERE status = 'open'")
    owed = [failure["payload"], *failure["payload"]["also"]]
    assert [one["amount"] for one in owed] == [300, 500, 700]
    rows = house.rows("SELECT id FROM payments.refunds ORDER BY id")
    assert {one["refund_id"] for one in owed} == {str(row["id"]) for row in rows}
    assert "operation_id" in owed[2], "it was given up, so it is named with what may be tried again"
    assert failure["details"].count("did not arrive") == 3
    assert failure["version"] == 3, "who has read only of the first does not resolve all three"
    again = house.webhooks("refund.failed", count=2)[0]
    house.deliver({**again, "id": "evt_again"})
    house.work()
    (after,) = house.rows("SELECT details, payload, version FROM operations.process_failures WHERE status = 'open'")
    assert after == failure, "the same refund is named once"
    assert house.violations() == []
