"""A day's load is counted by the warehouse's own date: nothing is reset at midnight, whatever the clocks do there.

Here the date comes from Python's time zone database, and in the checkout from PostgreSQL's.
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from holdfast.values.errors import CapacityExceeded, OutOfStock
from tests.flows.actions import ordered
from tests.house import House
from tests.races.crowd import without_payment

CAPACITY = 2
JUST_BEFORE = timedelta(milliseconds=1)
MIDNIGHTS = [
    ("UTC", date(2027, 1, 1)),
    ("America/Los_Angeles", date(2027, 1, 1)),
    ("Pacific/Kiritimati", date(2027, 1, 1)),  # 14 hours ahead
    ("Pacific/Pago_Pago", date(2027, 1, 1)),  # 11 hours behind
    ("Asia/Kathmandu", date(2027, 1, 1)),  # 5 hours and 45 minutes ahead
    ("America/New_York", date(2027, 3, 14)),  # a day of 23 hours begins
    ("America/New_York", date(2027, 3, 15)),  # and ends
    ("America/New_York", date(2027, 11, 7)),  # a day of 25 hours begins
    ("America/New_York", date(2027, 11, 8)),  # and ends
    ("Australia/Lord_Howe", date(2027, 4, 4)),  # a day of 24 hours and a half
    ("Africa/Cairo", date(2027, 4, 30)),  # it has no midnight: the clock goes from 23:59:59 to 01:00
]


@pytest.fixture
def shop(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    without_payment(monkeypatch)
    house.sql("UPDATE inventory.warehouses SET status = 'inactive'")
    yield house
    assert house.violations() == []


def open_in(house: House, zone: str) -> None:
    house.add_warehouse("HERE", timezone=zone, capacity=CAPACITY)
    house.add_variant("TEE", stock={"HERE": 100})


def begin_of(day: date, zone: str) -> datetime:
    """Return the first instant of a date in a time zone."""
    here = ZoneInfo(zone)
    midnight = datetime.combine(day, time(), here).astimezone(UTC)
    while midnight.astimezone(here).date() < day:
        midnight += timedelta(minutes=15)
    while (midnight - timedelta(minutes=15)).astimezone(here).date() == day:
        midnight -= timedelta(minutes=15)
    return midnight


def fill(house: House) -> None:
    """Place as many strict orders as fit, and see that one more is refused."""
    for _ in range(CAPACITY):
        house.place(allow_capacity_overflow=False)
    with pytest.raises(CapacityExceeded):
        house.place(allow_capacity_overflow=False)


def load(house: House) -> dict[date, int]:
    rows = house.rows(
        "SELECT load_date, sum(orders) AS orders FROM inventory.warehouse_daily_load"
        " GROUP BY load_date HAVING sum(orders) <> 0 ORDER BY load_date"
    )
    return {row["load_date"]: int(row["orders"]) for row in rows}


@pytest.mark.parametrize(("zone", "day"), MIDNIGHTS)
def test_a_full_warehouse_takes_orders_again_from_its_own_midnight_on(shop: House, zone: str, day: date) -> None:
    open_in(shop, zone)
    midnight = begin_of(day, zone)
    shop.clock.now = midnight - JUST_BEFORE
    fill(shop)
    shop.clock.now = midnight
    fill(shop)
    assert load(shop) == {day - timedelta(days=1): CAPACITY, day: CAPACITY}


@pytest.mark.parametrize(("zone", "day"), MIDNIGHTS)
def test_a_day_is_one_day_however_many_hours_it_has(shop: House, zone: str, day: date) -> None:
    open_in(shop, zone)
    begin, end = begin_of(day, zone), begin_of(day + timedelta(days=1), zone)
    shop.clock.now = begin
    for _ in range(CAPACITY):
        shop.place(allow_capacity_overflow=False)
    instant = begin
    while instant < end:
        shop.clock.now = instant
        with pytest.raises(CapacityExceeded):
            shop.place(allow_capacity_overflow=False)
        instant += timedelta(minutes=150)
    shop.clock.now = end - JUST_BEFORE
    with pytest.raises(CapacityExceeded):
        shop.place(allow_capacity_overflow=False)
    assert load(shop) == {day: CAPACITY}


@pytest.mark.parametrize(("zone", "day"), MIDNIGHTS[:6])
def test_what_is_given_back_after_midnight_is_given_back_to_the_day_it_was_booked_on(
    house: House, zone: str, day: date
) -> None:
    house.sql("UPDATE inventory.warehouses SET status = 'inactive'")
    open_in(house, zone)
    midnight = begin_of(day, zone)
    house.clock.now = midnight - JUST_BEFORE
    orders = [ordered(house) for _ in range(CAPACITY)]
    house.clock.now = midnight + timedelta(minutes=10)
    ordered(house)
    house.cancel(orders[0])
    assert load(house) == {day - timedelta(days=1): 1, day: 1}
    house.cancel(orders[1])
    assert load(house) == {day: 1}
    assert house.violations() == []


def test_warehouses_of_one_shop_each_have_a_date_of_their_own(shop: House) -> None:
    shop.clock.now = datetime(2027, 1, 1, 10, 30, tzinfo=UTC)
    for number, zone in enumerate(("Pacific/Pago_Pago", "UTC", "Pacific/Kiritimati")):
        shop.add_warehouse(f"W{number}", timezone=zone, capacity=CAPACITY)
        shop.add_variant(f"SKU-{number}", stock={f"W{number}": 10})
        shop.place({f"SKU-{number}": 1})
    assert load(shop) == {date(2026, 12, 31): 1, date(2027, 1, 1): 1, date(2027, 1, 2): 1}


def test_no_order_is_split_over_more_warehouses_than_the_shop_permits(shop: House) -> None:
    for number in range(3):
        shop.add_warehouse(f"W{number}")
    shop.add_variant("TEE", stock={f"W{number}": 1 for number in range(3)})
    for permitted in (1, 2):
        shop.sql(
            "UPDATE tenancy.organizations SET settings = settings || CAST(:more AS jsonb)",
            more=json.dumps({"split_warehouses_max": permitted}),
        )
        with pytest.raises(OutOfStock, match="too far apart"):
            shop.place({"TEE": permitted + 1})
    shop.place({"TEE": 2})
    assert shop.value("SELECT count(DISTINCT warehouse_id) FROM orders.order_allocations") == 2
