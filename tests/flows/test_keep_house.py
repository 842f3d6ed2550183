from datetime import timedelta

import pytest

from holdfast.flows.operations import keep_house as flow
from holdfast.flows.operations.keep_house import Kept, keep_house
from tests.flows.actions import ordered, relay
from tests.house import House


def kept(house: House, *, time_left_seconds: float = 60.0) -> Kept:
    return keep_house(house.system, house.clock, lambda: time_left_seconds)


def test_published_rows_and_calls_go_when_they_have_outlived_their_use(house: House) -> None:
    house.add_variant(stock=5)
    ordered(house)
    relay(house)
    house.clock.advance(days=1)
    ordered(house)
    assert kept(house).purged["outbox"] == 0
    house.clock.advance(days=7)
    done = kept(house)
    assert done.purged["outbox"] == 3
    assert house.value("SELECT count(*) FROM operations.outbox WHERE published_at IS NULL") == 3
    house.clock.advance(days=83)
    assert kept(house).purged["api_calls"] == 1
    house.clock.advance(days=1)
    assert kept(house).purged["api_calls"] == 1


def test_overrides_go_a_quarter_after_they_ended(house: House) -> None:
    house.sql(
        "INSERT INTO inventory.capacity_overrides (organization_id, id, warehouse_id, starts_on, ends_on,"
        " hard_capacity_limit, reason, created_by, created_at) VALUES (:o, gen_random_uuid(), :w, :day, :day, 2,"
        " 'sale', 'test', :now)",
        o=house.organization_id,
        w=house.warehouses["EWR"],
        day=house.clock.now.date(),
        now=house.clock.now,
    )
    house.clock.advance(days=flow.CAPACITY_OVERRIDES_RETENTION_DAYS)
    assert kept(house).purged["capacity_overrides"] == 0
    house.clock.advance(days=1)
    assert kept(house).purged["capacity_overrides"] == 1


def test_purges_are_bounded_in_batches_and_in_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "PURGE_BATCH_MAX_ROWS", 2)
    house.add_variant(stock=5)
    for _ in range(2):
        ordered(house)
    relay(house)
    house.clock.advance(days=8)
    assert kept(house, time_left_seconds=0.0).purged == dict.fromkeys(kept(house).purged, 0)
    assert house.value("SELECT count(*) FROM operations.outbox") == 0


def test_partitions_are_made_before_they_are_needed_and_only_once(house: House) -> None:
    kept(house)
    house.clock.now += timedelta(days=62)
    made = kept(house)
    assert made.partitions_made > 0
    assert made.default_partition_rows == 0
    assert kept(house).partitions_made == 0
    house.add_variant(stock=5)
    ordered(house)
    assert kept(house).default_partition_rows == 0


def test_rows_of_a_month_without_a_partition_are_counted_and_moved(house: House) -> None:
    house.add_variant(stock=5)
    house.clock.now += timedelta(days=400)
    ordered(house)
    assert kept(house).default_partition_rows > 0
    assert kept(house).default_partition_rows == 0
    assert house.violations() == []
