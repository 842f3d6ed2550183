"""An open discrepancy is resolved only by a check that could see it, in its own batch."""

from uuid import UUID

import pytest

from holdfast.flows.archive.archived_documents import AlteredDocument
from holdfast.flows.archive.restore_order import restore_order
from holdfast.flows.archive.scan_archive import count_open
from holdfast.flows.archive.verify_archive import Verified, verify_batch
from tests.archive.scenes import (
    archive,
    bucket,
    cold,
    delivered,
    export,
    parquet,
    prove_cold,
    purge,
    put_away,
    scan,
    spot,
    verify,
    years_pass,
)
from tests.house import House

OTHER_SOURCE = "the active rows are not what was archived (version 2)"
ALTERED = "the archived document is not the one that was sealed"


@pytest.fixture
def twice(house: House) -> House:
    """An order that was archived, restored and archived again: version 1 in one batch, version 2 in another."""
    [order_id] = delivered(house)
    years_pass(house)
    put_away(house)
    restore_order(house.runtime, house.organization_id, UUID(order_id), house.clock(), "system:test", "a test")
    archive(house)
    verify(house)
    return house


def batch_of(house: House, version: int) -> UUID:
    found: UUID = house.value("SELECT batch_id FROM archive.batch_leaves WHERE version = :v", v=version)
    return found


def look_at(house: House, version: int) -> None:
    verify_batch(
        house.system, house.organization_id, batch_of(house, version), house.clock(), "system:test", Verified()
    )


def standing(house: House) -> list[tuple[UUID, str]]:
    rows = house.rows("SELECT batch_id, details FROM archive.discrepancies WHERE resolved_at IS NULL ORDER BY id")
    return [(row["batch_id"], row["details"]) for row in rows]


def marked(house: House) -> str:
    found: str = house.value("SELECT verification FROM archive.archive_index")
    return found


def test_a_look_at_an_earlier_version_settles_nothing_of_the_last(twice: House) -> None:
    twice.sql("UPDATE orders.orders SET email = 'other@example.com'")
    look_at(twice, 2)
    assert standing(twice) == [(batch_of(twice, 2), OTHER_SOURCE)]
    look_at(twice, 1)
    assert standing(twice) == [(batch_of(twice, 2), OTHER_SOURCE)]
    assert marked(twice) == "inconsistent"
    twice.clock.advance(days=30)
    assert purge(twice).orders == 0
    assert twice.value("SELECT email FROM orders.orders") == "other@example.com"


def test_an_earlier_version_that_was_altered_stands_open_after_the_last_was_looked_at(twice: House) -> None:
    alter = "UPDATE archive.archived_orders SET document = overlay(document PLACING 'x' FROM 40) WHERE version = 1"
    twice.sql(alter)
    for _ in range(2):
        scan(twice)
        assert standing(twice) == [(batch_of(twice, 1), ALTERED)]
        assert marked(twice) == "inconsistent"


def test_the_same_trouble_of_two_versions_is_two_discrepancies(twice: House) -> None:
    twice.sql("UPDATE archive.archived_orders SET document = overlay(document PLACING 'x' FROM 40)")
    spot(twice)
    assert set(standing(twice)) == {(batch_of(twice, 1), ALTERED), (batch_of(twice, 2), f"{ALTERED} (version 2)")}


def test_what_was_found_of_the_active_rows_is_over_once_the_order_came_back(twice: House) -> None:
    twice.sql("UPDATE orders.orders SET email = 'other@example.com'")
    look_at(twice, 2)
    order_id = twice.value("SELECT id FROM orders.orders")
    restore_order(twice.runtime, twice.organization_id, order_id, twice.clock(), "system:test", "they are the truth")
    archive(twice)
    scan(twice)
    assert (standing(twice), marked(twice)) == ([], "ok")


def test_a_copy_that_went_does_not_make_its_discrepancy_go(house: House) -> None:
    """A document that was altered and then removed has not been put right."""
    delivered(house)
    years_pass(house)
    archive(house)
    house.sql("UPDATE archive.archived_orders SET document = overlay(document PLACING 'x' FROM 40)")
    scan(house)
    house.sql("DELETE FROM archive.archived_orders")
    scan(house)
    assert {details for _, details in standing(house)} == {ALTERED, "the archived document is gone"}


@pytest.fixture
def frozen(house: House) -> tuple[House, list[str]]:
    order_ids = cold(house)
    export(house)
    return house, order_ids


def test_what_a_reader_met_in_cold_storage_is_settled_by_reading_it_there(frozen: tuple[House, list[str]]) -> None:
    house, [order_id, *_] = frozen
    key, body = parquet(house)
    bucket(house).Object(key).delete()
    with pytest.raises(AlteredDocument):
        house.order(order_id)
    gone = "the archived document is gone"
    assert [details for _, details in standing(house)] == [gone]
    assert house.failures() == ["ArchiveVerification"]
    assert house.value("SELECT count(*) FROM archive.archive_index WHERE verification = 'missing'") == 1
    assert count_open(house.system, house.clock) == 1
    spot(house)
    scan(house)
    assert [details for _, details in standing(house)] == [gone]  # neither of them reads the file
    bucket(house).Object(key).put(Body=body)
    assert prove_cold(house).broken == []
    assert (standing(house), count_open(house.system, house.clock)) == ([], 0)
    assert house.value("SELECT count(*) FROM archive.archive_index WHERE verification <> 'ok'") == 0
    assert house.order(order_id)["id"] == order_id


def test_an_order_that_is_not_in_its_file_is_an_alarm_and_not_an_unknown_order(
    frozen: tuple[House, list[str]],
) -> None:
    house, [order_id, *_] = frozen
    house.sql("UPDATE archive.archive_index SET cold_row_group = 7 WHERE order_id = :id", id=UUID(order_id))
    with pytest.raises(AlteredDocument):
        house.order(order_id)
    assert [details for _, details in standing(house)] == ["the archived document is gone"]
    assert house.failures() == ["ArchiveVerification"]
