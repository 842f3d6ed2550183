"""Months move into Parquet files, provably, and are read there one order at a time."""

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest

from holdfast.flows.archive import export_to_cold_storage as exporting
from holdfast.flows.archive.restore_order import restore_order
from holdfast.flows.operations.keep_house import keep_house
from holdfast.values.errors import Transient
from tests.archive.scenes import (
    archive,
    bucket,
    cold,
    delivered,
    documents,
    export,
    objects,
    parquet,
    plenty,
    prove,
    prove_cold,
    purge,
    put_away,
    scan,
    verify,
    years_pass,
)
from tests.archive.test_legal_holds import hold, release
from tests.house import House


def test_a_month_goes_to_cold_storage_whole_and_its_orders_are_read_there(house: House) -> None:
    order_ids = delivered(house, 3)
    before = [dict(house.order(order_id)) for order_id in order_ids]
    years_pass(house)
    put_away(house)
    assert export(house).files == 0  # not old enough yet
    years_pass(house, 3)
    sealed = documents(house)
    exported = export(house)
    assert (exported.orders, exported.files, exported.months_dropped) == (3, 1, 1)
    assert documents(house) == {}
    assert house.value("SELECT count(*) FROM archive.archive_index WHERE location = 'cold_storage'") == 3
    for order_id, view in zip(order_ids, before, strict=True):
        began = time.monotonic()
        assert {**house.order(order_id), "version": 0} == {**view, "version": 0}
        assert time.monotonic() - began < 1
    assert len(sealed) == 3
    assert export(house).files == 0
    assert scan(house).tally.findings == []
    assert prove(house).break_position is None
    assert prove_cold(house).broken == []


def test_an_order_costs_one_read_of_the_footer_and_one_of_its_row_group(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_ids = cold(house)
    export(house)
    reads: list[str] = []
    reader = house.runtime.archive_bucket
    for name in ("tail", "range"):
        real = getattr(reader, name)
        monkeypatch.setattr(reader, name, lambda *a, n=name, r=real: (reads.append(n), r(*a))[1])
    house.order(order_ids[0])
    assert reads.count("tail") == 1
    assert reads.count("range") <= 1


def test_another_reader_finds_sensible_types_and_the_sums_of_the_manifest(house: House, tmp_path: Any) -> None:
    cold(house)
    export(house)
    key, body = parquet(house)
    [manifest] = [json.loads(body) for key, body in objects(house).items() if key.endswith(".json")]
    (tmp_path / "orders.parquet").write_bytes(body)
    opened = duckdb.read_parquet(str(tmp_path / "orders.parquet"))
    types = dict(zip(opened.columns, map(str, opened.types), strict=True))
    assert (types["ordered_at"], types["total_minor"], types["currency"]) == (
        "TIMESTAMP WITH TIME ZONE",
        "BIGINT",
        "VARCHAR",
    )
    assert "customer_id" not in types
    sums = opened.query(
        "o",
        "SELECT strftime(ordered_at AT TIME ZONE 'UTC', '%Y-%m'), currency, count(*), sum(total_minor)::BIGINT"
        " FROM o GROUP BY 1, 2",
    ).fetchall()
    assert sums == [(manifest["month"], "USD", 3, manifest["totals"]["USD"]["total_minor"])]
    assert f"month={manifest['month']}" in key
    assert manifest["chain"]["root"] == prove(house).root


def test_a_cold_order_comes_back_among_the_active_ones(house: House) -> None:
    [order_id, _, _] = cold(house)
    before = dict(house.order(order_id))
    export(house)
    assert restore_order(house.runtime, house.organization_id, UUID(order_id), house.clock(), "system:test", "a test")
    assert {**house.order(order_id), "version": 0} == {**before, "version": 0}
    assert house.violations() == []
    archive(house)
    assert verify(house).tally.findings == []


def test_a_month_that_was_dropped_is_made_again_for_an_order_that_comes_back(house: House) -> None:
    [order_id] = cold(house, 1)
    export(house)
    keep_house(house.system, house.clock, plenty)
    strays = "SELECT operations.default_partition_rows()"
    assert house.value(strays) == 0
    assert restore_order(house.runtime, house.organization_id, UUID(order_id), house.clock(), "system:test", "a test")
    for step in (lambda: None, lambda: archive(house)):
        step()
        assert house.value(strays) > 0
        assert keep_house(house.system, house.clock, plenty).default_partition_rows == 0
        assert house.value(strays) == 0
    assert house.order(order_id)["id"] == order_id


def test_a_month_that_another_run_began_a_moment_ago_is_left_to_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold(house)
    looked = exporting.stays
    others = []

    def meanwhile(transaction: Any, month: Any) -> bool:
        stays = looked(transaction, month)
        monkeypatch.setattr(exporting, "stays", looked)
        others.append(exporting._begin_file(house.system, house.organization_id, month, house.clock()))
        return stays

    monkeypatch.setattr(exporting, "stays", meanwhile)
    assert export(house).files == 0
    [other] = others
    assert house.value("SELECT id FROM archive.cold_files") == other.id
    assert export(house).files == 1  # whoever comes next finishes it
    assert house.value("SELECT id FROM archive.cold_files WHERE state = 'verified'") == other.id


def test_a_month_that_another_run_moved_a_moment_ago_gets_no_empty_file(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold(house)
    looked = exporting.stays

    def meanwhile(transaction: Any, month: Any) -> bool:
        stays = looked(transaction, month)
        monkeypatch.setattr(exporting, "stays", looked)
        export(house)
        return stays

    monkeypatch.setattr(exporting, "stays", meanwhile)
    assert export(house).files == 0
    assert [row["orders"] > 0 for row in house.rows("SELECT orders FROM archive.cold_files")] == [True]


def refuses(*_: Any) -> bool:
    raise Transient("the bucket takes nothing")


def export_fails(house: House, put: Callable[..., bool]) -> None:
    """Begin an export while the bucket takes objects in this way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(house.system.archive_bucket, "put_if_absent", put)
        with pytest.raises(Transient):
            export(house)


def test_a_file_that_was_begun_takes_no_order_that_came_later_and_is_not_verified(house: House) -> None:
    order_ids = delivered(house, 2)
    years_pass(house)
    late = UUID(order_ids[0])
    held = hold(house, str(late))
    put_away(house)
    years_pass(house, 3)
    export_fails(house, refuses)
    assert house.value("SELECT state FROM archive.cold_files") == "writing"
    release(house, held["id"])
    assert archive(house).orders == 1
    assert (export(house).orders, export(house).months_waiting) == (0, 1)
    assert house.value("SELECT location FROM archive.archive_index WHERE order_id = :id", id=late) == "archived"
    verify(house)
    house.clock.advance(days=8)
    purge(house)
    assert house.value("SELECT count(*) FROM orders.orders") == 0
    assert export(house).months_dropped == 1
    assert sorted(str(house.order(each)["id"]) for each in order_ids) == sorted(order_ids)


def test_a_file_in_the_bucket_leaves_an_order_here_that_is_found_wrong_meanwhile(house: House) -> None:
    [wrong, *_] = cold(house)
    real = house.system.archive_bucket.put_if_absent

    def put(key: str, body: Any, content_type: str) -> bool:
        return real(key, body, content_type) if key.endswith(".parquet") else refuses()

    export_fails(house, put)
    house.sql("UPDATE archive.archive_index SET verification = 'inconsistent' WHERE order_id = :id", id=wrong)
    assert (export(house).months_dropped, len(documents(house))) == (0, 3)
    assert house.rows("SELECT order_id::text AS id FROM archive.archive_index WHERE location = 'archived'") == [
        {"id": wrong}
    ]


def test_a_month_that_is_to_stay_stays_though_a_file_of_it_was_begun(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold(house)
    export_fails(house, refuses)
    monkeypatch.setattr(exporting, "stays", lambda *_: True)
    assert (export(house).orders, export(house).months_waiting) == (0, 1)
    assert len(documents(house)) == 3


def test_a_flipped_byte_in_a_file_is_found_and_named(house: House) -> None:
    cold(house)
    export(house)
    key, body = parquet(house)
    flipped = bytearray(body)
    flipped[len(body) // 2] ^= 1
    bucket(house).Object(key).put(Body=bytes(flipped))
    [broken] = prove_cold(house).broken
    assert broken == f"{key}: the file is not what it was"
    assert house.failures() == ["ColdExport"]
    bucket(house).Object(key).delete()
    house.sql("UPDATE archive.cold_files SET state = 'verified'")
    assert prove_cold(house).broken == [f"{key}: the file is gone"]


def bytes_to_flip(body: bytes) -> Iterator[int]:
    """Yield the places of a byte in every part of a file: its frame, its footer, its pages, the text of a column."""
    yield from (0, len(body) - 1, len(body) - 12)
    footer = int.from_bytes(body[-8:-4], "little")
    yield from range(4, len(body) - 8, max(1, (len(body) - footer) // 40))
    yield from range(len(body) - 8 - footer, len(body) - 8, max(1, footer // 40))


def test_a_file_that_came_back_with_a_flipped_byte_is_unproven_wherever_it_is(house: House, tmp_path: Path) -> None:
    """What is unproven is given up, and another file is written; any other error would come again every hour."""
    cold(house)
    export(house)
    _, body = parquet(house)
    file, unproven = tmp_path / "orders.parquet", 0
    for place in bytes_to_flip(body):
        flipped = bytearray(body)
        flipped[place] ^= 0x55
        file.write_bytes(flipped)
        try:
            exporting.prove_file(house.system, house.organization_id, file, house.clock())
        except exporting.UnprovenFile:
            unproven += 1
    assert unproven > 40


def test_a_file_that_cannot_be_opened_is_given_up_and_another_one_is_written(house: House) -> None:
    cold(house)
    real = house.system.archive_bucket.put_if_absent

    def put(key: str, body: Any, content_type: str) -> bool:
        return real(key, io.BytesIO(body.read()[:-4] + b"PAR0"), content_type)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(house.system.archive_bucket, "put_if_absent", put)
        assert (export(house).unproven_files, len(documents(house))) == (1, 3)
    assert house.failures() == ["ColdExport"]
    assert (export(house).orders, len(documents(house))) == (3, 0)


def test_rows_stay_when_what_came_back_is_not_what_was_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    cold(house)
    real = house.system.archive_bucket.put_if_absent

    def put(key: str, body: Any, content_type: str) -> bool:
        if not key.endswith(".parquet"):
            return real(key, body, content_type)
        content = body.read()
        house.sql("UPDATE archive.batch_leaves SET checksum = sha256('other')")
        return real(key, io.BytesIO(content), content_type)

    monkeypatch.setattr(house.system.archive_bucket, "put_if_absent", put)
    exported = export(house)
    assert (exported.orders, exported.unproven_files) == (0, 1)
    assert len(documents(house)) == 3
    assert house.failures() == ["ColdExport"]
