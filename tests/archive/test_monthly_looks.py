"""Monthly checks go on hour by hour until they are done, and are reported late if the month ends first."""

from datetime import datetime

import pytest

from holdfast.flows.archive.prove_cold_storage import ColdProof, prove_cold_storage
from holdfast.flows.archive.scan_archive import full_scan
from holdfast.flows.archive.verify_archive import Verified
from tests.archive.scenes import archive, bucket, cold, delivered, export, parquet, plenty, runs, years_pass
from tests.house import House


def tick(house: House, times: int | None = None) -> Verified:
    """Run one hour's ``archive_verification``, with time for this many steps."""
    house.clock.advance(hours=1)
    return full_scan(house.system, house.clock, plenty if times is None else runs(times), only_due=True)


def cold_tick(house: House, times: int | None = None) -> ColdProof:
    return prove_cold_storage(house.system, house.clock, plenty if times is None else runs(times), only_due=True)


def first_of_next_month(house: House) -> None:
    now: datetime = house.clock()
    following = now.replace(year=now.year + now.month // 12, month=now.month % 12 + 1, day=1, hour=1)
    house.clock.advance(seconds=(following - now).total_seconds())


@pytest.fixture
def filed(house: House) -> House:
    """Three batches of one order each."""
    delivered(house, 3)
    years_pass(house)
    archive(house, batch_max_orders=1)
    first_of_next_month(house)
    return house


def looks(house: House) -> list[tuple[int, bool]]:
    rows = house.rows(
        "SELECT checked, is_complete FROM archive.reconciliation_log WHERE type = 'full_scan' ORDER BY id"
    )
    return [(row["checked"], row["is_complete"]) for row in rows]


def test_a_scan_goes_on_every_hour_and_then_rests_until_the_next_month(filed: House) -> None:
    assert [tick(filed, 2).tally.checked, tick(filed, 2).tally.checked, tick(filed).tally.checked] == [1, 1, 1]
    assert looks(filed) == [(1, False), (1, False), (1, True)]
    again = tick(filed)
    assert (again.tally.checked, again.finished, again.late) == (0, True, 0)
    assert len(looks(filed)) == 3
    first_of_next_month(filed)
    assert tick(filed).tally.checked == 3


def test_a_month_that_ended_without_a_whole_scan_is_told_of_until_it_is_done(filed: House) -> None:
    assert tick(filed, 2).late == 0
    first_of_next_month(filed)
    late = tick(filed, 2)
    assert (late.late, late.finished) == (1, False)
    assert tick(filed).late == 0  # it finishes the month before; the next one begins this month
    assert tick(filed).tally.checked == 3
    assert tick(filed).tally.checked == 0


def test_a_month_in_which_nothing_was_begun_is_told_of(filed: House) -> None:
    tick(filed)
    first_of_next_month(filed)
    assert tick(filed, 0).late == 0
    first_of_next_month(filed)
    assert tick(filed, 0).late == 1
    assert tick(filed).late == 0


def test_the_archive_comes_first_that_was_not_looked_at_the_longest(house: House) -> None:
    house.sql(
        "INSERT INTO tenancy.organizations SELECT (jsonb_populate_record(o, jsonb_build_object("
        " 'id', '01000000-0000-7000-8000-000000000000', 'slug', 'first', 'publishable_key', 'pk_0123456789abcdef'))).*"
        " FROM tenancy.organizations o"
    )
    for archives in (1, 2, 2):
        tick(house, 1)
        seen = house.rows("SELECT DISTINCT organization_id FROM archive.reconciliation_log")
        assert len(seen) == archives
        first_of_next_month(house)
    rows = house.rows("SELECT organization_id FROM archive.reconciliation_log ORDER BY created_at")
    first, second, third = (row["organization_id"] for row in rows)
    assert first == third != second


@pytest.fixture
def frozen(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    cold(house)
    export(house)
    first_of_next_month(house)
    return house


def test_files_are_proven_once_a_month_hour_by_hour(frozen: House) -> None:
    assert cold_tick(frozen, 0).finished is False
    done = cold_tick(frozen)
    assert (done.files, done.finished, done.late_files) == (1, True, 0)
    assert cold_tick(frozen).files == 0
    first_of_next_month(frozen)
    assert cold_tick(frozen).files == 1


def test_files_that_were_not_proven_in_a_whole_month_are_told_of(frozen: House) -> None:
    assert cold_tick(frozen, 0).late_files == 0
    first_of_next_month(frozen)
    assert cold_tick(frozen, 0).late_files == 1
    assert cold_tick(frozen).late_files == 0


def test_a_broken_file_is_read_again_every_hour(frozen: House) -> None:
    key, body = parquet(frozen)
    bucket(frozen).Object(key).put(Body=body[:-1])
    assert [len(cold_tick(frozen).broken) for _ in range(2)] == [1, 1]
    bucket(frozen).Object(key).put(Body=body)
    assert cold_tick(frozen).broken == []
    assert cold_tick(frozen).files == 0
