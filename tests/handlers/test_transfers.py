"""Transfers of goods between warehouses, as the operations team makes them."""

from typing import Any
from uuid import uuid4

import pytest

from holdfast.secrets.store import SecretStore
from holdfast.web import stock_views
from tests.handlers.door import Door, Reply, checkout_body
from tests.handlers.stock_room import SAMPLE_VARIANT, SAMPLE_WAREHOUSE, StockRoom
from tests.handlers.test_openapi import same
from tests.house import House

SAMPLE_DESTINATION = "01930000-0000-7000-8000-0000000000a3"
SAMPLE_TRANSFER = "01930000-0000-7000-8000-0000000000b1"


@pytest.fixture
def room(door: Door) -> StockRoom:
    door.house.add_variant(stock=10)
    return StockRoom(door)


def ask(room: StockRoom, quantity: int = 6, **more: Any) -> str:
    """Ask for a transfer from EWR to RNO and return its id."""
    reply = room.ask("POST /v1/ops/transfers", body(room, quantity) | more)
    assert (reply.status, reply.body["transfer"]["status"]) == (201, "pending"), reply.raw
    return str(reply.body["transfer"]["id"])


def body(room: StockRoom, quantity: int = 6) -> dict[str, Any]:
    return {
        "variant_id": str(room.house.variants["TEE"]),
        "from_warehouse_id": str(room.house.warehouses["EWR"]),
        "to_warehouse_id": str(room.house.warehouses["RNO"]),
        "quantity": quantity,
        "reason": "the west runs low",
    }


def step(room: StockRoom, transfer_id: str, name: str, sent: Any = None, **how: Any) -> Reply:
    return room.ask(f"POST /v1/ops/transfers/{{transfer_id}}/{name}", sent or {}, transfer_id=transfer_id, **how)


def incoming(room: StockRoom) -> int:
    return int(room.house.value("SELECT sum(incoming) FROM inventory.stock_levels"))


def test_the_samples_ask_ship_receive_and_call_off(room: StockRoom) -> None:
    ids = {
        SAMPLE_WAREHOUSE: str(room.house.warehouses["EWR"]),
        SAMPLE_DESTINATION: str(room.house.warehouses["RNO"]),
        SAMPLE_VARIANT: str(room.house.variants["TEE"]),
    }
    ids[SAMPLE_TRANSFER] = room.sample("transfers/ask", **ids).body["transfer"]["id"]
    assert room.sample("transfers/ship", **ids).body["transfer"]["status"] == "in_transit"
    assert [row["id"] for row in room.sample("transfers/list", **ids).body["transfers"]] == [ids[SAMPLE_TRANSFER]]
    assert room.house.stock() == {"EWR": (4, 0), "RNO": (0, 0)}
    part = room.sample("transfers/receive", **ids)
    assert (
        part.body["transfer"] | {"received_quantity": 4, "written_off_quantity": 1, "status": "in_transit"}
        == (part.body["transfer"])
    )
    assert room.sample("transfers/receive", **ids).raw == part.raw
    assert incoming(room) == 1
    over = room.sample("transfers/cancel", **ids)
    assert (over.body["transfer"]["status"], over.body["transfer"]["returned_quantity"]) == ("cancelled", 1)
    assert room.house.stock() == {"EWR": (5, 0), "RNO": (4, 0)}
    assert room.house.violations() == []


def test_all_of_it_arrives_in_parts(room: StockRoom) -> None:
    transfer_id = ask(room)
    assert (room.house.stock(), incoming(room)) == ({"EWR": (10, 0), "RNO": (0, 0)}, 0)
    step(room, transfer_id, "ship")
    assert (room.house.stock(), incoming(room)) == ({"EWR": (4, 0), "RNO": (0, 0)}, 6)
    for received, status, under_way in ((2, "in_transit", 4), (3, "in_transit", 1), (1, "completed", 0)):
        reply = step(room, transfer_id, "receive", {"received_quantity": received})
        assert (reply.status, reply.body["transfer"]["status"], incoming(room)) == (201, status, under_way)
    assert room.house.stock() == {"EWR": (4, 0), "RNO": (6, 0)}
    assert step(room, transfer_id, "receive", {"received_quantity": 1}).status == 409
    assert step(room, transfer_id, "cancel", {"reason": "too late"}).status == 409
    assert room.house.violations() == []


def test_what_never_arrives_is_written_off_with_a_reason(room: StockRoom) -> None:
    transfer_id = ask(room)
    step(room, transfer_id, "ship")
    assert step(room, transfer_id, "receive", {"written_off_quantity": 6}).status == 422
    lost = {"written_off_quantity": 6, "reason": "the truck burned"}
    reply = step(room, transfer_id, "receive", lost)
    assert (reply.body["transfer"]["status"], reply.body["transfer"]["write_off_reason"]) == (
        "completed",
        "the truck burned",
    )
    assert (room.house.stock(), incoming(room)) == ({"EWR": (4, 0), "RNO": (0, 0)}, 0)
    assert room.house.violations() == []


def test_more_than_is_under_way_does_not_arrive(room: StockRoom) -> None:
    transfer_id = ask(room)
    assert step(room, transfer_id, "receive", {"received_quantity": 1}).status == 409
    step(room, transfer_id, "ship")
    refused = step(room, transfer_id, "receive", {"received_quantity": 5, "written_off_quantity": 2, "reason": "lost"})
    assert (refused.status, refused.body["in_transit"]) == (409, 6)
    assert incoming(room) == 6


def test_goods_that_are_reserved_do_not_leave(room: StockRoom) -> None:
    transfer_id = ask(room, 8)
    declined = {"payment": {"gateway": "stripe", "token": "pm_card_visa_chargeDeclined"}}
    assert room.door.ask("POST /v1/checkout", checkout_body(3) | declined).status == 402
    refused = step(room, transfer_id, "ship", key="s1")
    assert (refused.status, refused.body["available"]) == (409, 7)
    room.receive(1)
    assert step(room, transfer_id, "ship", key="s1").status == 201, "a refusal leaves no claim"
    assert room.house.violations() == []


@pytest.mark.parametrize("shipped", [False, True])
def test_called_off_before_or_on_the_way_everything_is_where_it_was(room: StockRoom, shipped: bool) -> None:
    transfer_id = ask(room)
    if shipped:
        step(room, transfer_id, "ship")
    reply = step(room, transfer_id, "cancel", {"reason": "no longer needed"})
    assert (reply.status, reply.body["transfer"]["status"]) == (201, "cancelled")
    assert (room.house.stock(), incoming(room)) == ({"EWR": (10, 0), "RNO": (0, 0)}, 0)
    assert step(room, transfer_id, "ship").status == 409
    assert room.house.violations() == []


def test_a_transfer_goes_somewhere_else_and_carries_what_is_known(room: StockRoom) -> None:
    here = body(room)
    for spoil, status in (
        ({"to_warehouse_id": here["from_warehouse_id"]}, 422),
        ({"to_warehouse_id": str(uuid4())}, 404),
        ({"variant_id": str(uuid4())}, 404),
        ({"quantity": 0}, 422),
        ({"reason": ""}, 422),
    ):
        assert room.ask("POST /v1/ops/transfers", here | spoil).status == status, spoil
    assert room.house.value("SELECT count(*) FROM inventory.transfers") == 0


def test_lists_are_by_status_and_destination(room: StockRoom) -> None:
    first, second, third = (ask(room, 1) for _ in range(3))
    step(room, second, "ship")
    route = "GET /v1/ops/transfers"
    assert [row["id"] for row in room.ask(route).body["transfers"]] == [third, second, first]
    page = room.ask(route, query={"limit": "2"}).body
    assert [row["id"] for row in room.ask(route, query={"before": page["next_before"]}).body["transfers"]] == [first]
    to = str(room.house.warehouses["RNO"])
    on_the_way = room.ask(route, query={"status": "in_transit", "to_warehouse_id": to})
    assert [row["id"] for row in on_the_way.body["transfers"]] == [second]
    same(stock_views.TransferPage, on_the_way.body)
    same(stock_views.TransferAnswer, step(room, second, "receive", {"received_quantity": 1}).body)


def test_who_did_what_is_on_the_record(room: StockRoom) -> None:
    transfer_id = ask(room)
    step(room, transfer_id, "ship")
    actors = room.house.rows(
        "SELECT action, actor, changed_values ->> 'status' AS status FROM operations.audit_log"
        " WHERE record_id = :id ORDER BY id",
        id=transfer_id,
    )
    actor = f"staff:{room.who['sub']}"
    assert [tuple(row.values()) for row in actors] == [("insert", actor, "pending"), ("update", actor, "in_transit")]


def test_another_shops_transfer_is_not_there(room: StockRoom, stripe_url: str, secret_store: SecretStore) -> None:
    transfer_id = ask(room)
    with House(room.house.owner, stripe_url, secret_store) as other:
        room.who = room.door.staff("owner", organization_id=other.organization_id)
        before = room.door.rows_of_all_tables()
        for name, sent in (("ship", {}), ("receive", {"received_quantity": 1}), ("cancel", {"reason": "mine now"})):
            assert step(room, transfer_id, name, sent).status == 404
        assert room.ask("GET /v1/ops/transfers").body["transfers"] == []
        assert room.ask("POST /v1/ops/transfers", body(room)).status == 404
        assert room.door.rows_of_all_tables() == before
