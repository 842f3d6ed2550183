"""Parcels are picked, packed and shipped, and the order follows them."""

import pytest

from holdfast.fulfillment.lifecycle import FailureReason
from holdfast.payments.model import RestockReason
from holdfast.values.errors import Conflict, Forbidden, InvalidInput, NotFound, OutOfStock, TransitionRefused
from tests.flows.actions import ordered, staff, status
from tests.house import House
from tests.refunding import refund, units
from tests.shipping import (
    call_off,
    capture_policy,
    deliver,
    delivered,
    fail,
    in_transit,
    only,
    pack,
    pick,
    reship,
    ship,
    shipments,
    shipped,
)


@pytest.fixture
def split(house: House) -> str:
    """The id of an order of twelve tees, more than any one warehouse has."""
    house.add_variant("TEE", stock={"EWR": 7, "RNO": 9})
    return ordered(house, {"TEE": 12})


def topics(house: House, order_id: str) -> list[str]:
    """Return the topics that were announced of the order and its shipments, in order."""
    rows = house.rows(
        "SELECT topic FROM operations.outbox WHERE organization_id = :o AND (aggregate_id = CAST(:order AS uuid)"
        " OR payload ->> 'order_id' = :order) ORDER BY created_at, id",
        o=house.organization_id,
        order=order_id,
    )
    return [row["topic"] for row in rows]


def goods(house: House, order_id: str) -> str:
    return str(house.order(order_id)["fulfillment_status"])


def test_two_parcels_lead_the_order_from_confirmed_to_delivered(house: House, split: str) -> None:
    assert (status(house, split), goods(house, split)) == ("confirmed", "unfulfilled")
    east, west = shipments(house, split)
    east = pick(house, east)
    assert (status(house, split), goods(house, split)) == ("processing", "in_preparation")
    east = shipped(house, pack(house, east))
    assert (status(house, split), goods(house, split)) == ("partially_shipped", "partially_shipped")
    west = shipped(house, west)
    assert (status(house, split), goods(house, split)) == ("shipped", "shipped")
    deliver(house, in_transit(house, east))
    assert status(house, split) == "shipped"
    deliver(house, west)
    assert (status(house, split), goods(house, split)) == ("delivered", "delivered")
    told = [topic for topic in topics(house, split) if topic not in ("order.created", "order.paid", "order.confirmed")]
    assert sorted(told) == sorted(
        [
            "order.processing",
            "order.partially_shipped",
            "order.shipped",
            "order.delivered",
            *["shipment.shipped"] * 2,
            *["shipment.delivered"] * 2,
        ]
    )
    assert house.violations() == []


def test_a_small_shop_says_only_that_it_ships(house: House) -> None:
    house.add_variant("TEE", stock=5)
    order_id = ordered(house, {"TEE": 2})
    one = shipped(house, only(house, order_id))
    assert house.timeline(order_id)[-2:] == ["processing", "shipped"]
    assert None not in (one["picked_at"], one["packed_at"], one["shipped_at"])
    deliver(house, one)
    assert status(house, order_id) == "delivered"


def test_the_shopper_sees_parcels_and_where_to_follow_them(house: House, split: str) -> None:
    first, _ = shipments(house, split)
    shipped(house, first, carrier="FedEx", tracking_number="7777 1")
    seen = {one["id"]: one for one in house.order(split)["shipments"]}[first["id"]]
    assert seen["tracking_url"] == "https://www.fedex.com/fedextrack/?trknbr=7777%201"
    assert (seen["status"], seen["carrier"], len(house.order(split)["shipments"])) == ("shipped", "FedEx", 2)


def test_the_shop_has_links_of_its_own(house: House) -> None:
    house.add_variant("TEE", stock=5)
    house.sql(
        "UPDATE tenancy.organizations SET settings = settings ||"
        ' \'{"tracking_links": {"Pony Express": "https://pony.example/{tracking_number}"}}\' WHERE id = :o',
        o=house.organization_id,
    )
    one = shipped(house, only(house, ordered(house)), carrier="pony-express", tracking_number="A1")
    assert one["tracking_url"] == "https://pony.example/A1"


def test_a_part_of_a_line_leaves_and_the_rest_waits_in_another_shipment(house: House) -> None:
    house.add_variant("TEE", stock=9)
    order_id = ordered(house, {"TEE": 5})
    first = shipped(house, pack(house, only(house, order_id)), items={"TEE": 2})
    assert [(one["status"], one["items"][0]["quantity"]) for one in shipments(house, order_id)] == [
        ("shipped", 2),
        ("pending", 3),
    ]
    assert (first["warehouse"], status(house, order_id)) == ("EWR", "partially_shipped")
    (_, rest) = shipments(house, order_id)
    shipped(house, rest)
    assert status(house, order_id) == "shipped"
    assert house.violations() == []


def test_more_than_is_in_it_does_not_leave(house: House, split: str) -> None:
    first, _ = shipments(house, split)
    with pytest.raises(InvalidInput):
        ship(house, first, items={"TEE": 10})
    assert [one["status"] for one in shipments(house, split)] == ["pending", "pending"]


def test_what_is_called_off_waits_in_a_new_shipment(house: House, split: str) -> None:
    first, _ = shipments(house, split)
    gone = call_off(house, pick(house, first))
    assert gone["status"] == "cancelled"
    assert sorted(one["status"] for one in shipments(house, split)) == ["pending", "pending"]
    assert sum(one["items"][0]["quantity"] for one in shipments(house, split)) == 12
    assert (status(house, split), goods(house, split)) == ("processing", "unfulfilled")
    assert house.violations() == []


def test_what_has_left_is_not_called_off(house: House, split: str) -> None:
    first, _ = shipments(house, split)
    with pytest.raises(TransitionRefused) as refused:
        call_off(house, shipped(house, first))
    assert refused.value.facts["allowed"] == ["delivered", "failed", "in_transit"]


def test_nothing_of_an_order_that_is_cancelled_leaves(house: House, split: str) -> None:
    first, second = shipments(house, split)
    packed = pack(house, first)
    house.cancel(split)
    assert shipments(house, split) == []
    for one in (packed, second):
        with pytest.raises((Conflict, TransitionRefused)):
            ship(house, one)
    assert house.stock() == {"EWR": (7, 0), "RNO": (9, 0)}
    assert house.violations() == []


def test_an_order_of_which_something_left_is_not_cancelled(house: House, split: str) -> None:
    first, _ = shipments(house, split)
    shipped(house, first)
    with pytest.raises(TransitionRefused):
        house.cancel(split)


def test_who_saw_another_version_is_refused(house: House, split: str) -> None:
    first, _ = shipments(house, split)
    pick(house, first)
    with pytest.raises(Conflict) as refused:
        ship(house, first)
    assert refused.value.facts["current_version"] == first["version"] + 1


def test_the_same_key_ships_once_and_answers_the_same(house: House, split: str) -> None:
    first, _ = shipments(house, split)
    caller = staff(house)
    answers = {ship(house, first, key="k", caller=caller) for _ in range(2)}
    assert len(answers) == 1
    assert topics(house, split).count("shipment.shipped") == 1


def test_viewers_look_and_managers_act(house: House, split: str) -> None:
    first, _ = shipments(house, split)
    for act in (pick, ship):
        with pytest.raises(Forbidden):
            act(house, first, caller=staff(house, "member"))
    with pytest.raises(NotFound):
        pick(house, {**first, "id": split})


def test_a_failed_shipment_calls_a_person_and_is_sent_again_from_where_the_goods_are(house: House) -> None:
    house.add_variant("TEE", stock={"EWR": 3, "RNO": 8})
    order_id = ordered(house, {"TEE": 3})
    one = shipped(house, only(house, order_id))
    origin = one["warehouse"]
    failed = fail(house, one, FailureReason.LOST)
    assert house.failures() == ["ShipmentFailed"]
    assert (status(house, order_id), goods(house, order_id)) == ("shipped", "unfulfilled")
    before = house.stock()
    again = reship(house, failed, "RNO")
    assert house.failures() == []
    assert (again["status"], again["reships_id"], again["warehouse"]) == ("pending", one["id"], "RNO")
    after = house.stock()
    assert after["RNO"] == (before["RNO"][0] - 3, 0)
    assert status(house, order_id) == "shipped"
    deliver(house, shipped(house, again))
    assert (status(house, order_id), goods(house, order_id)) == ("delivered", "delivered")
    with pytest.raises(Conflict):
        reship(house, next(found for found in shipments(house, order_id) if found["id"] == one["id"]))
    assert origin in ("EWR", "RNO")
    assert house.violations() == []


def test_a_parcel_that_was_called_lost_may_arrive_after_all(house: House) -> None:
    house.add_variant("TEE", stock=3)
    order_id = ordered(house, {"TEE": 3})
    failed = fail(house, shipped(house, only(house, order_id)), FailureReason.LOST)
    found = deliver(house, failed)
    assert (found["status"], found["failure_reason"], found["failed_at"]) == ("delivered", None, None)
    assert (status(house, order_id), goods(house, order_id), house.failures()) == ("delivered", "delivered", [])
    assert {"shipment.delivered", "order.delivered"} <= set(topics(house, order_id))
    assert house.value("SELECT archive.is_unsettled(organization_id, id) FROM orders.orders") is False
    assert house.violations() == []


def test_a_lost_parcel_that_was_refunded_may_arrive_after_all_and_moves_no_money(house: House) -> None:
    house.add_variant("TEE", stock=3)
    order_id = ordered(house, {"TEE": 3})
    failed = fail(house, shipped(house, only(house, order_id)))
    refund(house, order_id)
    deliver(house, failed)
    assert (status(house, order_id), goods(house, order_id), house.failures()) == ("refunded", "delivered", [])
    assert house.violations() == []


def test_a_lost_parcel_that_was_sent_again_is_not_called_delivered(house: House) -> None:
    house.add_variant("TEE", stock=6)
    order_id = ordered(house, {"TEE": 3})
    failed = fail(house, shipped(house, only(house, order_id)))
    again = reship(house, failed)
    lost = next(one for one in shipments(house, order_id) if one["id"] == failed["id"])
    with pytest.raises(Conflict, match="sent again already"):
        deliver(house, lost)
    deliver(house, shipped(house, again))
    assert status(house, order_id) == "delivered"
    assert house.violations() == []


def test_what_nobody_has_any_more_is_not_sent_again(house: House) -> None:
    house.add_variant("TEE", stock=3)
    order_id = ordered(house, {"TEE": 3})
    failed = fail(house, shipped(house, only(house, order_id)))
    with pytest.raises(OutOfStock):
        reship(house, failed)
    assert house.failures() == ["ShipmentFailed"]


def test_what_was_refunded_of_a_lost_parcel_is_not_sent_as_well(house: House) -> None:
    house.add_variant("TEE", stock=20)
    order_id = ordered(house, {"TEE": 3})
    failed = fail(house, shipped(house, only(house, order_id)))
    refund(house, order_id, units(house, order_id, 2, RestockReason.OTHER))
    again = reship(house, failed)
    assert [item["quantity"] for item in again["items"]] == [1]
    refund(house, order_id, units(house, order_id, 1, RestockReason.RESELLABLE))
    assert goods(house, order_id) == "cancelled"
    assert house.violations() == []


def test_units_that_are_refunded_before_they_leave_do_not_leave(house: House, split: str) -> None:
    first, second = shipments(house, split)
    quantity = {one["warehouse"]: one["items"][0]["quantity"] for one in (first, second)}
    refund(house, split, units(house, split, 2))
    left = {one["warehouse"]: one["items"][0]["quantity"] for one in shipments(house, split)}
    assert sum(left.values()) == 10
    for code, pieces in {"EWR": 7, "RNO": 9}.items():
        assert house.stock()[code][0] == pieces - left[code], "what does not leave is back on its own shelf"
    assert left != quantity
    delivered(house, split)
    assert status(house, split) == "delivered"
    assert house.violations() == []


def test_a_packed_parcel_with_refunded_goods_is_taken_apart(house: House) -> None:
    house.add_variant("TEE", stock=9)
    order_id = ordered(house, {"TEE": 5})
    packed = pack(house, only(house, order_id))
    refund(house, order_id, units(house, order_id, 2))
    with pytest.raises(Conflict):
        ship(house, packed)
    again = only(house, order_id)
    assert (again["status"], again["items"][0]["quantity"]) == ("pending", 3)
    shipped(house, again)
    assert (status(house, order_id), house.stock()["EWR"]) == ("shipped", (6, 0))
    assert house.violations() == []


def test_refunding_the_rest_of_a_half_shipped_order_makes_it_shipped(house: House) -> None:
    house.add_variant("TEE", stock=9)
    order_id = ordered(house, {"TEE": 5})
    shipped(house, only(house, order_id), items={"TEE": 2})
    assert status(house, order_id) == "partially_shipped"
    refund(house, order_id, units(house, order_id, 3))
    assert (status(house, order_id), goods(house, order_id)) == ("shipped", "shipped")
    assert house.stock()["EWR"] == (7, 0)
    assert house.violations() == []


def test_a_return_goes_back_to_where_it_was_sent_from(house: House, split: str) -> None:
    first, second = shipments(house, split)
    shipped(house, second)
    refund(house, split, units(house, split, 1, RestockReason.CUSTOMER_KEPT))
    assert sum(one["items"][0]["quantity"] for one in shipments(house, split)) == 12, "what she keeps had left"
    before = house.stock()
    shipped(house, first)
    refund(house, split, units(house, split, 12 - 1))
    after = house.stock()
    assert after["EWR"][0] + after["RNO"][0] == before["EWR"][0] + before["RNO"][0] + 11
    assert after["EWR"][0] <= 7
    assert after["RNO"][0] <= 9
    assert house.violations() == []


def test_at_first_shipment_all_the_money_is_taken_before_it_leaves(house: House) -> None:
    capture_policy(house, "at_first_shipment")
    house.add_variant("TEE", stock={"EWR": 7, "RNO": 9})
    order_id = ordered(house, {"TEE": 12})
    total = house.order(order_id)["amounts"]["total_minor"]
    assert house.charges()["captured"] == 0
    first, second = shipments(house, order_id)
    shipped(house, first)
    assert house.charges()["captured"] == total
    shipped(house, second)
    assert house.charges()["captured"] == total
    assert status(house, order_id) == "shipped"
    assert house.violations() == []
