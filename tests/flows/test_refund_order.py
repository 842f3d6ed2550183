"""Refunds: what is owed is committed first, the gateway is asked once, and the order follows what it confirms."""

from uuid import UUID

import pytest

from holdfast.flows.money.list_refunds import list_refunds
from holdfast.flows.money.owed_operations import ATTEMPTS_MAX
from holdfast.payments.model import RestockReason
from holdfast.payments.refund_plan import Wanted, WantedItem
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import (
    Conflict,
    Forbidden,
    IdempotencyKeyReused,
    InvalidInput,
    NotFound,
    RefundExceeds,
    RequestInProgress,
)
from tests.flows.actions import Killed, intents, movements, ordered, resume, staff, status, topics
from tests.flows.test_cancel_order import load
from tests.house import House
from tests.refunding import (
    RESELLABLE,
    at_gateway,
    delivered,
    given_back,
    line,
    refund,
    refund_command,
    refunds_at_console,
    run_refund,
    total,
    units,
)
from tests.shipping import only, shipped


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
    assert status(house, order_id) == "delivered", "it ends, though nothing of it left and its shipping is paid"
    assert house.order(order_id)["payment_status"] == "partially_refunded"
    assert [topic for _, topic in topics(house, order_id)][-6:-3] == ["order.partially_refunded"] * 3
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


@pytest.mark.parametrize(("left", "reached"), [(1, "partially_shipped"), (3, "shipped")])
def test_during_shipping_a_part_changes_only_the_payment_status_and_all_of_it_the_order(
    house: House, left: int, reached: str
) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 3})
    shipped(house, only(house, order_id), items={"TEE": left})
    refund(house, order_id, units(house, order_id, 1))
    assert (status(house, order_id), house.order(order_id)["payment_status"]) == (reached, "partially_refunded")
    assert house.stock() == {"EWR": (8, 0)}
    refund(house, order_id)
    assert (status(house, order_id), house.order(order_id)["payment_status"]) == ("refunded", "refunded")
    assert house.stock() == {"EWR": (8 if left == 3 else 9, 0)}, "where the goods are that were sent, nobody said"
    assert topics(house, order_id)[-1][1] == "order.refunded"
    assert house.violations() == []


def test_after_delivery_a_part_makes_it_partially_refunded_and_the_rest_refunded(house: House) -> None:
    house.add_variant(stock=10)
    order_id = delivered(house, {"TEE": 2})
    refund(house, order_id, Wanted(amount_minor=100))
    refund(house, order_id, units(house, order_id, 1))
    assert house.timeline(order_id)[-2:] == ["delivered", "partially_refunded"]
    body = refund(house, order_id)
    assert house.timeline(order_id)[-2:] == ["partially_refunded", "refunded"]
    assert body["refunds"][0]["is_full_refund"] is False
    assert given_back(house, order_id) == total(house, order_id)
    assert house.violations() == []


def test_shipping_is_refunded_beside_lines_and_never_more_than_was_paid_for_it(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2})
    shipping = house.order(order_id)["amounts"]["shipping_minor"]
    assert shipping > 100
    refund(house, order_id, Wanted(shipping_minor=100))
    both = units(house, order_id, 1)
    made = refund(house, order_id, Wanted(items=both.items, shipping_minor=shipping - 100))["refunds"][0]
    assert made["amount_minor"] == made["items"][0]["amount_minor"] + shipping - 100
    with pytest.raises(RefundExceeds) as refused:
        refund(house, order_id, Wanted(shipping_minor=1))
    assert refused.value.facts["shipping_refundable_minor"] == 0
    assert house.violations() == []


def test_a_fee_stays_with_the_shop_and_its_units_are_given_back_all_the_same(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2})
    (item,) = units(house, order_id, 1).items
    refund(house, order_id, Wanted(items=(WantedItem(item.order_item_id, 1, RESELLABLE, amount_minor=1_500),)))
    assert line(house, order_id) == (1, 1_500)
    refund(house, order_id, units(house, order_id, 1))
    (row,) = house.order(order_id)["items"]
    worth = row["subtotal_minor"] + row["tax_minor"]
    assert line(house, order_id) == (2, 1_500 + worth - worth // 2)
    refund(house, order_id)
    assert (given_back(house, order_id), status(house, order_id)) == (total(house, order_id), "refunded")
    assert house.violations() == []


def test_what_no_state_of_the_order_allows_is_told_with_its_field(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2})
    (item,) = units(house, order_id, 1).items
    wrong = {
        "items[0].order_item_id": (WantedItem(UUID(int=7), 1),),
        "items[1].order_item_id": (item, item),
        "items[0].amount_minor": (WantedItem(item.order_item_id, 1, None, amount_minor=10**6),),
    }
    for field, items in wrong.items():
        with pytest.raises(InvalidInput) as refused:
            refund(house, order_id, Wanted(items=items))
        assert [error["field"] for error in refused.value.facts["errors"]] == [field]
    for wanted in (Wanted(amount_minor=10**9), Wanted(items=(WantedItem(item.order_item_id, 3),))):
        with pytest.raises(RefundExceeds):
            refund(house, order_id, wanted)
    assert house.value("SELECT count(*) FROM payments.refunds") == 0
    assert house.value("SELECT count(*) FROM orders.idempotency_keys WHERE operation = 'refund_order'") == 0
    assert at_gateway(house, order_id) == []


def test_money_that_is_only_held_is_not_refunded_but_given_up_by_cancelling(house: House) -> None:
    house.sql(
        'UPDATE tenancy.organizations SET settings = \'{"currency": "USD", "capture_policy": "at_first_shipment"}\''
    )
    house.add_variant(stock=10)
    order_id = ordered(house)
    with pytest.raises(Conflict, match="cancel the order"):
        refund(house, order_id)
    assert status(house, order_id) == "confirmed"


@pytest.mark.parametrize("token", ["pm_card_chargeDeclined", "pm_card_authenticationRequired"])
def test_an_order_that_was_not_paid_has_nothing_to_refund(house: House, token: str) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=token)
    with pytest.raises(RefundExceeds) as refused:
        refund(house, order_id)
    assert refused.value.facts["refundable_minor"] == 0


def test_an_order_that_is_refunded_has_nothing_left(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    refund(house, order_id)
    with pytest.raises(RefundExceeds, match="nothing is left"):
        refund(house, order_id)
    assert len(at_gateway(house, order_id)) == 1


def test_a_refund_the_gateway_takes_its_time_with_counts_as_taken_and_changes_the_order_when_it_arrives(
    house: House,
) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2})
    house.stripe_behaves(match={"operation": "refunds.create"}, refund_fate="pending_first", refund_delay_seconds=3600)
    (made,) = refund(house, order_id, units(house, order_id, 2))["refunds"]
    assert (made["status"], line(house, order_id), house.stock()) == ("processing", (0, 0), {"EWR": (8, 0)})
    with pytest.raises(RefundExceeds):
        refund(house, order_id, units(house, order_id, 1))
    with pytest.raises(RefundExceeds):
        refund(house, order_id, Wanted(amount_minor=total(house, order_id) - made["amount_minor"] + 1))
    (intent,) = intents(house, order_id)
    house.stripe("POST", f"/refunds/{intent['refunds'][0]['id']}/succeed")
    (webhook,) = house.webhooks("refund.updated")
    for _ in range(2):
        house.deliver(webhook)
        house.deliver({**webhook, "id": webhook["id"] + "x"})
        house.work()
    assert (line(house, order_id)[0], house.stock()) == (2, {"EWR": (10, 0)})
    house.clock.advance(hours=2)
    assert resume(house) == 1
    assert house.value("SELECT state FROM orders.order_operations") == "done"
    assert house.violations() == []


def test_a_refund_that_meets_a_gateway_that_is_down_is_resumed_and_made_once(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=503)
    house.stripe_behaves(match={"operation": "refunds.create"}, fault="timeout_after")
    (made,) = refund(house, order_id, Wanted(amount_minor=500))["refunds"]
    assert (made["status"], given_back(house, order_id)) == ("pending", 0)
    for _ in range(3):
        house.clock.advance(minutes=5)
        resume(house)
    assert (at_gateway(house, order_id), given_back(house, order_id)) == ([("succeeded", 500)], 500)
    assert house.value("SELECT state FROM orders.order_operations") == "done"
    assert house.violations() == []


def test_a_request_whose_process_died_finds_its_refund_again_under_its_key(house: House) -> None:
    house.add_variant(stock=10)
    order_id, caller = ordered(house), staff(house)

    def die(*_: object) -> None:
        raise Killed

    house.runtime.__dict__["gateways"] = type("Nobody", (), {"gateway": die})()
    with pytest.raises(Killed):
        refund(house, order_id, Wanted(amount_minor=500), caller=caller, key="mine")
    del house.runtime.__dict__["gateways"]
    refund(house, order_id, Wanted(amount_minor=100), caller=caller)
    with pytest.raises(RequestInProgress):
        refund(house, order_id, Wanted(amount_minor=500), caller=caller, key="mine")
    house.clock.advance(seconds=61)
    body = refund(house, order_id, Wanted(amount_minor=500), caller=caller, key="mine")
    assert [(made["status"], made["amount_minor"]) for made in body["refunds"]] == [("succeeded", 500)]
    assert refund(house, order_id, Wanted(amount_minor=500), caller=caller, key="mine") == body
    assert sorted(at_gateway(house, order_id)) == [("succeeded", 100), ("succeeded", 500)]
    assert house.violations() == []


def test_a_refund_the_gateway_refuses_counts_no_more_and_calls_a_person(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=400)
    (made,) = refund(house, order_id)["refunds"]
    assert (made["status"], status(house, order_id), house.failures()) == ("failed", "confirmed", ["RefundFailed"])
    assert topics(house, order_id)[-1][1] == "order.refund_failed"
    assert house.value("SELECT refunding_amount FROM payments.payments") == 0
    assert refund(house, order_id)["order"]["status"] == "cancelled"
    assert house.violations() == []


def test_a_refund_that_cannot_be_made_for_hours_calls_a_person_and_goes_on_counting(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=503, times=ATTEMPTS_MAX)
    refund(house, order_id)
    for _ in range(ATTEMPTS_MAX):
        house.clock.advance(hours=1, seconds=1)
        resume(house)
    assert (house.failures(), at_gateway(house, order_id)) == (["RefundFailed"], [])
    with pytest.raises(RefundExceeds):
        refund(house, order_id)
    assert house.violations() == []
    house.deliver(refunds_at_console(house, order_id, total(house, order_id)))
    house.work()
    assert (status(house, order_id), line(house, order_id)[0]) == ("cancelled", 1), "what a person did by hand is it"
    assert house.value("SELECT count(*) FROM payments.refunds") == 1
    assert house.violations() == []


def test_a_refund_that_nothing_was_heard_of_is_never_asked_for_again_once_its_key_may_be_forgotten(
    house: House,
) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2})
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=500, execute=True)
    refund(house, order_id, Wanted(amount_minor=500))
    house.clock.advance(hours=24)
    assert resume(house) == 1
    assert at_gateway(house, order_id) == [("succeeded", 500)]
    assert house.failures() == ["RefundFailed"]
    with pytest.raises(RefundExceeds):  # it still counts, since it may have been made
        refund(house, order_id, Wanted(amount_minor=total(house, order_id) - 499))
    (webhook,) = house.webhooks("refund.created")
    house.deliver(webhook)
    house.work()
    assert given_back(house, order_id) == 500
    assert house.violations() == []


def test_a_refund_made_by_hand_at_the_gateway_is_on_the_record_and_touches_no_line(house: House) -> None:
    house.add_variant(stock=10)
    order_id = delivered(house, {"TEE": 2})
    house.deliver(refunds_at_console(house, order_id, 700))
    house.work()
    assert (given_back(house, order_id), status(house, order_id)) == (700, "partially_refunded")
    assert (line(house, order_id), house.stock()) == ((0, 0), {"EWR": (8, 0)})
    refund(house, order_id)
    assert (given_back(house, order_id), status(house, order_id)) == (total(house, order_id), "refunded")
    assert house.violations() == []


def test_a_cancellation_after_a_partial_refund_gives_back_the_rest(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 3})
    refund(house, order_id, units(house, order_id, 1))
    house.cancel(order_id)
    assert (given_back(house, order_id), house.stock()) == (total(house, order_id), {"EWR": (10, 0)})
    assert sorted(movements(house, "return")) == [1, 2]
    assert house.violations() == []


def test_a_cancellation_finishes_a_refund_that_was_under_way_and_makes_it_once(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2})
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=503)
    refund(house, order_id, units(house, order_id, 1))
    house.cancel(order_id)
    house.clock.advance(minutes=5)
    resume(house)
    assert (given_back(house, order_id), house.stock()) == (total(house, order_id), {"EWR": (10, 0)})
    assert len(at_gateway(house, order_id)) == 2
    with pytest.raises(RefundExceeds):
        refund(house, order_id)
    assert house.violations() == []


def test_money_that_could_not_be_returned_can_be_refunded_by_hand(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=400)
    house.cancel(order_id)
    assert house.failures() == ["ReturnMoney"]
    assert refund(house, order_id)["order"]["payment_status"] == "refunded"
    assert status(house, order_id) == "cancelled"
    assert house.violations() == []


def test_only_managers_refund_and_a_shopper_sees_refunds_without_the_staffs_notes(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    for caller in (house.customer, staff(house, "member")):
        with pytest.raises(Forbidden):
            refund(house, order_id, caller=caller)
    manager = staff(house)
    command = refund_command(order_id, Wanted(amount_minor=100), manager, notes="always complains")
    run_refund(house.runtime, house.clock, command)
    (seen,) = list_refunds(house.runtime, staff(house, "viewer"), order_id, house.clock())
    assert (seen["notes"], seen["created_by"]) == ("always complains", manager.actor)
    (told,) = list_refunds(house.runtime, house.customer, order_id, house.clock())
    assert set(seen) - set(told) == {"notes", "created_by"}
    eve = Caller(house.organization_id, CallerKind.CUSTOMER, "eve", "eve@example.com")
    with pytest.raises(NotFound):
        list_refunds(house.runtime, eve, order_id, house.clock())
