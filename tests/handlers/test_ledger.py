"""The stock ledger replays to the present state; if it does not, a person is told and corrects it on the record."""

from datetime import timedelta

import pytest

from holdfast.flows.stock.check_ledger import LedgerCheck, check_ledger
from holdfast.web import stock_views
from tests.handlers.door import Door, checkout_body
from tests.handlers.stock_room import SAMPLE_VARIANT, SAMPLE_WAREHOUSE, StockRoom
from tests.handlers.test_openapi import same


@pytest.fixture
def room(door: Door) -> StockRoom:
    door.house.add_variant(stock=10)
    return StockRoom(door)


def spoil(room: StockRoom, change: str) -> None:
    room.house.has_forged_stock = True
    room.house.sql(f"UPDATE inventory.stock_levels SET {change}")


def check(room: StockRoom, *, whole: bool) -> LedgerCheck:
    return check_ledger(room.house.system, room.house.clock, lambda: 10.0, whole=whole)


@pytest.mark.parametrize("whole", [False, True])
def test_a_ledger_that_adds_up_is_left_alone(room: StockRoom, whole: bool) -> None:
    room.door.ask("POST /v1/checkout", checkout_body(2))
    room.adjust(3)
    assert check(room, whole=whole) == LedgerCheck(1, 0, True)
    assert room.house.failures() == []


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("change", ["on_hand = on_hand + 1", "on_hand = 20, reserved = 7", "version = version + 1"])
def test_a_difference_is_reported_once_with_its_orders_and_mended_on_the_record(
    room: StockRoom, change: str, whole: bool
) -> None:
    order = room.door.ask("POST /v1/checkout", checkout_body(2)).body["order"]
    spoil(room, change)
    for _ in range(2):
        assert check(room, whole=whole).differences == 1
    [failure] = room.house.rows("SELECT payload FROM operations.process_failures WHERE process_name = 'StockLedger'")
    assert failure["payload"]["orders"] == [order["id"]]
    ids = {SAMPLE_WAREHOUSE: str(room.house.warehouses["EWR"]), SAMPLE_VARIANT: str(room.house.variants["TEE"])}
    mended = room.sample("stock/compensate", **ids)
    assert mended.status == 201, mended.raw
    same(stock_views.LedgerCompensationAnswer, mended.body)
    assert room.sample("stock/compensate", **ids).raw == mended.raw
    assert check(room, whole=True).differences == 0
    reasons = room.house.rows(
        "SELECT reason, performed_by FROM inventory.stock_movements WHERE reference_type = 'compensation'"
    )
    assert {tuple(row.values()) for row in reasons} == {("ledger compensation", f"staff:{room.who['sub']}")}
    if "reserved" not in change and "version" not in change:
        assert room.house.violations() == []


def test_what_agrees_is_not_compensated(room: StockRoom) -> None:
    route = "POST /v1/ops/warehouses/{warehouse_id}/stock/{variant_id}/compensate"
    here = {"warehouse_id": str(room.house.warehouses["EWR"]), "variant_id": str(room.house.variants["TEE"])}
    assert room.ask(route, {}, **here).status == 409
    there = here | {"warehouse_id": str(room.house.warehouses["RNO"])}
    assert room.ask(route, {}, **there).status == 404
    assert room.house.violations() == []


def test_movements_that_do_not_join_are_found_by_the_replay(room: StockRoom) -> None:
    room.adjust(3)
    room.adjust(-2)
    room.house.has_forged_stock = True
    room.house.sql(
        "UPDATE inventory.stock_movements SET on_hand_before = 12, on_hand_after = 15 WHERE level_version = 2"
    )
    assert check(room, whole=True).differences == 1
    assert check(room, whole=False).differences == 1
    room.house.clock.now += timedelta(days=3)
    assert check(room, whole=False).differences == 0, "a night looks at two days"
    assert check(room, whole=True).differences == 1


def test_the_tick_checks_every_organization(room: StockRoom) -> None:
    spoil(room, "on_hand = on_hand + 1")
    done = room.door.invoke("ledger_check", room.door.sample("ledger_check/tick"))
    assert done == {"organizations": 1, "differences": 1, "finished": True}
    assert room.house.failures() == ["StockLedger"]
