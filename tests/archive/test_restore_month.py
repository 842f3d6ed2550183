"""A month is restored from cold storage: proven, run by run, and kept for as long as was asked for."""

from datetime import date

import pytest

from holdfast.flows.archive import export_to_cold_storage
from holdfast.flows.archive.request_month import list_months
from holdfast.storage import order_files
from holdfast.values.errors import Forbidden, NotFound
from tests.archive.scenes import (
    asked_for,
    bring_months,
    bucket,
    cold,
    documents,
    export,
    parquet,
    prove,
    prove_cold,
    runs,
    scan,
)
from tests.flows.actions import at_once, staff
from tests.house import House


@pytest.fixture
def filed(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """Five orders that make one file with three row groups."""
    monkeypatch.setattr(order_files, "ROW_GROUP_ORDERS", 2)
    cold(house, 5)
    return house


def state_of(house: House) -> tuple[str, int, int, int]:
    [restore] = list_months(house.runtime, staff(house), before=None, limit=10, now=house.clock())["restores"]
    return restore["state"], restore["orders"], restore["row_groups_done"], restore["row_groups"]


def test_a_month_comes_back_as_it_was_sealed(filed: House) -> None:
    sealed = documents(filed)
    export(filed)
    assert documents(filed) == {}
    asked = asked_for(filed)
    assert state_of(filed) == ("running", 0, 0, 3)
    assert (bring_months(filed).orders, bring_months(filed).orders) == (5, 0)
    assert state_of(filed) == ("done", 5, 3, 3)
    assert documents(filed) == sealed
    assert filed.value("SELECT count(*) FROM archive.archive_index WHERE location = 'archived'") == 5
    assert scan(filed).tally.findings == []
    assert prove(filed).break_position is None
    look = filed.rows("SELECT checked, details FROM archive.reconciliation_log WHERE type = 'restore'")
    assert [(row["checked"], row["details"]["why"], row["details"]["month"]) for row in look] == [
        (5, "an audit", asked["month"])
    ]


def test_a_month_is_asked_for_once_at_a_time(filed: House) -> None:
    export(filed)
    first = asked_for(filed)
    assert asked_for(filed) == first
    bring_months(filed)
    again = asked_for(filed)
    assert again["id"] != first["id"]
    assert bring_months(filed).orders == 0


def test_a_run_without_time_goes_on_where_it_ended(filed: House) -> None:
    sealed = documents(filed)
    export(filed)
    asked_for(filed)
    came = [(bring_months(filed, runs(1)).orders, state_of(filed)) for _ in range(4)]
    assert came == [
        (2, ("running", 2, 1, 3)),
        (2, ("running", 4, 2, 3)),
        (1, ("done", 5, 3, 3)),
        (0, ("done", 5, 3, 3)),
    ]
    assert documents(filed) == sealed


def test_two_runs_at_once_bring_every_order_once(filed: House) -> None:
    sealed = documents(filed)
    export(filed)
    asked_for(filed)

    def work() -> int:
        return bring_months(filed).orders

    assert sum(at_once(work, work)) == 5
    assert documents(filed) == sealed
    assert state_of(filed) == ("done", 5, 3, 3)


def test_whoever_takes_over_from_a_run_that_was_thought_dead_doubles_nothing(filed: House) -> None:
    sealed = documents(filed)
    export(filed)
    asked_for(filed)
    steps = iter(range(10))

    def slow() -> float:
        if next(steps) == 1:
            filed.clock.advance(minutes=21)
            assert bring_months(filed).orders == 3
        return 600.0

    assert bring_months(filed, slow).orders == 2
    assert documents(filed) == sealed
    assert state_of(filed) == ("done", 5, 3, 3)


def test_a_month_stays_as_long_as_was_asked_for(filed: House) -> None:
    export(filed)
    asked_for(filed, stays_days=40)
    bring_months(filed)
    filed.clock.advance(days=39)
    assert (export(filed).files, len(documents(filed))) == (0, 5)
    filed.clock.advance(days=2)
    assert (export(filed).files, len(documents(filed))) == (1, 0)


def test_a_file_that_is_not_what_it_was_stops_the_month_and_calls_people(filed: House) -> None:
    export(filed)
    key, body = parquet(filed)
    asked_for(filed)
    flipped = bytearray(body)
    flipped[len(body) // 2] ^= 1
    bucket(filed).Object(key).put(Body=bytes(flipped))
    restored = bring_months(filed)
    assert (restored.orders, restored.failed_months) == (0, 1)
    assert documents(filed) == {}
    assert filed.failures() == ["ColdExport"]
    [restore] = list_months(filed.runtime, staff(filed), before=None, limit=1, now=filed.clock())["restores"]
    assert (restore["state"], restore["failure"]) == ("failed", f"{key}: the file is not what it was")
    bucket(filed).Object(key).put(Body=body)  # the version before, made current again
    asked_for(filed)
    assert bring_months(filed).orders == 5


def test_a_document_that_is_not_the_one_that_was_sealed_is_not_brought_back(filed: House) -> None:
    export(filed)
    asked_for(filed)
    filed.sql("UPDATE archive.batch_leaves SET checksum = sha256('other')")
    assert (bring_months(filed).failed_months, documents(filed)) == (1, {})
    assert filed.failures() == ["ColdExport"]


def test_only_managers_ask_and_only_for_what_is_there(filed: House) -> None:
    with pytest.raises(NotFound):
        asked_for(filed, date(2001, 5, 1))
    with pytest.raises(Forbidden):
        list_months(filed.runtime, staff(filed, "member"), before=None, limit=1, now=filed.clock())


def test_a_month_of_which_one_file_is_broken_fails_and_names_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file was found broken long before the month was asked for; another file of the month is whole."""
    monkeypatch.setattr(export_to_cold_storage, "FILE_MAX_ORDERS", 2)
    monkeypatch.setattr(export_to_cold_storage, "PAGE_ROWS", 2)
    cold(house, 3)
    assert export(house).files == 2
    key = house.value("SELECT path FROM archive.cold_files ORDER BY id DESC LIMIT 1")
    body = bucket(house).Object(key).get()["Body"].read()
    bucket(house).Object(key).put(Body=body[:-1])
    assert prove_cold(house).broken == [f"{key}: the file is not what it was"]
    asked_for(house)
    assert bring_months(house).failed_months == 1
    [restore] = list_months(house.runtime, staff(house), before=None, limit=1, now=house.clock())["restores"]
    assert (restore["state"], restore["failure"]) == ("failed", f"{key}: the file is not what it was")
    bucket(house).Object(key).put(Body=body)
    asked_for(house)
    bring_months(house)
    assert len(documents(house)) == 3
