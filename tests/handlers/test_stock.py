"""Warehouses and stock as the operations team sees and changes them."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from holdfast.secrets.store import SecretStore
from holdfast.web import stock_views
from tests.handlers.door import Door, checkout_body
from tests.handlers.stock_room import SAMPLE_VARIANT, SAMPLE_WAREHOUSE, StockRoom
from tests.handlers.test_access import WAREHOUSE
from tests.handlers.test_openapi import same
from tests.house import House


@pytest.fixture
def room(door: Door) -> StockRoom:
    door.house.add_variant(stock=10)
    return StockRoom(door)


def here(room: StockRoom, sku: str = "TEE", code: str = "EWR") -> dict[str, str]:
    """Return both ids of a stock level."""
    return {"warehouse_id": str(room.house.warehouses[code]), "variant_id": str(room.house.variants[sku])}


# --- samples ----------------------------------------------------------------------------------------------------------


def test_the_samples_open_list_and_change_a_warehouse(room: StockRoom) -> None:
    opened = room.sample("warehouses/open")
    assert (opened.status, opened.body["warehouse"]["code"]) == (201, "NWK")
    assert room.sample("warehouses/open").raw == opened.raw
    listed = room.sample("warehouses/list").body["warehouses"]
    assert [row["code"] for row in listed] == ["EWR", "NWK", "RNO"]
    changed = room.sample("warehouses/change", **{SAMPLE_WAREHOUSE: opened.body["warehouse"]["id"]})
    assert (changed.body["warehouse"]["status"], changed.body["warehouse"]["version"]) == ("maintenance", 2)


def test_the_samples_receive_adjust_damage_and_report(room: StockRoom) -> None:
    sku = "TEE-BLK-M"
    variant = room.house.add_variant(sku, stock=5)
    ids = {SAMPLE_WAREHOUSE: str(room.house.warehouses["EWR"]), SAMPLE_VARIANT: str(variant)}
    for name, on_hand in (("stock/receive", 17), ("stock/adjust", 15), ("stock/damage", 14)):
        reply = room.sample(name, **ids)
        assert (reply.status, reply.body["change"]["levels"][0]["on_hand"]) == (201, on_hand)
    assert room.sample("stock/safety_stock", **ids).body["level"]["safety_stock"] == 20
    assert len(room.sample("stock_reports/levels", **ids).body["levels"]) == 2
    assert [row["sku"] for row in room.sample("stock_reports/low", **ids).body["levels"]] == [sku]
    assert room.sample("stock_reports/availability", **ids).body["variants"][0]["sellable"] == 14
    types = [row["type"] for row in room.sample("stock_reports/movements", **ids).body["movements"]]
    assert types == ["damage", "adjustment", "receive", "receive"]
    assert room.house.violations() == []


# --- warehouses -------------------------------------------------------------------------------------------------------


def test_a_warehouse_is_changed_by_who_saw_it_last(room: StockRoom) -> None:
    opened = room.ask("POST /v1/ops/warehouses", {**WAREHOUSE, "code": "NWK"}).body["warehouse"]
    route, path = "POST /v1/ops/warehouses/{warehouse_id}", {"warehouse_id": opened["id"]}
    assert room.ask(route, {**WAREHOUSE, "version": 1, "name": "Newark 2"}, **path).body["warehouse"]["version"] == 2
    stale = room.ask(route, {**WAREHOUSE, "version": 1}, **path)
    assert (stale.status, stale.body["code"], stale.body["version"]) == (409, "conflict", 2)
    assert room.ask(route, {**WAREHOUSE, "version": 1}, warehouse_id=str(uuid4())).status == 404
    assert room.house.rows(
        "SELECT action, changed_values ->> 'name' AS name FROM operations.audit_log WHERE record_id = :id ORDER BY id",
        id=opened["id"],
    ) == [{"action": "insert", "name": "Newark"}, {"action": "update", "name": "Newark 2"}]


def test_a_code_is_given_once(room: StockRoom) -> None:
    taken = room.ask("POST /v1/ops/warehouses", {**WAREHOUSE, "code": "EWR"})
    assert (taken.status, taken.body["code"]) == (409, "conflict")


def test_a_timezone_that_the_database_does_not_know_cannot_stop_all_checkouts(room: StockRoom) -> None:
    for name in ("Mars/Olympus", "America/new_york ", "EWR-5"):
        reply = room.ask("POST /v1/ops/warehouses", {**WAREHOUSE, "code": "NWK", "timezone": name})
        assert (reply.status, reply.body["errors"][0]["field"]) == (422, "timezone")
    assert room.door.ask("POST /v1/checkout", checkout_body()).status == 201


@pytest.mark.parametrize("status", ["inactive", "maintenance"])
def test_only_an_active_warehouse_is_given_orders(room: StockRoom, status: str) -> None:
    found = room.ask("GET /v1/ops/warehouses").body["warehouses"]
    ewr = next(row for row in found if row["code"] == "EWR")
    body = {**WAREHOUSE, "version": ewr["version"], "status": status}
    assert room.ask("POST /v1/ops/warehouses/{warehouse_id}", body, warehouse_id=ewr["id"]).status == 200
    assert room.door.ask("POST /v1/checkout", checkout_body()).body["code"] == "out_of_stock"
    assert room.receive(1).status == 201, "stock can be moved in and out of any warehouse"
    of_tee = room.ask("GET /v1/ops/stock/availability", query={"sku": "TEE"}).body["variants"][0]
    assert (of_tee["on_hand"], of_tee["sellable"]) == (11, 0)


# --- receipts and adjustments -----------------------------------------------------------------------------------------


def test_goods_come_in_once_however_often_they_are_announced(room: StockRoom) -> None:
    first = room.receive(5, key="r1")
    again = room.receive(5, key="r1")
    assert (first.status, again.raw) == (201, first.raw)
    assert room.receive(6, key="r1").body["code"] == "idempotency_key_reused"
    assert room.house.stock() == {"EWR": (15, 0)}
    assert room.house.violations() == []


def test_a_variant_that_never_lay_here_gets_its_level(room: StockRoom) -> None:
    reply = room.receive(3, warehouse="RNO")
    assert (reply.body["change"]["levels"][0]["on_hand"], reply.body["change"]["levels"][0]["version"]) == (3, 1)
    assert room.house.stock() == {"EWR": (10, 0), "RNO": (3, 0)}


def test_an_adjustment_never_takes_what_is_reserved_and_leaves_no_claim_when_refused(room: StockRoom) -> None:
    room.door.ask(
        "POST /v1/checkout",
        checkout_body(4) | {"payment": {"gateway": "stripe", "token": "pm_card_visa_chargeDeclined"}},
    )
    assert room.house.stock() == {"EWR": (10, 4)}
    for type_, quantity in (("adjustment", -7), ("damage", 7)):
        refused = room.adjust(quantity, type=type_, key=f"a-{type_}")
        assert (refused.status, refused.body["code"]) == (409, "conflict")
        [item] = refused.body["items"]
        assert (item["sku"], item["quantity"], item["on_hand"], item["reserved"]) == ("TEE", -7, 10, 4)
        assert room.adjust(6 if type_ == "damage" else -6, type=type_, key=f"a-{type_}").status == 201
        room.receive(6)
    assert room.house.violations() == []


def test_all_lines_move_or_none(room: StockRoom) -> None:
    room.house.add_variant("CAP", stock=1)
    body = room.lines(-5, "TEE", "EWR") | {"reason": "counted"}
    body["lines"].append({"sku": "CAP", "quantity": -2})
    before = room.door.rows_of_all_tables()
    assert room.ask("POST /v1/ops/stock/adjustments", body).status == 409
    assert room.door.rows_of_all_tables() == before
    assert room.house.stock() == {"EWR": (10, 0)}


def test_lines_that_name_no_variant_of_their_own_are_named(room: StockRoom) -> None:
    body = room.lines(1, "TEE", "EWR")
    body["lines"] += [{"sku": "NONE", "quantity": 1}, {"variant_id": here(room)["variant_id"], "quantity": 1}]
    reply = room.ask("POST /v1/ops/stock/receipts", body)
    assert (reply.status, [error["field"] for error in reply.body["errors"]]) == (422, ["lines[1]", "lines[2]"])


@pytest.mark.parametrize(
    "spoil",
    [
        {"reason": None},
        {"reason": ""},
        {"type": "receive"},
        {"type": "sale"},
        {"lines": [{"sku": "TEE", "quantity": 0}]},
        {"lines": [{"sku": "TEE", "quantity": -1}], "type": "damage"},
        {"lines": []},
        {"lines": [{"sku": "TEE", "quantity": 10**7}]},
        {"lines": [{"quantity": 1}]},
        {"on_hand": 7},
    ],
)
def test_an_adjustment_that_makes_no_sense_writes_nothing(room: StockRoom, spoil: dict[str, Any]) -> None:
    before = room.door.rows_of_all_tables()
    assert room.adjust(1, **spoil).status == 422
    assert room.door.rows_of_all_tables() == before


def test_every_change_says_who_and_why(room: StockRoom) -> None:
    change = room.adjust(2, type="damage", reason="water").body["change"]
    [movement] = room.ask(
        "GET /v1/ops/warehouses/{warehouse_id}/stock/{variant_id}/movements", query={"limit": "1"}, **here(room)
    ).body["movements"]
    assert (movement["type"], movement["quantity"], movement["reason"]) == ("damage", -2, "water")
    assert movement["reference_id"] == change["id"]
    assert movement["performed_by"] == f"staff:{room.who['sub']}"


# --- reports ----------------------------------------------------------------------------------------------------------


def test_levels_join_page_by_page_without_a_gap_or_an_overlap(room: StockRoom) -> None:
    for number in range(6):
        room.house.add_variant(f"SKU-{number}", stock=number)
    path, seen, after = {"warehouse_id": here(room)["warehouse_id"]}, [], None
    for _ in range(10):
        query = {"limit": "3"} | ({"after": after} if after else {})
        page = room.ask("GET /v1/ops/warehouses/{warehouse_id}/stock", query=query, **path).body
        seen += [row["variant_id"] for row in page["levels"]]
        after = page["next_after"]
        if after is None:
            break
    assert seen == sorted(map(str, room.house.variants.values()))


def test_low_is_less_available_than_the_safety_stock(room: StockRoom) -> None:
    for safety, is_low in ((10, False), (11, True)):
        body = {**here(room), "safety_stock": safety}
        assert room.ask("POST /v1/ops/stock/safety-stock", body).status == 200
        found = room.ask("GET /v1/ops/warehouses/{warehouse_id}/low-stock", warehouse_id=body["warehouse_id"]).body
        assert [row["sku"] for row in found["levels"]] == (["TEE"] if is_low else [])
    missing = {**here(room), "warehouse_id": here(room, code="RNO")["warehouse_id"], "safety_stock": 1}
    assert room.ask("POST /v1/ops/stock/safety-stock", missing).status == 404
    assert room.house.violations() == []


def test_availability_is_of_one_variant_or_of_all_of_a_product(room: StockRoom) -> None:
    room.receive(3, warehouse="RNO")
    product_id = str(room.house.value("SELECT product_id FROM catalog.variants WHERE sku = 'TEE'"))
    for query in ({"sku": "TEE"}, {"variant_id": here(room)["variant_id"]}, {"product_id": product_id}):
        [variant] = room.ask("GET /v1/ops/stock/availability", query=query).body["variants"]
        assert (variant["sku"], variant["sellable"]) == ("TEE", 13)
        assert [row["warehouse"] for row in variant["warehouses"]] == ["EWR", "RNO"]
    assert room.ask("GET /v1/ops/stock/availability", query={"sku": "NONE"}).status == 404
    assert room.ask("GET /v1/ops/stock/availability", query={"sku": "TEE", "product_id": product_id}).status == 422
    assert room.ask("GET /v1/ops/stock/availability").status == 422


def test_another_shops_stock_is_not_there(room: StockRoom, stripe_url: str, secret_store: SecretStore) -> None:
    level = here(room)
    with House(room.house.owner, stripe_url, secret_store) as other:
        stranger = room.door.staff("owner", organization_id=other.organization_id)
        before = room.door.rows_of_all_tables()
        for path in ("stock", "low-stock"):
            route = f"GET /v1/ops/warehouses/{{warehouse_id}}/{path}"
            assert room.door.ask(route, who=stranger, warehouse_id=level["warehouse_id"]).status == 404
        route = "GET /v1/ops/warehouses/{warehouse_id}/stock/{variant_id}/movements"
        assert room.door.ask(route, who=stranger, **level).status == 404
        sku = {"sku": "TEE"}
        assert room.door.ask("GET /v1/ops/stock/availability", who=stranger, query=sku).status == 404
        for route, body in (
            ("POST /v1/ops/stock/receipts", room.lines(1, "TEE", "EWR")),
            ("POST /v1/ops/stock/adjustments", room.lines(1, "TEE", "EWR") | {"reason": "counted"}),
            ("POST /v1/ops/stock/safety-stock", {**level, "safety_stock": 1}),
        ):
            assert room.door.ask(route, body, who=stranger).status == 404
        assert room.door.rows_of_all_tables() == before


def test_the_schemas_are_exactly_what_is_answered(room: StockRoom) -> None:
    same(stock_views.StockChangeAnswer, room.receive(1).body)
    same(stock_views.WarehouseList, room.ask("GET /v1/ops/warehouses").body)
    opened = room.ask("POST /v1/ops/warehouses", {**WAREHOUSE, "code": "NWK"})
    same(stock_views.WarehouseAnswer, opened.body)
    assert UUID(opened.body["warehouse"]["id"]).version == 7
    level = here(room)
    same(
        stock_views.StockLevelPage,
        room.ask("GET /v1/ops/warehouses/{warehouse_id}/stock", warehouse_id=level["warehouse_id"]).body,
    )
    same(stock_views.StockLevelAnswer, room.ask("POST /v1/ops/stock/safety-stock", {**level, "safety_stock": 1}).body)
    same(stock_views.Availability, room.ask("GET /v1/ops/stock/availability", query={"sku": "TEE"}).body)
    route = "GET /v1/ops/warehouses/{warehouse_id}/stock/{variant_id}/movements"
    same(stock_views.StockMovementPage, room.ask(route, **level).body)
