"""An order's address changes: its goods move only for a saving that is worth it, and are never free in between."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast.database.errors import StaleFacts
from holdfast.flows.orders import reallocate as reallocating
from holdfast.values.errors import Conflict, NotFound
from tests.flows.actions import expire, ordered, staff, status, topics
from tests.flows.moving import (
    NEWARK,
    NOWHERE,
    PORTLAND,
    RENO,
    holds,
    load,
    movements,
    readdress,
    reallocations,
    settings,
    shop,
)
from tests.house import House
from tests.refunding import refund, units

ASKS = "pm_card_authenticationRequired"


def today(house: House, code: str) -> str:
    (row,) = house.rows(
        "SELECT (CAST(:now AS timestamptz) AT TIME ZONE timezone)::date AS today FROM inventory.warehouses"
        " WHERE code = :code",
        now=house.clock(),
        code=code,
    )
    return str(row["today"].isoformat())


def unpaid(house: House, items: dict[str, int] | None = None, **how: Any) -> str:
    return ordered(house, items, token=ASKS, **how)


def test_held_goods_move_to_where_shipping_costs_a_third(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = unpaid(house, {"TEE": 2}, address=NEWARK)
    assert house.stock() == {"EWR": (5, 2), "RNO": (5, 0)}
    before = house.rows("SELECT expires_at FROM inventory.reservations")[0]["expires_at"]
    house.clock.advance(minutes=3)
    answer = readdress(house, order_id)
    assert answer["reallocation"] == {
        "applied": True,
        "reason": "shipping from RNO in place of EWR saves 600 of 900: 66.67 % of the shipping cost",
        "old_cost_minor": 900,
        "new_cost_minor": 300,
        "saving_minor": 600,
        "saving_percent": 66.67,
        "from_warehouses": ["EWR"],
        "to_warehouses": ["RNO"],
    }
    assert answer["order"]["shipping_address"]["city"] == "Reno"
    assert [row["warehouse"] for row in answer["order"]["allocations"]] == ["RNO"]
    assert house.stock() == {"EWR": (5, 0), "RNO": (5, 2)}
    assert holds(house, order_id) == [("EWR", 2, "reallocated"), ("RNO", 2, "active")]
    assert movements(house, "EWR") == [("reserve", 2), ("release", -2)]
    assert movements(house, "RNO") == [("reserve", 2)]
    assert load(house) == {("RNO", today(house, "RNO")): 1}
    kept = house.rows("SELECT expires_at, reason FROM inventory.reservations ORDER BY status")
    assert {row["expires_at"] for row in kept} == {before}
    assert "66.67 %" in kept[1]["reason"]
    assert topics(house, order_id)[-1][1] == "order.address_changed"
    assert house.violations() == []


def test_sold_goods_return_and_are_sold_again_elsewhere(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, {"TEE": 2}, address=NEWARK)
    assert status(house, order_id) == "confirmed"
    house.clock.advance(days=2)
    answer = readdress(house, order_id)
    assert answer["reallocation"]["applied"]
    assert status(house, order_id) == "confirmed"
    assert house.stock() == {"EWR": (5, 0), "RNO": (3, 0)}
    assert holds(house, order_id) == [("EWR", 2, "reallocated"), ("RNO", 2, "completed")]
    assert movements(house, "EWR") == [("reserve", 2), ("sale", -2), ("return", 2)]
    assert movements(house, "RNO") == [("reserve", 2), ("sale", -2)]
    assert load(house) == {("RNO", today(house, "RNO")): 1}
    assert house.violations() == []
    house.cancel(order_id)
    assert house.stock() == {"EWR": (5, 0), "RNO": (5, 0)}
    assert load(house) == {}
    assert house.violations() == []


@pytest.mark.parametrize(("west_cost", "moves"), [(676, False), (675, False), (674, True)])
def test_goods_move_for_more_than_a_quarter_alone(house: House, west_cost: int, moves: bool) -> None:
    shop(house, west_cost=west_cost)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = unpaid(house, address=NEWARK)
    answer = readdress(house, order_id)["reallocation"]
    assert answer["applied"] is moves
    assert (answer["old_cost_minor"], answer["new_cost_minor"]) == (900, west_cost)
    assert house.stock() == {"EWR": (5, 0 if moves else 1), "RNO": (5, 1 if moves else 0)}
    (row,) = reallocations(house, order_id)
    assert (row["cause"], row["outcome"]) == ("address_change", "applied" if moves else "honoured")
    assert (row["old_cost"], row["new_cost"], row["saving"]) == (900, west_cost, 900 - west_cost)
    assert row["decided_by"] == house.customer.actor
    assert house.violations() == []


def test_the_address_changes_though_the_goods_stay(house: House) -> None:
    shop(house, west_cost=900)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = unpaid(house, address=NEWARK)
    answer = readdress(house, order_id)
    assert not answer["reallocation"]["applied"]
    assert answer["reallocation"]["reason"] == "shipping from RNO would save nothing"
    assert answer["order"]["shipping_address"] == RENO.to_json()
    (row,) = house.rows("SELECT * FROM orders.order_address_versions")
    assert (row["version"], row["shipping_address"], row["replaced_by"]) == (1, NEWARK.to_json(), house.customer.actor)
    assert (row["latitude"], row["geocode_quality"], row["required_review"]) == (40.7357, "centroid", False)


def test_two_parcels_become_one(house: House) -> None:
    shop(house, east_cost=400, west_cost=300)
    house.add_variant(stock={"EWR": 2, "RNO": 2})
    order_id = ordered(house, {"TEE": 4}, address=NEWARK)
    assert house.order(order_id)["is_split_shipment"]
    booked = load(house)
    house.receive("TEE", "RNO", 2)
    house.clock.advance(days=1)
    answer = readdress(house, order_id)
    assert answer["reallocation"]["applied"]
    assert answer["reallocation"]["from_warehouses"] == ["EWR", "RNO"]
    assert answer["reallocation"]["to_warehouses"] == ["RNO"]
    assert not answer["order"]["is_split_shipment"]
    assert house.stock() == {"EWR": (2, 0), "RNO": (0, 0)}
    # Reno keeps counting the order on the date on which it first counted it.
    assert load(house) == {key: orders for key, orders in booked.items() if key[0] == "RNO"}
    assert house.violations() == []


def test_its_own_goods_count_as_available_where_they_lie(house: House) -> None:
    shop(house)
    house.add_variant("TEE", stock={"EWR": 5, "RNO": 2})
    house.add_variant("CAP", stock={"EWR": 5})
    order_id = unpaid(house, {"TEE": 2}, address=RENO)
    assert house.stock() == {"EWR": (5, 0), "RNO": (2, 2)}
    answer = readdress(house, order_id, PORTLAND)["reallocation"]
    assert (answer["applied"], answer["reason"]) == (False, "it ships best from RNO, where the goods lie")


def test_limits_of_capacity_are_not_asked_for(house: House) -> None:
    shop(house)
    house.sql("UPDATE inventory.warehouses SET base_daily_capacity = 0 WHERE code = 'RNO'")
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = unpaid(house, address=NEWARK, allow_capacity_overflow=False)
    assert readdress(house, order_id)["reallocation"]["applied"]
    assert house.violations() == []


def test_goods_in_a_warehouse_that_closed_may_leave_and_stay_where_there_are_no_others(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5})
    order_id = unpaid(house, address=NEWARK)
    house.sql("UPDATE inventory.warehouses SET status = 'maintenance' WHERE code = 'EWR'")
    answer = readdress(house, order_id)["reallocation"]
    assert (answer["applied"], answer["new_cost_minor"]) == (False, None)
    assert answer["reason"] == "no choice of the active warehouses has everything"
    house.receive("TEE", "RNO", 5)
    assert readdress(house, order_id, PORTLAND)["reallocation"]["applied"]
    assert house.violations() == []


def test_an_order_whose_hold_expired_is_allocated_when_it_is_paid(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, address=NEWARK, token="pm_card_chargeDeclined")
    house.clock.advance(minutes=16)
    assert expire(house).released == 1
    answer = readdress(house, order_id)["reallocation"]
    assert (answer["applied"], answer["old_cost_minor"]) == (False, None)
    house.pay_again(order_id)
    assert [row["warehouse"] for row in house.order(order_id)["allocations"]] == ["RNO"]
    (row,) = reallocations(house, order_id)
    assert (row["cause"], row["outcome"], row["old_cost"], row["new_cost"]) == ("paid_again", "applied", 900, 300)
    assert house.violations() == []


def shipments(house: House, order_id: str) -> list[tuple[str, str, int]]:
    rows = house.rows(
        "SELECT w.code, s.status, (SELECT sum(i.quantity) FROM fulfillment.shipment_items i"
        "   WHERE i.organization_id = s.organization_id AND i.shipment_id = s.id) AS pieces"
        "  FROM fulfillment.shipments s"
        " JOIN inventory.warehouses w ON w.organization_id = s.organization_id AND w.id = s.warehouse_id"
        " WHERE s.order_id = :id ORDER BY s.id",
        id=order_id,
    )
    return [(row["code"], row["status"], row["pieces"]) for row in rows if row["status"] != "cancelled"]


def walked(house: House, order_id: str, *path: str) -> None:
    """Move the order through these statuses."""
    house.sql(
        "SELECT orders.walk_status(organization_id, id, status, status_sequence, CAST(:path AS text[]), 'test', NULL,"
        " :now) FROM orders.orders WHERE id = :id",
        now=house.clock.now,
        id=order_id,
        path=list(path),
    )


@pytest.mark.parametrize("is_processing", [False, True])
def test_the_shipments_of_a_confirmed_order_leave_from_where_its_goods_are(house: House, is_processing: bool) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, {"TEE": 2}, address=NEWARK)
    if is_processing:
        walked(house, order_id, "processing")
    assert shipments(house, order_id) == [("EWR", "pending", 2)]
    assert readdress(house, order_id)["reallocation"]["applied"]
    assert shipments(house, order_id) == [("RNO", "pending", 2)]
    assert house.violations() == []


@pytest.mark.parametrize("step", ["picked", "packed"])
def test_an_order_of_which_something_is_picked_goes_where_it_goes(house: House, step: str) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, address=NEWARK)
    walked(house, order_id, "processing")
    house.sql("UPDATE fulfillment.shipments SET status = :step", step=step)
    with pytest.raises(Conflict) as refused:
        readdress(house, order_id)
    assert refused.value.facts == {"current": "processing"}
    assert house.order(order_id)["shipping_address"]["city"] == "Newark"
    assert house.rows("SELECT 1 FROM orders.idempotency_keys WHERE operation = 'change_shipping_address'") == []


@pytest.mark.parametrize("over", ["cancelled", "shipped", "delivered", "address_review"])
def test_an_order_that_is_too_far_keeps_its_address(house: House, over: str) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, address=NEWARK)
    path = {"shipped": ["processing", "shipped"], "delivered": ["processing", "shipped", "delivered"]}.get(over, [over])
    if over == "cancelled":
        house.cancel(order_id)
    else:
        walked(house, order_id, *path)
    with pytest.raises(Conflict) as refused:
        readdress(house, order_id)
    assert refused.value.facts == {"current": over}


def test_the_same_address_changes_nothing(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, address=NEWARK)
    answer = readdress(house, order_id, NEWARK)
    assert not answer["reallocation"]["applied"]
    assert answer["price"]["difference_minor"] == 0
    assert answer["order"]["version"] == 1
    assert house.rows("SELECT 1 FROM orders.order_address_versions") == []
    assert "order.address_changed" not in {topic for _, topic, *_ in topics(house, order_id)}


def test_a_stale_version_is_refused_and_the_current_one_told(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, address=NEWARK)
    assert readdress(house, order_id, version=1)["order"]["version"] == 2
    with pytest.raises(Conflict) as refused:
        readdress(house, order_id, PORTLAND, version=1)
    assert refused.value.facts == {"version": 2}
    assert readdress(house, order_id, PORTLAND, version=2)["order"]["version"] == 3


def test_the_same_key_is_answered_the_same_and_changes_once(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, address=NEWARK)
    first = readdress(house, order_id, key="once")
    house.cancel(order_id)
    assert readdress(house, order_id, key="once") == first
    assert len(reallocations(house, order_id)) == 1


def reviewed(house: House) -> tuple[str | None, bool, int]:
    """Return how well the address is known, whether it is to be reviewed, and how often one was not found."""
    (order,) = house.rows("SELECT geocode_quality, geocode_requires_review FROM orders.orders")
    failures: int = house.value("SELECT count(*) FROM addresses.geocode_failures")
    return order["geocode_quality"], order["geocode_requires_review"], failures


def test_an_address_that_nobody_finds_is_written_down_and_one_that_is_found_settles_it(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = unpaid(house, address=NEWARK)
    readdress(house, order_id, NOWHERE)
    assert reviewed(house) == ("approximate", True, 1)
    readdress(house, order_id, PORTLAND)
    assert reviewed(house) == ("centroid", False, 1)
    (_, was) = house.rows("SELECT geocode_quality, required_review FROM orders.order_address_versions ORDER BY version")
    assert dict(was) == {"geocode_quality": "approximate", "required_review": True}
    assert house.violations() == []


def test_a_confirmed_order_whose_new_address_is_not_found_is_reviewed(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, address=NEWARK)
    readdress(house, order_id, NOWHERE)
    assert status(house, order_id) == "address_review"
    told = {topic for _, topic, *_ in topics(house, order_id)}
    assert {"order.address_changed", "order.address_review_needed"} <= told
    with pytest.raises(Conflict, match="the review corrects it"):
        readdress(house, order_id, PORTLAND)
    assert house.violations() == []


def test_an_order_that_is_made_ready_is_not_stopped_but_a_person_looks_at_it(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, address=NEWARK)
    walked(house, order_id, "processing")
    readdress(house, order_id, NOWHERE)
    assert status(house, order_id) == "processing"
    assert house.failures() == ["AddressNotFound"]


def test_a_shop_that_reviews_no_addresses_notes_the_failure_alone(house: House) -> None:
    shop(house)
    settings(house, address_review=False)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, address=NEWARK)
    readdress(house, order_id, NOWHERE)
    assert (status(house, order_id), reviewed(house)) == ("confirmed", ("approximate", False, 1))


def test_goods_of_which_some_came_back_stay(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, {"TEE": 2}, address=NEWARK)
    refund(house, order_id, units(house, order_id, 1))
    answer = readdress(house, order_id)["reallocation"]
    assert (answer["applied"], answer["reason"]) == (False, "some of its goods came back already")
    assert house.violations() == []


def test_stock_that_is_snatched_away_each_time_leaves_the_goods_where_they_are(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, address=NEWARK)
    before = house.stock()
    moves = 0

    def always_late(*_: object) -> None:
        nonlocal moves
        moves += 1
        raise StaleFacts("others were faster")

    monkeypatch.setattr(reallocating, "_move", always_late)
    answer = readdress(house, order_id)
    assert (moves, answer["reallocation"]["applied"]) == (reallocating.DECISIONS_MAX, False)
    assert answer["reallocation"]["reason"] == "others took the stock of RNO meanwhile, several times over"
    assert answer["order"]["shipping_address"]["city"] == "Reno"
    assert house.stock() == before
    (row,) = reallocations(house, order_id)
    assert (row["outcome"], row["saving"]) == ("honoured", 600)
    assert house.violations() == []


def test_an_order_of_another_shopper_is_not_there(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5})
    order_id = ordered(house, address=NEWARK)
    with pytest.raises(NotFound):
        readdress(house, order_id, caller=replace(house.customer, subject="bob"))
    assert readdress(house, order_id, caller=staff(house))["order"]["shipping_address"]["city"] == "Reno"
