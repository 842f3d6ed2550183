"""Shipments through the API: the samples, the documented answers, and what can be wrong with a request."""

from typing import Any
from uuid import uuid4

import pytest

from holdfast.web import shipment_views
from tests.handlers.door import Door, Reply
from tests.handlers.stock_room import StockRoom
from tests.handlers.test_openapi import same
from tests.shipping import capture_policy

SAMPLE_SHIPMENT = "01930000-0000-7000-8000-0000000000c1"
DECLINES = {"operation": "payment_intents.capture"}


@pytest.fixture
def room(door: Door) -> StockRoom:
    door.house.add_variant(stock={"EWR": 4, "RNO": 4})
    return StockRoom(door)


def order(room: StockRoom, quantity: int = 2) -> str:
    """Place an order and return its id."""
    from tests.flows.actions import ordered  # noqa: PLC0415 -- only here

    return ordered(room.house, {"TEE": quantity})


def listed(room: StockRoom, **query: Any) -> list[dict[str, Any]]:
    reply = room.ask("GET /v1/ops/shipments", query={name: str(value) for name, value in query.items()})
    assert reply.status == 200, reply.raw
    same(shipment_views.ShipmentPage, reply.body)
    found: list[dict[str, Any]] = reply.body["shipments"]
    return found


def step(room: StockRoom, shipment: dict[str, Any], name: str, body: Any = None, **how: Any) -> Reply:
    route = f"POST /v1/ops/shipments/{{shipment_id}}/{name}"
    return room.ask(route, {"version": shipment["version"], **(body or {})}, shipment_id=shipment["id"], **how)


def test_the_samples_lead_a_parcel_to_its_shopper(room: StockRoom) -> None:
    order_id = order(room)
    (pending,) = room.sample("shipments/list").body["shipments"]
    ids = {SAMPLE_SHIPMENT: pending["id"]}
    assert room.sample("shipments/find", **ids).body["shipment"] == pending
    for name, status in (
        ("shipments/pick", "picked"),
        ("shipments/pack", "packed"),
        ("shipping/ship", "shipped"),
        ("deliveries/in_transit", "in_transit"),
        ("deliveries/deliver", "delivered"),
    ):
        reply = room.sample(name, **ids)
        assert (reply.status, reply.body["shipment"]["status"]) == (200, status), reply.raw
        same(shipment_views.ShipmentAnswer, reply.body)
        assert room.sample(name, **ids).raw == reply.raw, "the same key gets the same answer"
    assert room.house.order(order_id)["status"] == "delivered"
    assert room.house.violations() == []


def test_the_samples_call_off_fail_and_send_again(room: StockRoom) -> None:
    order(room)
    (pending,) = listed(room)
    assert room.sample("shipments/cancel", **{SAMPLE_SHIPMENT: pending["id"]}).body["shipment"]["status"] == "cancelled"
    (pending,) = listed(room)
    left = step(room, pending, "ship", {"carrier": "UPS"}).body["shipment"]
    room.house.sql("UPDATE fulfillment.shipments SET version = 4 WHERE id = :id", id=left["id"])
    failed = room.sample("deliveries/fail", **{SAMPLE_SHIPMENT: left["id"]})
    assert (failed.body["shipment"]["failure_reason"], failed.body["shipment"]["version"]) == ("lost", 5)
    again = room.sample("deliveries/reship", **{SAMPLE_SHIPMENT: left["id"]})
    assert (again.status, again.body["shipment"]["reships_id"]) == (201, left["id"])
    same(shipment_views.ShipmentAnswer, again.body)
    assert room.house.violations() == []


def test_shipments_are_found_by_what_is_known_of_them(room: StockRoom) -> None:
    order_id = order(room, 6)
    east, west = listed(room, order=order_id)
    assert [one["id"] for one in listed(room, status="pending", warehouse_id=west["warehouse_id"])] == [west["id"]]
    step(room, east, "ship", {"carrier": "DHL", "tracking_number": "JD0001"})
    assert [one["id"] for one in listed(room, tracking_number="JD0001")] == [east["id"]]
    assert [one["id"] for one in listed(room, warehouse_id=east["warehouse_id"])] == [east["id"]]
    assert [one["id"] for one in listed(room)] == [west["id"]], "pending ones by default"
    page = room.ask("GET /v1/ops/shipments", query={"order": east["order_number"], "limit": "1"}).body
    assert [one["id"] for one in listed(room, order=order_id, after=page["next_after"])] == [west["id"]]
    for mixed in (
        {"order": order_id, "warehouse_id": west["warehouse_id"]},
        {"tracking_number": "x", "status": "pending"},
    ):
        assert room.ask("GET /v1/ops/shipments", query=mixed).status == 422
    assert room.ask("GET /v1/ops/shipments", query={"order": "HF-NONE"}).status == 404


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("pick", {"version": "1"}),
        ("pick", {"version": 0}),
        ("pick", {}),
        ("pack", {"version": 1, "surprise": True}),
        ("cancel", {"version": 1, "reason": ""}),
        ("ship", {"version": 1}),
        ("ship", {"version": 1, "carrier": "UPS\x00"}),
        ("ship", {"version": 1, "carrier": "<script>"}),
        ("ship", {"version": 1, "carrier": "UPS", "tracking_number": "x" * 101}),
        ("ship", {"version": 1, "carrier": "UPS", "tracking_number": "1Z\n99"}),
        ("ship", {"version": 1, "carrier": "UPS", "estimated_delivery_at": "soon"}),
        ("ship", {"version": 1, "carrier": "UPS", "estimated_delivery_at": "2026-01-01T00:00:00"}),
        ("ship", {"version": 1, "carrier": "UPS", "items": []}),
        ("ship", {"version": 1, "carrier": "UPS", "items": [{"order_item_id": str(uuid4()), "quantity": 1}]}),
        ("ship", {"version": 1, "carrier": "UPS", "items": [{"order_item_id": str(uuid4()), "quantity": -1}]}),
        ("fail", {"version": 1, "reason": "stolen"}),
        ("deliver", {"version": 1, "delivered_at": "yesterday"}),
        ("reship", {"version": 1, "warehouse_id": "EWR"}),
    ],
)
def test_a_bad_request_is_told_what_is_wrong_and_changes_nothing(
    room: StockRoom, name: str, body: dict[str, Any]
) -> None:
    order(room)
    (pending,) = listed(room)
    before = room.door.rows_of_all_tables()
    route = f"POST /v1/ops/shipments/{{shipment_id}}/{name}"
    assert room.ask(route, body, shipment_id=pending["id"]).status == 422
    assert room.door.rows_of_all_tables() == before


def test_a_step_that_is_not_its_turn_is_refused_and_changes_nothing(room: StockRoom) -> None:
    order(room)
    (pending,) = listed(room)
    before = room.door.rows_of_all_tables()
    for name in ("in-transit", "deliver"):
        reply = step(room, pending, name)
        assert (reply.status, reply.body["code"], reply.body["current"]) == (409, "transition_refused", "pending")
    assert step(room, pending, "fail", {"reason": "lost"}).status == 409
    assert step(room, pending, "reship").status == 409
    assert step(room, pending | {"version": 9}, "pick").status == 409
    assert step(room, pending | {"id": str(uuid4())}, "pick").status == 404
    assert room.door.rows_of_all_tables() == before


def test_a_delivery_that_is_yet_to_come_is_refused(room: StockRoom) -> None:
    order(room)
    left = step(room, listed(room)[0], "ship", {"carrier": "UPS"}).body["shipment"]
    reply = step(room, left, "deliver", {"delivered_at": "2199-01-01T00:00:00Z"})
    assert (reply.status, reply.body["errors"][0]["field"]) == (422, "delivered_at")


def test_what_cannot_be_paid_stays_and_says_so(room: StockRoom) -> None:
    capture_policy(room.house, "at_first_shipment")
    order(room)
    room.house.stripe_behaves(match=DECLINES, http_status=400)
    reply = step(room, listed(room)[0], "ship", {"carrier": "UPS"}, key="ship-1")
    assert (reply.status, reply.body["code"], reply.body["shipment"]["status"]) == (409, "capture_failed", "packed")
    assert reply.body["shipment"]["leaving_since"] is None
    assert step(
        room, listed(room, status="packed")[0] | {"version": 1}, "ship", {"carrier": "UPS"}, key="ship-1"
    ).raw == (reply.raw)
    assert "CaptureFailed" in room.house.failures()
    assert room.house.violations() == []
