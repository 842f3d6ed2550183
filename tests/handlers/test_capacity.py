"""What a warehouse can handle in a day: overrides, load, and alerts that come and go."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from holdfast.flows.stock.watch_capacity import watch_capacity
from holdfast.inventory.capacity import AlertStep
from holdfast.secrets.store import SecretStore
from holdfast.web import stock_views
from tests.handlers.door import Door, checkout_body
from tests.handlers.stock_room import SAMPLE_WAREHOUSE, StockRoom
from tests.handlers.test_openapi import same
from tests.house import House

SAMPLE_OVERRIDE = "01930000-0000-7000-8000-0000000000c1"


@pytest.fixture
def room(door: Door) -> StockRoom:
    door.house.add_variant(stock=1_000)
    return StockRoom(door)


def override(room: StockRoom, starts_on: str, ends_on: str, **more: Any) -> dict[str, Any]:
    warehouse_id = str(room.house.warehouses["EWR"])
    return {
        "warehouse_id": warehouse_id,
        "starts_on": starts_on,
        "ends_on": ends_on,
        "hard_capacity_limit": 5,
        "reason": "peak",
    } | more


def today(room: StockRoom) -> str:
    """Return today's date in Newark."""
    sql = "SELECT CAST(CAST(:now AS timestamptz) AT TIME ZONE 'America/New_York' AS date)"
    return str(room.house.value(sql, now=room.house.clock()))


def load(room: StockRoom, orders: int) -> None:
    """Set the load of today in Newark to this number of orders, and delete all other load."""
    room.house.sql("DELETE FROM inventory.warehouse_daily_load")
    room.house.sql(
        "INSERT INTO inventory.warehouse_daily_load (organization_id, warehouse_id, load_date, id, orders)"
        " VALUES (:o, :w, CAST(:d AS date), gen_random_uuid(), :orders)",
        o=room.house.organization_id,
        w=room.house.warehouses["EWR"],
        d=today(room),
        orders=orders,
    )


def limit(room: StockRoom, capacity: int | None) -> None:
    room.house.sql("UPDATE inventory.warehouses SET base_daily_capacity = :c WHERE code = 'EWR'", c=capacity)


def watch(room: StockRoom) -> dict[str, int]:
    done = watch_capacity(room.house.system, room.house.clock, lambda: 10.0)
    return {str(step): times for step, times in done.items() if times}


def alerts(room: StockRoom, **query: str) -> list[str]:
    found = room.ask("GET /v1/ops/capacity/alerts", query=query).body["alerts"]
    return sorted(alert["type"] for alert in found)


def published(room: StockRoom) -> list[str]:
    rows = room.house.rows(
        "SELECT payload ->> 'type' AS type FROM operations.outbox WHERE topic = 'capacity.reached' ORDER BY id"
    )
    return sorted(row["type"] for row in rows)


def test_the_samples_set_change_and_remove_an_override_and_show_the_load(room: StockRoom) -> None:
    ids = {SAMPLE_WAREHOUSE: str(room.house.warehouses["EWR"])}
    made = room.sample("capacity/set", **ids)
    assert made.status == 201
    same(stock_views.CapacityOverrideAnswer, made.body)
    ids[SAMPLE_OVERRIDE] = made.body["override"]["id"]
    assert room.sample("capacity/set", **ids).raw == made.raw
    changed = room.sample("capacity/change", **ids)
    assert (changed.body["override"]["ends_on"], changed.body["override"]["version"]) == ("2030-12-03", 2)
    listed = room.sample("capacity/list", **ids)
    assert [row["id"] for row in listed.body["overrides"]] == [ids[SAMPLE_OVERRIDE]]
    same(stock_views.CapacityOverrideList, listed.body)
    assert room.sample("capacity/remove", **ids).status == 200
    assert room.sample("capacity/list", **ids).body["overrides"] == []
    days = room.sample("capacity_reports/load", **ids)
    assert len(days.body["days"]) == 14
    same(stock_views.CapacityLoad, days.body)
    same(stock_views.CapacityAlertList, room.sample("capacity_reports/alerts", **ids).body)
    actions = room.house.rows(
        "SELECT action FROM operations.audit_log WHERE table_name = 'inventory.capacity_overrides' ORDER BY id"
    )
    assert [row["action"] for row in actions] == ["insert", "update", "delete"]


def test_the_tick_looks_at_every_warehouse(room: StockRoom) -> None:
    limit(room, 1)
    load(room, 1)
    assert room.door.invoke("capacity_watch", room.door.sample("capacity_watch/tick"))["raise"] == 3


@pytest.mark.parametrize(
    ("starts_on", "ends_on", "meets"),
    [
        ("2030-01-10", "2030-01-20", True),
        ("2030-01-20", "2030-01-25", True),
        ("2030-01-01", "2030-01-10", True),
        ("2030-01-12", "2030-01-12", True),
        ("2030-01-21", "2030-01-25", False),
    ],
)
def test_an_override_that_meets_another_is_refused_by_its_name(
    room: StockRoom, starts_on: str, ends_on: str, meets: bool
) -> None:
    route = "POST /v1/ops/capacity-overrides"
    first = room.ask(route, override(room, "2030-01-10", "2030-01-20")).body["override"]
    second = room.ask(route, override(room, starts_on, ends_on), key="o2")
    assert second.status == (409 if meets else 201)
    if meets:
        assert second.body["conflicting_override"] == first
        assert room.ask(route, override(room, "2031-01-01", "2031-01-01"), key="o2").status == 201, "no claim is left"
    other = override(room, starts_on, ends_on, warehouse_id=str(room.house.warehouses["RNO"]))
    assert room.ask(route, other).status == 201, "another warehouse has its own"


def test_a_changed_override_meets_others_but_not_itself(room: StockRoom) -> None:
    route, change = "POST /v1/ops/capacity-overrides", "POST /v1/ops/capacity-overrides/{override_id}"
    first = room.ask(route, override(room, "2030-01-10", "2030-01-20")).body["override"]
    second = room.ask(route, override(room, "2030-02-10", "2030-02-20")).body["override"]
    longer = override(room, "2030-01-12", "2030-01-31", version=1)
    del longer["warehouse_id"]
    assert room.ask(change, longer, override_id=first["id"]).body["override"]["version"] == 2
    refused = room.ask(change, {**longer, "version": 2, "ends_on": "2030-02-10"}, override_id=first["id"])
    assert (refused.status, refused.body["conflicting_override"]["id"]) == (409, second["id"])
    stale = room.ask(change, longer, override_id=first["id"])
    assert (stale.status, stale.body["version"]) == (409, 2)
    assert room.ask(change, longer, override_id=str(uuid4())).status == 404
    remove = f"{change}/remove"
    assert room.ask(remove, {"version": 1}, override_id=first["id"]).status == 409
    assert room.ask(remove, {"version": 2}, override_id=first["id"]).status == 200
    assert room.ask(remove, {"version": 2}, override_id=first["id"]).status == 404


@pytest.mark.parametrize(
    "spoil",
    [
        {"ends_on": "2029-12-31"},
        {"hard_capacity_limit": 0},
        {"hard_capacity_limit": None},
        {"capacity_multiplier": "1.5"},
        {"capacity_multiplier": "0", "hard_capacity_limit": None},
        {"capacity_multiplier": "1.0001", "hard_capacity_limit": None},
        {"starts_on": "9999-12-31", "ends_on": "9999-12-31"},
        {"starts_on": "yesterday"},
    ],
)
def test_an_override_that_makes_no_sense_is_refused(room: StockRoom, spoil: dict[str, Any]) -> None:
    sent = override(room, "2030-01-01", "2030-01-02") | spoil
    assert room.ask("POST /v1/ops/capacity-overrides", sent).status == 422


def test_the_load_knows_the_override_of_each_day_and_the_warehouses_own_today(room: StockRoom) -> None:
    limit(room, 100)
    load(room, 80)
    day = today(room)
    sent = override(room, day, day, capacity_multiplier="0.5", hard_capacity_limit=None)
    assert room.ask("POST /v1/ops/capacity-overrides", sent).status == 201
    days = room.ask("GET /v1/ops/capacity/load", query={"starts_on": day, "days": "2"}).body["days"]
    newark = [row for row in days if row["warehouse"] == "EWR"]
    assert [(row["orders"], row["effective_capacity"], row["utilization"]) for row in newark] == [
        (80, 50, 1.6),
        (0, 100, 0.0),
    ]
    assert [row["utilization"] for row in days if row["warehouse"] == "RNO"] == [None, None]
    assert room.ask("GET /v1/ops/capacity/load", query={"starts_on": "9999-12-31"}).status == 422


def test_overrides_that_have_ended_are_shown_on_request(room: StockRoom) -> None:
    room.ask("POST /v1/ops/capacity-overrides", override(room, "2020-01-01", "2020-01-02"))
    route, path = "GET /v1/ops/warehouses/{warehouse_id}/capacity-overrides", room.house.warehouses["EWR"]
    assert room.ask(route, warehouse_id=str(path)).body["overrides"] == []
    found = room.ask(route, query={"ended_since": "2020-01-01"}, warehouse_id=str(path)).body["overrides"]
    assert [row["ends_on"] for row in found] == ["2020-01-02"]
    assert room.ask(route, warehouse_id=str(uuid4())).status == 404


def test_alerts_rise_with_the_load_and_resolve_by_themselves(room: StockRoom) -> None:
    limit(room, 100)
    load(room, 79)
    assert watch(room) == {}
    for orders, raised, open_now, told in (
        (80, 1, ["warning"], []),
        (95, 1, ["critical", "warning"], ["critical"]),
        (101, 1, ["critical", "overflow", "warning"], ["critical", "overflow"]),
    ):
        load(room, orders)
        assert watch(room) == {"raise": raised}
        assert watch(room) == {}, "once"
        assert (alerts(room), published(room)) == (open_now, told)
    load(room, 94)
    assert watch(room) == {"resolve": 2}
    assert alerts(room) == ["warning"]
    limit(room, None)
    assert watch(room) == {"resolve": 1}
    assert alerts(room) == []
    assert alerts(room, warehouse_id=str(room.house.warehouses["EWR"])) == ["critical", "overflow", "warning"]


def test_a_level_is_told_once_an_hour_however_often_it_comes_and_goes(room: StockRoom) -> None:
    limit(room, 100)
    for _ in range(5):
        load(room, 96)
        watch(room)
        load(room, 10)
        watch(room)
        room.house.clock.advance(minutes=10)
    assert published(room) == ["critical"]
    assert len(alerts(room, warehouse_id=str(room.house.warehouses["EWR"]))) == 2
    room.house.clock.advance(minutes=20)
    load(room, 96)
    assert watch(room) == {"raise": 2}
    room.house.clock.advance(minutes=59)
    load(room, 97)
    assert watch(room) == {}
    room.house.clock.advance(minutes=1)
    load(room, 97)
    assert watch(room) == {"remind": 2}
    assert published(room) == ["critical"] * 3
    assert alerts(room) == ["critical", "warning"]


def test_a_new_day_begins_empty_without_anybody_resetting_anything(room: StockRoom) -> None:
    limit(room, 2)
    room.door.house.clock.now = room.door.house.clock.now.replace(hour=12)
    load(room, 2)
    assert watch(room) == {"raise": 3}
    room.house.clock.now += timedelta(days=1)
    assert watch(room) == {"resolve": 3}


def test_real_orders_are_what_fills_a_warehouse(room: StockRoom) -> None:
    limit(room, 2)
    for _ in range(2):
        assert room.door.ask("POST /v1/checkout", checkout_body()).status == 201
    assert watch_capacity(room.house.system, room.house.clock, lambda: 10.0)[AlertStep.RAISE] == 3
    assert room.house.violations() == []


def test_another_shops_capacity_is_not_there(room: StockRoom, stripe_url: str, secret_store: SecretStore) -> None:
    route = "POST /v1/ops/capacity-overrides"
    made = room.ask(route, override(room, "2030-01-10", "2030-01-20")).body["override"]
    limit(room, 1)
    load(room, 1)
    watch(room)
    with House(room.house.owner, stripe_url, secret_store) as other:
        room.who = room.door.staff("owner", organization_id=other.organization_id)
        before = room.door.rows_of_all_tables()
        assert room.ask(route, override(room, "2030-03-10", "2030-03-20")).status == 404
        changed = override(room, "2030-01-11", "2030-01-20", version=1)
        del changed["warehouse_id"]
        assert room.ask(f"{route}/{{override_id}}", changed, override_id=made["id"]).status == 404
        assert room.ask(f"{route}/{{override_id}}/remove", {"version": 1}, override_id=made["id"]).status == 404
        assert room.ask("GET /v1/ops/capacity/alerts").body["alerts"] == []
        assert {row["orders"] for row in room.ask("GET /v1/ops/capacity/load").body["days"]} == {0}
        assert room.door.rows_of_all_tables() == before
