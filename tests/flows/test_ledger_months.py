"""A month of the ledger that is dropped leaves the balance of every level, and the ledger replays from there."""

import pytest

from holdfast.flows.operations import keep_house as flow
from holdfast.flows.operations.keep_house import keep_house
from holdfast.flows.stock.check_ledger import check_ledger
from tests.database.acting import connected
from tests.flows.actions import ordered
from tests.house import House

LEDGER = "FROM inventory.stock_movements m JOIN inventory.warehouses w ON w.id = m.warehouse_id"


@pytest.fixture
def ledger(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """Three months of sales of two levels, and a level that never moves again; a month is kept for 60 days."""
    monkeypatch.setattr(flow, "MOVEMENTS_RETENTION_DAYS", 60)
    house.has_forged_stock = True  # the tests' own replay knows no opening balances, so check_ledger is used
    house.sql("SELECT operations.make_partitions(CAST(:today AS date), 7)", today=house.clock.now.date())
    house.add_variant("IDLE", stock=7)
    house.add_variant("TEE", stock={"EWR": 20, "RNO": 20})
    for _ in range(3):
        ordered(house, {"TEE": 2})
        house.clock.advance(days=31)
    return house


def drop(house: House) -> int:
    return keep_house(house.system, house.clock, lambda: 60.0).months_dropped


def differences(house: House, *, whole: bool = True) -> int:
    checked = check_ledger(house.system, house.clock, lambda: 10.0, whole=whole)
    assert checked.finished
    return checked.differences


def opening(house: House) -> list[tuple[str, int, int]]:
    rows = house.rows(
        f"SELECT w.code, m.on_hand_after, m.reserved_after {LEDGER} WHERE m.reference_type = 'opening_balance'"
        " AND m.quantity = 0 AND m.type = 'adjustment' ORDER BY w.code, m.on_hand_after"
    )
    return [tuple(row.values()) for row in rows]


def months(house: House) -> int:
    return int(house.value("SELECT count(DISTINCT tableoid) FROM inventory.stock_movements"))


def test_a_month_that_goes_leaves_an_opening_balance_of_every_level(ledger: House) -> None:
    before = ledger.value("SELECT count(*) FROM inventory.stock_movements")
    assert opening(ledger) == []
    assert drop(ledger) >= 1
    left = ledger.value("SELECT count(*) FROM inventory.stock_movements")
    assert left < before
    assert opening(ledger) == [("EWR", 7, 0), ("EWR", 20, 0), ("RNO", 16, 0)]
    assert differences(ledger) == differences(ledger, whole=False) == 0
    assert drop(ledger) == 0
    assert ledger.failures() == []


def test_the_balance_is_carried_from_month_to_month_and_stock_moves_on(ledger: House) -> None:
    for _ in range(3):
        ledger.sql("SELECT operations.make_partitions(CAST(:today AS date), 3)", today=ledger.clock.now.date())
        ordered(ledger, {"TEE": 1})
        drop(ledger)
        assert differences(ledger) == 0
        assert len(opening(ledger)) == 3
        ledger.clock.advance(days=31)
    ledger.clock.advance(days=90)
    ledger.sql("SELECT operations.make_partitions(CAST(:today AS date), 1)", today=ledger.clock.now.date())
    drop(ledger)
    assert months(ledger) == 1  # nothing but balances is left
    assert opening(ledger) == [("EWR", 7, 0), ("EWR", 20, 0), ("RNO", 11, 0)]
    ordered(ledger, {"TEE": 1})
    assert differences(ledger) == 0
    assert ledger.value("SELECT count(*) FROM inventory.stock_movements WHERE reference_type <> 'opening_balance'") == 2


@pytest.mark.parametrize(
    "change",
    [
        "inventory.stock_levels SET on_hand = on_hand + 1 WHERE reserved = 0 AND on_hand = 7",
        "inventory.stock_movements SET on_hand_before = 9, on_hand_after = 9 WHERE quantity = 0 AND on_hand_after = 16",
    ],
    ids=["a level", "a balance"],
)
def test_what_does_not_replay_from_its_balance_is_found(ledger: House, change: str) -> None:
    drop(ledger)
    ledger.sql(f"UPDATE {change}")
    assert differences(ledger) == 1


def test_a_month_that_somebody_writes_into_waits_for_the_next_run(ledger: House) -> None:
    with connected(ledger.owner) as writer:
        writer.run("BEGIN")
        writer.run("UPDATE inventory.stock_movements SET performed_by = performed_by")
        assert drop(ledger) == 0
        writer.run("ROLLBACK")
    assert opening(ledger) == []
    assert drop(ledger) >= 1
    assert differences(ledger) == 0


def test_the_last_month_stays_however_old_it_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.add_variant(stock=5)
    house.sql(
        "SELECT inventory.drop_month_of_movements(CAST(:before AS date), :now)",
        before=house.clock.now.date(),
        now=house.clock(),
    )
    monkeypatch.setattr(flow, "MOVEMENTS_RETENTION_DAYS", -10_000)
    house.has_forged_stock = True
    drop(house)
    assert differences(house) == 0
    assert house.value("SELECT count(*) FROM pg_inherits WHERE inhparent = 'inventory.stock_movements'::regclass") == 2
