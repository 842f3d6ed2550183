from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.inventory.capacity import (
    CapacityOverride,
    at_capacity,
    capacity_penalty,
    effective_capacity,
    utilization,
)


@pytest.mark.parametrize(
    ("base", "override", "capacity"),
    [
        (100, None, 100),
        (None, None, None),
        (100, CapacityOverride(), 100),
        (100, CapacityOverride(multiplier=Decimal("1.5")), 150),
        (7, CapacityOverride(multiplier=Decimal("0.5")), 3),
        (1, CapacityOverride(multiplier=Decimal("0.5")), 0),
        (None, CapacityOverride(multiplier=Decimal("0.5")), None),
        (100, CapacityOverride(hard_limit=40), 40),
        (None, CapacityOverride(hard_limit=40), 40),
        (100, CapacityOverride(multiplier=Decimal(2), hard_limit=40), 40),
    ],
)
def test_capacity_is_the_hard_limit_else_the_floor_of_base_times_multiplier_else_the_base(base, override, capacity):
    assert effective_capacity(base, override) == capacity


def test_a_multiplier_is_applied_exactly_and_not_as_a_float():
    assert effective_capacity(10, CapacityOverride(multiplier=Decimal("0.7"))) == 7
    assert effective_capacity(100, CapacityOverride(multiplier=Decimal("1.15"))) == 115


@pytest.mark.parametrize(
    ("orders", "capacity", "penalty"),
    [
        (0, 100, 1.00),
        (79, 100, 1.00),
        (80, 100, 1.05),
        (99, 100, 1.05),
        (100, 100, 1.10),
        (109, 100, 1.10),
        (110, 100, 1.20),
        (11, 10, 1.20),
        (1_000_000, None, 1.00),
        (0, 0, 1.10),
        (1, 0, 1.20),
    ],
)
def test_the_penalty_steps_at_80_100_and_110_percent(orders, capacity, penalty):
    assert capacity_penalty(utilization(orders, capacity)) == penalty


@given(st.integers(0, 10_000), st.one_of(st.none(), st.integers(0, 10_000)))
def test_a_warehouse_is_at_capacity_exactly_when_its_orders_reach_it(orders, capacity):
    assert at_capacity(utilization(orders, capacity)) is (capacity is not None and orders >= capacity)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_another_order_never_lowers_the_penalty(orders, capacity):
    assert capacity_penalty(utilization(orders, capacity)) <= capacity_penalty(utilization(orders + 1, capacity))
