"""The operations team asks why orders ship from where they do, and what would have been different after a change."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast.web import allocation_views
from tests.flows.moving import NEWARK, PORTLAND, shop
from tests.handlers.door import Door, checkout_body
from tests.handlers.stock_room import StockRoom
from tests.handlers.test_openapi import same

EXPLAIN = "GET /v1/ops/orders/{reference}/allocation"
SIMULATE = "POST /v1/ops/allocation/simulate"


@pytest.fixture
def room(door: Door) -> StockRoom:
    door.house.add_variant("TEE", stock={"EWR": 2, "RNO": 2})
    return StockRoom(door)


def placed(room: StockRoom, quantity: int = 1) -> dict[str, Any]:
    order: dict[str, Any] = room.door.ask("POST /v1/checkout", checkout_body(quantity=quantity)).body["order"]
    return order


def period(**more: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "starts_at": (now - timedelta(hours=1)).isoformat(),
        "ends_at": (now + timedelta(hours=1)).isoformat(),
    } | more


def test_a_viewer_reads_why_an_order_was_split(room: StockRoom) -> None:
    order = placed(room, 3)
    viewer = room.door.staff("viewer")
    by_number = room.door.ask(EXPLAIN, who=viewer, reference=order["order_number"])
    assert by_number.status == 200
    told = by_number.body
    same(allocation_views.AllocationExplained, told)
    assert told["order_id"] == order["id"]
    decision = told["decision"]
    assert [(each["code"], each["verdict"]) for each in decision["candidates"]] == [
        ("RNO", "chosen"),
        ("EWR", "chosen"),
    ]
    variant = str(room.house.variants["TEE"])
    assert (decision["demand"], decision["candidates"][0]["stock"]) == ({variant: 3}, {variant: 2})
    assert decision["words"][1].startswith("RNO and EWR share the order")
    assert decision["words"][2] == "No warehouse could ship everything alone."
    assert sum(each["quantity"] for each in told["allocations"]) == 3
    assert (told["destination"]["latitude"], told["destination"]["quality"]) == (39.7528, "centroid")
    room.door.ask("POST /v1/orders/{order_id}/cancel", {}, order_id=order["id"])
    assert room.door.ask(EXPLAIN, who=viewer, reference=order["id"]).body["decision"] == decision


def test_what_was_decided_later_is_told_beside_the_first_decision_and_is_not_simulated(room: StockRoom) -> None:
    shop(room.house)
    sent_to = {"shipping_address": NEWARK.to_json()}
    order = room.door.ask("POST /v1/checkout", checkout_body(**sent_to)).body["order"]
    first = room.ask(EXPLAIN, reference=order["id"]).body
    moved = {"shipping_address": PORTLAND.to_json()}
    assert room.door.ask("PUT /v1/orders/{order_id}/shipping-address", moved, order_id=order["id"]).status == 200
    told = room.ask(EXPLAIN, reference=order["id"]).body
    same(allocation_views.AllocationExplained, told)
    assert (told["decision"], told["destination"]) == (first["decision"], first["destination"])
    (later,) = told["later_decisions"]
    assert (later["cause"], later["outcome"]) == ("address_change", "applied")
    assert (later["from_warehouses"], later["to_warehouses"]) == (["EWR"], ["RNO"])
    assert later["saving_minor"] == later["old_cost_minor"] - later["new_cost_minor"] == 600
    assert [each["code"] for each in later["decision"]["candidates"] if each["verdict"] == "chosen"] == ["RNO"]
    assert room.ask(SIMULATE, period()).body["changed_orders"] == 0


def test_shoppers_are_not_told_and_other_shops_have_no_such_order(room: StockRoom) -> None:
    order = placed(room)
    assert room.door.ask(EXPLAIN, reference=order["id"]).status == 403
    assert room.ask(EXPLAIN, reference="NO-SUCH-ORDER").status == 404


def test_a_quote_keeps_the_shops_stock_to_itself(room: StockRoom) -> None:
    body = checkout_body()
    quote = {"items": body["items"], "shipping_address": body["shipping_address"]}
    (first, *_) = room.door.ask("POST /v1/checkout/quote", quote).body["allocation"]["reasons"]["candidates"]
    assert not {"stock", "latitude", "longitude", "base_daily_capacity"} & set(first)


def test_the_samples_explain_an_order_and_simulate_a_period(room: StockRoom) -> None:
    order = placed(room)
    event = room.door.sample("allocation/explain", order_id=order["id"])
    event["requestContext"]["authorizer"]["jwt"]["claims"] |= room.who
    same(allocation_views.AllocationExplained, room.door.send(event).body)
    simulated = room.sample("allocation/simulate")
    assert simulated.status == 200
    same(allocation_views.AllocationSimulation, simulated.body)
    assert simulated.body["orders"] == 0


def test_a_period_is_simulated_and_nothing_is_written(room: StockRoom) -> None:
    for _ in range(3):
        placed(room)
    before = room.door.rows_of_all_tables()
    told = room.ask(SIMULATE, period()).body
    same(allocation_views.AllocationSimulation, told)
    assert (told["orders"], told["changed_orders"], told["cut"]) == (3, 0, None)
    without = room.ask(SIMULATE, period(warehouses=[{"code": "RNO", "active": False}])).body
    same(allocation_views.AllocationSimulation, without)
    assert without["simulated"]["orders_per_warehouse"] == {"EWR": 2}
    assert without["simulated"]["refused_orders"] == {"out_of_stock": 1}
    new = {"code": "DEN", "latitude": 39.7, "longitude": -105, "shipping_cost_base_minor": 500, "stock_factor": 0.5}
    nearer = room.ask(SIMULATE, period(additional_warehouses=[new], max_warehouses=1)).body
    assert nearer["simulated"]["orders_per_warehouse"] == {"DEN": 2, "RNO": 1}
    assert nearer["simulated"]["mean_distance_km"] < nearer["stored"]["mean_distance_km"]
    unlimited = room.ask(SIMULATE, period(warehouses=[{"code": "RNO", "daily_capacity": 1}])).body
    assert unlimited["simulated"]["days_over_capacity"] >= 0
    assert room.door.rows_of_all_tables() == before


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"weights": {"economy": {"cost": 0.9, "speed": 0.9}}}, "weights.economy"),
        ({"split_overhead": 0.5}, "split_overhead"),
        ({"max_warehouses": 4}, "max_warehouses"),
        ({"warehouses": [{"code": "EWR"}, {"code": "EWR"}]}, "body"),
        ({"warehouses": [{"code": "EWR", "latitude": 4}]}, "warehouses[0]"),
        ({"warehouses": [{"code": "LAX"}]}, "warehouses[0].code"),
        (
            {
                "additional_warehouses": [
                    {"code": "A", "latitude": 0, "longitude": 0, "shipping_cost_base_minor": 1, "timezone": "Mars/Base"}
                ]
            },
            "additional_warehouses[0].timezone",
        ),
        (
            {"additional_warehouses": [{"code": "EWR", "latitude": 0, "longitude": 0, "shipping_cost_base_minor": 1}]},
            "additional_warehouses[0].code",
        ),
        ({"ends_at": "2020-01-01T00:00:00Z"}, "ends_at"),
        ({"starts_at": "2020-01-01T00:00:00"}, "starts_at"),
    ],
)
def test_what_makes_no_sense_is_named(room: StockRoom, more: dict[str, Any], field: str) -> None:
    refused = room.ask(SIMULATE, period(**more))
    assert (refused.status, refused.body["code"]) == (422, "invalid_input")
    assert [error["field"] for error in refused.body["errors"]] == [field]
