"""Bulk import: staged beside the live rows and swapped in at once, with the same result however often it runs."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from holdfast.addresses.postal_code import AddressKey
from holdfast.addresses.shipped_codes import SHIPPED_SOURCE, SHIPPED_VERSION, shipped_lines
from holdfast.flows.addresses import import_geocodes as importing
from holdfast.flows.addresses.import_geocodes import Imported, import_geocodes, import_shipped_geocodes
from holdfast.flows.checkout.planning import read_facts
from holdfast.flows.operations.keep_house import keep_house
from tests.house import House

HEADER = "country,postal_code,latitude,longitude"


def bring_in(house: House, *rows: str, version: str = "1") -> Imported:
    return import_geocodes(house.system, [HEADER, *rows], house.clock, data_source="test", dataset_version=version)


def codes(house: House) -> dict[str, tuple[float, float]]:
    rows = house.rows("SELECT postal_code, latitude, longitude FROM addresses.geocode_reference WHERE country = 'DE'")
    return {row["postal_code"]: (row["latitude"], row["longitude"]) for row in rows}


def staged(house: House) -> int:
    return int(house.value("SELECT count(*) FROM addresses.geocode_import_staging"))


def test_rows_are_added_changed_or_left_alone_by_country_and_postal_code_and_counted(house: House) -> None:
    first = bring_in(house, "DE,10115,52.5,13.4", "DE,20095,53.5,10")
    assert (first.rows, first.added, first.changed, first.unchanged) == (2, 2, 0, 0)
    second = bring_in(house, "DE,20095,53.6,10", "DE,10115,52.5,13.4", "DE,80331,48.1,11.6")
    assert (second.rows, second.added, second.changed, second.unchanged) == (3, 1, 1, 1)
    assert codes(house) == {"10115": (52.5, 13.4), "20095": (53.6, 10), "80331": (48.1, 11.6)}
    assert staged(house) == 0


def test_a_code_the_import_does_not_name_stays(house: House) -> None:
    bring_in(house, "DE,10115,52.5,13.4")
    bring_in(house, "DE,20095,53.5,10")
    assert set(codes(house)) == {"10115", "20095"}


def test_of_a_code_named_twice_the_later_line_counts_however_it_is_written(house: House) -> None:
    told = bring_in(house, "DE,10115,1,1", "de, 10-115 ,52.5,13.4")
    assert (told.rows, told.added, told.repeated) == (2, 1, 1)
    assert codes(house) == {"10115": (52.5, 13.4)}


def test_bad_rows_are_told_and_stop_nothing(house: House) -> None:
    told = bring_in(house, "DE,10115,north,13.4", "DE,20095,53.5,10", "", "D,1,2,3")
    assert (told.rows, told.bad, told.added) == (3, 2, 1)
    assert [row.line for row in told.bad_rows] == [2, 5]
    assert "latitude is not a number" in told.bad_rows[0].problem
    assert set(codes(house)) == {"20095"}


def test_of_very_many_bad_rows_a_hundred_are_told_and_all_are_counted(house: House) -> None:
    told = bring_in(house, *["bad"] * 250, "DE,20095,53.5,10")
    assert (told.bad, len(told.bad_rows), told.added) == (250, 100, 1)


def test_an_import_of_nothing_changes_nothing(house: House) -> None:
    bring_in(house, "DE,10115,52.5,13.4")
    assert bring_in(house) == Imported()
    assert set(codes(house)) == {"10115"}


def test_forty_two_thousand_real_codes_import_in_seconds_twice_with_the_same_result(house: House) -> None:
    before = house.value("SELECT count(*) FROM addresses.geocode_reference")
    begin = time.monotonic()
    first = import_shipped_geocodes(house.system, house.clock)
    took = time.monotonic() - begin
    assert first is not None
    assert first.rows == 41_917
    assert first.added == 41_917 - before
    assert took < 30, "seconds; about two on an idle machine"
    digest = "SELECT md5(string_agg(r::text, '|' ORDER BY country, postal_code)) FROM addresses.geocode_reference r"
    once = house.value(digest)
    house.clock.advance(days=1)
    again = import_geocodes(
        house.system, shipped_lines(), house.clock, data_source=SHIPPED_SOURCE, dataset_version=SHIPPED_VERSION
    )
    assert (again.added, again.changed, again.unchanged) == (0, 0, 41_917)
    assert house.value(digest) == once
    assert import_shipped_geocodes(house.system, house.clock) is None, "they are there"


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "STAGING_BATCH_MAX_ROWS", 50)


def test_an_import_that_dies_half_way_changes_nothing_and_its_rows_go_with_the_housekeeping(
    house: House, small_batches: None
) -> None:
    bring_in(house, "DE,10115,52.5,13.4")

    def lines() -> Iterator[str]:
        yield HEADER
        for number in range(120):
            yield f"DE,{number:05d},50,10"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_geocodes(house.system, lines(), house.clock, data_source="test", dataset_version="2")
    assert set(codes(house)) == {"10115"}
    assert staged(house) == 100
    keep_house(house.system, house.clock, lambda: 60.0)
    assert staged(house) == 100, "it may still be under way"
    kept = keep_house(house.system, lambda: house.clock() + timedelta(days=1, minutes=1), lambda: 60.0)
    assert kept.purged["geocode_import_staging"] == 100


def test_a_refresh_under_load_never_answers_unknown_for_a_known_code_nor_mixes_two_versions(
    house: House, small_batches: None
) -> None:
    """Readers look codes up while the data is replaced again and again; every statement sees one whole version."""
    known = [f"{number:05d}" for number in range(1_000)]

    def refresh(version: int) -> Imported:
        rows = [f"DE,{code},{version},{version}" for code in known]
        return bring_in(house, *rows, version=str(version))

    refresh(1)
    done = threading.Event()
    seen: list[set[float]] = []
    problems: list[str] = []

    def read_all() -> None:
        while not done.is_set():
            with house.runtime.database.transaction(house.organization_id, now=house.clock()) as transaction:
                rows = transaction.rows("SELECT latitude FROM addresses.geocode_reference WHERE country = 'DE'")
            if len(rows) != len(known) or len({row[0] for row in rows}) != 1:
                problems.append(f"{len(rows)} rows of versions { ({row[0] for row in rows}) }")
            seen.append({row[0] for row in rows})

    def look_up(codes_of_thread: list[str]) -> Callable[[], None]:
        def work() -> None:
            while not done.is_set():
                for code in codes_of_thread:
                    with house.runtime.database.transaction(house.organization_id, now=house.clock()) as transaction:
                        key = AddressKey("DE", code, "0" * 64)
                        place = read_facts(transaction, house.customer, (), address=key)["place"]
                    if place is None:
                        problems.append(f"{code} was unknown")
                    if done.is_set():
                        return

        return work

    threads = [threading.Thread(target=work) for work in (read_all, look_up(known[::7]), look_up(known[3::11]))]
    for thread in threads:
        thread.start()
    try:
        for version in range(2, 8):
            assert refresh(version).changed == len(known)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert problems == []
    assert len({next(iter(versions)) for versions in seen}) > 1, "the readers saw the data change"


def test_two_imports_at_once_end_as_if_one_had_come_after_the_other(house: House, small_batches: None) -> None:
    rows = [f"DE,{number:05d}" for number in range(400)]
    jobs = [
        threading.Thread(
            target=bring_in, args=(house, *(f"{row},{n},{n}" for row in order)), kwargs={"version": str(n)}
        )
        for n, order in ((1, rows), (2, rows[::-1]))
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert len(codes(house)) == 400
    assert set(codes(house).values()) in ({(1, 1)}, {(2, 2)})
    assert staged(house) == 0
