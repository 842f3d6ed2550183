"""A held order is neither archived, purged, exported nor erased; who held it and why is on record."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from holdfast.database.transaction import Database, Transaction
from holdfast.flows.archive import erase_customer as erasure
from holdfast.flows.archive import export_to_cold_storage as exporting
from holdfast.flows.archive.erase_customer import erase_customer
from holdfast.flows.archive.hold_orders import list_holds, place_hold, release_hold
from holdfast.values.errors import Conflict, Forbidden, NotFound
from tests.archive.scenes import archive, cold, delivered, documents, export, prove, purge, scan, verify, years_pass
from tests.flows.actions import staff
from tests.house import House

REASON = "case 7"


def hold(house: House, reference: str, reason: str = REASON) -> dict[str, Any]:
    return place_hold(house.runtime, staff(house, "admin"), reference, reason=reason, now=house.clock())


def release(house: House, hold_id: str) -> dict[str, Any]:
    return release_hold(
        house.runtime, staff(house, "admin"), UUID(hold_id), reason="the case is over", now=house.clock()
    )


def erase(house: House) -> dict[str, Any]:
    customer_id = house.value("SELECT id FROM tenancy.customers")
    return erase_customer(house.runtime, staff(house, "admin"), customer_id, reason="asked for", now=house.clock())


def test_a_hold_is_placed_once_for_a_reason_and_stays_on_record(house: House) -> None:
    [order_id] = delivered(house)
    first = hold(house, house.order(order_id)["order_number"])
    assert (first["order_id"], first["placed_by"][:6], first["reason"]) == (order_id, "staff:", REASON)
    assert hold(house, order_id) == first
    house.clock.advance(minutes=1)
    other = hold(house, order_id, "case 8")
    released = release(house, first["id"])
    assert (released["released_by"][:6], released["release_reason"]) == ("staff:", "the case is over")
    house.clock.advance(days=1)
    assert release(house, first["id"]) == released

    def listed(*, only_open: bool) -> list[str]:
        page = {"only_open": only_open, "before": None, "limit": 10, "now": house.clock()}
        return [held["id"] for held in list_holds(house.runtime, staff(house), **page)["holds"]]

    assert listed(only_open=True) == [other["id"]]
    assert listed(only_open=False) == [other["id"], first["id"]]


def test_an_order_that_is_held_is_not_archived_until_every_hold_is_released(house: House) -> None:
    [order_id, _] = delivered(house, 2)
    holds = [hold(house, order_id), hold(house, order_id, "case 8")]
    years_pass(house)
    assert archive(house).orders == 1
    release(house, holds[0]["id"])
    assert archive(house).orders == 0
    release(house, holds[1]["id"])
    assert archive(house).orders == 1


def test_an_archived_order_that_is_held_is_not_purged(house: House) -> None:
    [order_id, _] = delivered(house, 2)
    years_pass(house)
    archive(house)
    verify(house)
    held = hold(house, order_id)
    house.clock.advance(days=8)
    assert purge(house).orders == 1
    assert house.value("SELECT string_agg(id::text, ',') FROM orders.orders") == order_id
    assert scan(house).tally.findings == []
    release(house, held["id"])
    assert purge(house).orders == 1


def test_a_month_with_an_order_that_is_held_is_not_exported(house: House) -> None:
    [order_id, *_] = cold(house)
    held = hold(house, order_id)
    assert house.value("SELECT count(*) FROM archive.archive_index WHERE legal_hold") == 1
    assert (export(house).files, export(house).months_waiting) == (0, 1)
    release(house, held["id"])
    assert house.value("SELECT count(*) FROM archive.archive_index WHERE legal_hold") == 0
    assert export(house).months_dropped == 1
    again = hold(house, order_id)  # in cold storage it stays readable, and can be held
    assert house.order(order_id)["id"] == again["order_id"] == order_id


def test_a_lost_entry_that_a_reader_brings_back_has_its_hold(house: House) -> None:
    [order_id, *_] = cold(house)
    hold(house, order_id)
    house.sql("DELETE FROM archive.archive_index WHERE order_id = :id", id=UUID(order_id))
    assert house.order(order_id)["id"] == order_id
    assert house.value("SELECT order_id::text FROM archive.archive_index WHERE legal_hold") == order_id
    assert (export(house).files, export(house).months_waiting) == (0, 1)


def test_a_hold_that_comes_while_its_month_is_written_keeps_the_order_here(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    [order_id, *_] = cold(house)
    real, holds = exporting.prove_file, list[dict[str, Any]]()

    def prove_file(*arguments: Any) -> Any:
        holds.append(hold(house, order_id))
        return real(*arguments)

    monkeypatch.setattr(exporting, "prove_file", prove_file)
    assert export(house).months_dropped == 0
    assert house.rows("SELECT order_id::text, location FROM archive.archive_index WHERE legal_hold") == [
        {"order_id": order_id, "location": "archived"}
    ]
    assert house.order(order_id)["id"] == order_id
    monkeypatch.setattr(exporting, "prove_file", real)
    release(house, holds[0]["id"])
    assert export(house).months_dropped == 1
    assert documents(house) == {}
    assert house.order(order_id)["id"] == order_id
    assert prove(house).break_position is None


def test_a_hold_that_comes_while_its_order_is_claimed_is_not_missed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archival's snapshot does not show the hold, yet it must not archive the order as if there were none."""
    [order_id] = delivered(house)
    years_pass(house)
    real, holds = Database.transact, list[dict[str, Any]]()

    def transact(self: Database, organization_id: UUID, work: Callable[[Transaction], Any], **how: Any) -> Any:
        def late(transaction: Transaction) -> Any:
            if how.get("one_snapshot") and not holds:
                transaction.value("SELECT count(*) FROM orders.orders")  # this takes the snapshot
                holds.append(hold(house, order_id))
            return work(transaction)

        return real(self, organization_id, late, **how)

    monkeypatch.setattr(Database, "transact", transact)
    assert archive(house).orders == 0
    assert len(holds) == 1
    assert house.value("SELECT count(*) FROM archive.archive_index") == 0


@pytest.mark.parametrize("tier", ["active", "archived"])
def test_nobody_is_erased_while_an_order_of_theirs_is_held(house: House, tier: str) -> None:
    [order_id] = delivered(house)
    if tier == "archived":
        years_pass(house)
        archive(house)
    held = hold(house, order_id)
    with pytest.raises(Conflict, match="legal hold"):
        erase(house)
    assert house.order(order_id)["email"] == "ada@example.com"
    release(house, held["id"])
    assert erase(house)["reason"] == "asked for"


@pytest.mark.parametrize("tier", ["active", "archived"])
def test_a_hold_that_comes_right_before_an_erasure_is_seen_by_the_database(
    house: House, monkeypatch: pytest.MonkeyPatch, tier: str
) -> None:
    [order_id] = delivered(house)
    if tier == "archived":
        years_pass(house)
        archive(house)
    real = erasure.is_held

    def is_held(transaction: Transaction, customer_id: UUID) -> bool:
        found = real(transaction, customer_id)
        hold(house, order_id)
        return found

    monkeypatch.setattr(erasure, "is_held", is_held)
    with pytest.raises(Conflict):
        erase(house)
    assert house.order(order_id)["email"] == "ada@example.com"


def test_it_takes_an_admin_and_an_order(house: House) -> None:
    [order_id] = delivered(house)
    with pytest.raises(Forbidden):
        place_hold(house.runtime, staff(house, "manager"), order_id, reason=REASON, now=house.clock())
    with pytest.raises(NotFound):
        hold(house, "HF-00ZZ-0000-0000-0000")
    with pytest.raises(NotFound):
        release(house, str(UUID(int=7)))
    with pytest.raises(Forbidden):
        list_holds(house.runtime, staff(house, "member"), only_open=True, before=None, limit=1, now=house.clock())
