"""Orders of generated shops go through the real checkout; simulating their period gives the same decisions again."""

import itertools
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from holdfast.flows.allocation import simulate_allocation as flow
from holdfast.flows.allocation.explain_allocation import explain_allocation
from holdfast.flows.allocation.simulate_allocation import SimulateAllocation, simulate_allocation
from holdfast.inventory.recorded import read_record
from holdfast.inventory.scoring import Weights
from holdfast.inventory.simulation import WarehouseChange, WhatIf
from holdfast.values.coordinates import Coordinates
from holdfast.values.errors import CapacityExceeded, Forbidden, InvalidInput, OutOfStock
from holdfast.values.shipping import ShippingPreference
from tests.flows.actions import expire, staff
from tests.house import House
from tests.races.crowd import without_payment

ZONES = ("UTC", "America/New_York", "Asia/Tokyo", "Pacific/Kiritimati")
numbers = itertools.count(1)

shops = st.lists(
    st.fixed_dictionaries(
        {
            "latitude": st.floats(25, 48),
            "longitude": st.floats(-124, -70),
            "timezone": st.sampled_from(ZONES),
            "priority": st.integers(1, 2),
            "capacity": st.none() | st.integers(1, 4),
        }
    ),
    min_size=2,
    max_size=4,
)
orders = st.lists(
    st.fixed_dictionaries(
        {
            "tees": st.integers(0, 3),
            "mugs": st.integers(0, 3),
            "preference": st.sampled_from(ShippingPreference),
            "overflow": st.booleans(),
            "minutes": st.sampled_from((0, 1, 20, 400)),
        }
    ),
    min_size=3,
    max_size=12,
)


@pytest.fixture
def shop(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    without_payment(monkeypatch)
    yield house
    assert house.violations() == []


def ask(house: House, starts_at, what_if: WhatIf | None = None, **more):
    """Simulate the period from an instant until now, as a manager."""
    ends_at = house.clock.advance(seconds=1)
    how = {"starts_at": starts_at, "ends_at": ends_at, "orders_max": 1_000, "what_if": what_if or WhatIf()} | more
    return simulate_allocation(house.runtime, SimulateAllocation(staff(house), **how), house.clock.now)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shops, orders, st.lists(st.integers(0, 6), min_size=8, max_size=8))
def test_a_period_under_its_own_rules_gives_the_decisions_that_the_checkout_made(shop, warehouses, wishes, stock):
    shop.sql("UPDATE inventory.warehouses SET status = 'inactive'")
    begun_at = shop.clock.advance(hours=6)
    codes = [f"W{next(numbers)}" for _ in warehouses]
    for code, facts in zip(codes, warehouses, strict=True):
        shop.add_warehouse(code, **facts)
    tee, mug = f"TEE-{next(numbers)}", f"MUG-{next(numbers)}"
    shop.add_variant(tee, stock=dict(zip(codes, stock, strict=False)))
    shop.add_variant(mug, stock=dict(zip(codes, stock[4:], strict=False)))
    placed = 0
    for wish in wishes:
        shop.clock.advance(minutes=wish["minutes"])
        expire(shop)
        items = {sku: wish[name] for sku, name in ((tee, "tees"), (mug, "mugs")) if wish[name]}
        if not items:
            continue
        try:
            shop.place(items, preference=wish["preference"], allow_capacity_overflow=wish["overflow"])
            placed += 1
        except (OutOfStock, CapacityExceeded):
            pass
    event(f"{placed} orders")
    told = ask(shop, begun_at)
    assert (told["orders"], told["orders_without_record"], told["cut"]) == (placed, 0, None)
    assert (told["changed_orders"], told["differences"]) == (0, [])
    assert told["simulated"] == told["stored"]
    assert told["stored"]["orders"] == placed
    split = "SELECT count(*) FROM orders.orders WHERE is_split_shipment AND created_at >= :begun_at"
    assert told["stored"]["splits"] == shop.value(split, begun_at=begun_at)


def test_the_record_of_an_order_decides_it_again_and_its_allocations_are_what_it_decided(shop):
    shop.add_variant("TEE", stock={"EWR": 1, "RNO": 2})
    shop.place({"TEE": 3})
    (order,) = shop.rows("SELECT * FROM orders.orders")
    plan = read_record(order["allocation_reasons"]).decide(
        Coordinates(order["shipping_latitude"], order["shipping_longitude"])
    )
    assert plan.reasons == order["allocation_reasons"]
    rows = shop.rows("SELECT warehouse_id, variant_id, quantity FROM orders.order_allocations")
    assert {tuple(row.values()) for row in rows} == {
        (each.warehouse_id, each.variant_id, each.quantity) for each in plan.assignments
    }


def test_a_warehouse_can_be_moved_later_and_the_record_still_tells_where_it_was(shop):
    begun_at = shop.clock.advance(seconds=1)
    shop.add_variant("TEE", stock={"EWR": 5, "RNO": 5})
    shop.place()
    shop.sql("UPDATE inventory.warehouses SET latitude = 0, longitude = 0, shipping_cost_base = 99999, priority = 1")
    assert ask(shop, begun_at)["changed_orders"] == 0


def test_other_weights_and_other_warehouses_are_compared(shop):
    begun_at = shop.clock.advance(seconds=1)
    shop.add_variant("TEE", stock={"EWR": 5, "RNO": 5})
    for _ in range(3):
        shop.place()
    changes = {"EWR": WarehouseChange(shipping_cost_base_minor=10)}
    told = ask(shop, begun_at, WhatIf(changes=changes))
    assert told["stored"]["orders_per_warehouse"] == {"RNO": 3}
    assert told["simulated"]["orders_per_warehouse"] == {"EWR": 3}
    assert (told["stored"]["shipping_cost_minor"], told["simulated"]["shipping_cost_minor"]) == (1_800, 30)
    assert [each["order_number"] for each in told["differences"]] == [
        row["order_number"] for row in shop.rows("SELECT order_number FROM orders.orders ORDER BY id")
    ]
    fast = ask(shop, begun_at, WhatIf(weights={ShippingPreference.STANDARD: Weights(1.0, 0.0)}))
    assert fast["simulated"]["orders_per_warehouse"] == {"EWR": 3}, "at equal cost the priority decides"


def test_it_says_where_it_was_cut(shop, monkeypatch):
    begun_at = shop.clock.advance(seconds=1)
    shop.add_variant("TEE", stock=10)
    for _ in range(5):
        shop.clock.advance(minutes=1)
        shop.place()
    monkeypatch.setattr(flow, "PAGE_MAX_ROWS", 2)
    assert ask(shop, begun_at)["orders"] == 5, "pages join"
    cut = ask(shop, begun_at, orders_max=3)
    assert (cut["cut"], cut["orders"]) == ("orders", 3)
    assert (
        cut["last_order_at"]
        == shop.rows("SELECT created_at FROM orders.orders ORDER BY id")[2]["created_at"].isoformat()
    )
    ticks = itertools.count()
    seconds = lambda: next(ticks) * 8.0  # noqa: E731 -- a clock of which every look takes eight seconds
    command = SimulateAllocation(staff(shop), begun_at, shop.clock.now, 1_000, WhatIf())
    late = simulate_allocation(shop.runtime, command, shop.clock.now, seconds)
    assert (late["cut"], late["orders"]) == ("time", 2)
    assert simulate_allocation(shop.runtime, command, shop.clock.now)["cut"] is None


def test_a_period_or_a_warehouse_that_makes_no_sense_is_refused(shop):
    begun_at = shop.clock.now
    with pytest.raises(InvalidInput):
        ask(shop, begun_at - timedelta(days=32))
    with pytest.raises(InvalidInput):
        ask(shop, begun_at + timedelta(days=1))
    with pytest.raises(InvalidInput) as unknown:
        ask(shop, begun_at, WhatIf(changes={"LAX": WarehouseChange()}))
    assert unknown.value.facts["errors"][0]["field"] == "warehouses[0].code"
    viewer = SimulateAllocation(staff(shop, "viewer"), begun_at, shop.clock.now, 10, WhatIf())
    with pytest.raises(Forbidden):
        simulate_allocation(shop.runtime, viewer, shop.clock.now)


def test_an_order_without_a_record_is_counted_and_left_out(shop):
    begun_at = shop.clock.advance(seconds=1)
    shop.add_variant("TEE", stock=10)
    shop.place()
    shop.sql("UPDATE orders.orders SET allocation_reasons = '{}'")
    told = ask(shop, begun_at)
    assert (told["orders"], told["orders_without_record"]) == (0, 1)
    reference = str(shop.value("SELECT id FROM orders.orders"))
    explained = explain_allocation(shop.runtime, staff(shop, "viewer"), reference, shop.clock.now)
    assert explained["decision"] is None
    assert explained["allocations"][0]["quantity"] == 1


def test_a_simulation_does_not_tell_where_people_live(shop):
    """The coordinates of an address are stored on the order alone, where they can be erased."""
    shop.add_variant("TEE", stock=10)
    shop.place()
    reasons = shop.value("SELECT allocation_reasons::text FROM orders.orders")
    assert "39.75" not in reasons
