"""The record of a decision is enough to repeat it, and a simulation under the same rules changes nothing."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from holdfast.inventory.allocation import CapacityOverride, Line, Plan, Rules, ScoreScale, Warehouse, allocate
from holdfast.inventory.explanation import calculation, in_words, why
from holdfast.inventory.reasons import Verdict, for_shoppers
from holdfast.inventory.recorded import RecordedDecision, read_record
from holdfast.inventory.scoring import Weights
from holdfast.inventory.simulation import (
    AdditionalWarehouse,
    PastOrder,
    Simulation,
    WarehouseChange,
    WhatIf,
)
from holdfast.values.coordinates import Coordinates
from holdfast.values.errors import CapacityExceeded, OutOfStock
from holdfast.values.shipping import ShippingPreference

VARIANTS = [UUID(int=number) for number in range(1, 4)]
TEE = VARIANTS[0]
BEGIN = datetime(2025, 11, 20, 22, tzinfo=UTC)
ZONES = ("UTC", "America/Los_Angeles", "Pacific/Kiritimati")

overrides = st.none() | st.builds(
    CapacityOverride,
    multiplier=st.none() | st.integers(1, 3_000).map(lambda thousandths: Decimal(thousandths).scaleb(-3)),
    hard_limit=st.none() | st.integers(1, 9),
)
places = st.builds(Coordinates, st.floats(-80, 80), st.floats(-180, 180))
preferences = st.sampled_from(ShippingPreference)
line_lists = st.lists(st.builds(Line, st.sampled_from(VARIANTS), st.integers(1, 3)), min_size=1, max_size=4)


def warehouse_lists(*, pieces_max: int) -> st.SearchStrategy[list[Warehouse]]:
    return st.lists(
        st.builds(
            Warehouse,
            id=st.integers(1, 99).map(lambda number: UUID(int=number)),
            code=st.integers(1, 99).map("W{:02}".format),
            location=places,
            priority=st.integers(1, 3),
            shipping_cost_base_minor=st.integers(0, 3_000),
            orders_today=st.integers(0, 6),
            base_daily_capacity=st.none() | st.integers(0, 6),
            override=overrides,
            load_date=st.just(BEGIN.date()),
            available=st.fixed_dictionaries({}, optional=dict.fromkeys(VARIANTS, st.integers(0, pieces_max))),
        ),
        min_size=1,
        max_size=4,
        unique_by=(lambda warehouse: warehouse.code, lambda warehouse: warehouse.id),
    )


def kept(plan: Plan) -> Mapping[str, Any]:
    """Return the reasons of a plan as the database returns them."""
    reasons: Mapping[str, Any] = json.loads(json.dumps(plan.reasons))
    return reasons


def decision_of(plan: Plan) -> RecordedDecision:
    decision = read_record(kept(plan))
    assert decision is not None
    return decision


@given(
    line_lists,
    st.none() | places,
    preferences,
    warehouse_lists(pieces_max=9),
    st.booleans(),
    st.integers(1, 3),
    st.none()
    | st.builds(
        Rules,
        st.floats(0, 1).map(lambda cost: Weights(cost, 1 - cost)),
        st.builds(ScoreScale, st.integers(1, 5_000), st.floats(1, 5_000)),
        st.floats(1, 2),
        st.floats(1, 2),
    ),
)
def test_a_decision_is_made_again_from_its_record_alone(
    lines, destination, preference, warehouses, overflow, most, rules
):
    try:
        plan = allocate(
            lines,
            destination,
            preference,
            warehouses,
            allow_capacity_overflow=overflow,
            max_warehouses=most,
            rules=rules,
        )
    except (OutOfStock, CapacityExceeded):
        assume(False)
    assert decision_of(plan).decide(destination) == plan


@dataclass
class Shop:
    """A miniature shop: each order lowers stock and raises load, and both are restored when an order is given back."""

    warehouses: dict[UUID, Warehouse]
    zones: Mapping[UUID, str]
    now: datetime = BEGIN

    def __post_init__(self) -> None:
        self.stock = Counter({(w.id, v): n for w in self.warehouses.values() for v, n in w.available.items()})
        self.load = Counter({(w.id, w.load_date): w.orders_today for w in self.warehouses.values()})
        self.returns: list[tuple[datetime, Plan]] = []

    def order(self, lines: Sequence[Line], destination: Coordinates | None, how: Mapping[str, Any]) -> Plan | None:
        for at, plan in [each for each in self.returns if each[0] <= self.now]:
            self._book(plan, -1)
            self.returns.remove((at, plan))
        try:
            plan = allocate(lines, destination, warehouses=list(self._facts(lines)), **how)
        except (OutOfStock, CapacityExceeded):
            return None
        self._book(plan, 1)
        return plan

    def _facts(self, lines: Sequence[Line]) -> Iterator[Warehouse]:
        for each in self.warehouses.values():
            today = local_date(self.now, self.zones[each.id])
            there = {line.variant_id: self.stock[each.id, line.variant_id] for line in lines}
            available = {variant_id: pieces for variant_id, pieces in there.items() if pieces > 0}
            if available:
                yield replace(each, load_date=today, orders_today=self.load[each.id, today], available=available)

    def _book(self, plan: Plan, sign: int) -> None:
        for piece in plan.assignments:
            self.stock[piece.warehouse_id, piece.variant_id] -= sign * piece.quantity
        for share in plan.per_warehouse:
            self.load[share.warehouse_id, share.load_date] += sign


def local_date(now: datetime, zone: str) -> date:
    return (
        now + {"UTC": timedelta(0), "America/Los_Angeles": timedelta(hours=-8)}.get(zone, timedelta(hours=14))
    ).date()


@dataclass(frozen=True)
class Wish:
    lines: list[Line]
    destination: Coordinates | None
    preference: ShippingPreference
    overflow: bool
    pause_minutes: int
    kept_minutes: int | None
    """Minutes after which the order gives everything back; ``None``: never."""


wishes = st.lists(
    st.builds(
        Wish,
        line_lists,
        st.none() | places,
        preferences,
        st.booleans(),
        st.integers(0, 300),
        st.none() | st.integers(0, 600),
    ),
    min_size=1,
    max_size=20,
)


def history(shop: Shop, orders: Sequence[Wish]) -> list[PastOrder]:
    """Return the shop's records of the orders that it could serve."""
    past = []
    for number, wish in enumerate(orders):
        shop.now += timedelta(minutes=wish.pause_minutes)
        how = {"preference": wish.preference, "allow_capacity_overflow": wish.overflow}
        plan = shop.order(wish.lines, wish.destination, how)
        if plan is None:
            continue
        ends = None if wish.kept_minutes is None else shop.now + timedelta(minutes=wish.kept_minutes)
        if ends is not None:
            shop.returns.append((ends, plan))
        past.append(
            PastOrder(
                UUID(int=1_000 + number),
                f"N{number}",
                shop.now,
                wish.destination,
                decision_of(plan),
                plan.assignments,
                ends,
            )
        )
    return past


def simulated(past: Sequence[PastOrder], what_if: WhatIf, zones: Mapping[UUID, str]) -> Simulation:
    simulation = Simulation(what_if, zones)
    for order in past:
        simulation.decide(order)
    return simulation


@given(warehouse_lists(pieces_max=12), wishes, st.data())
def test_a_period_under_its_own_rules_gives_the_very_decisions_that_were_made(warehouses, orders, data):
    zones = {each.id: data.draw(st.sampled_from(ZONES)) for each in warehouses}
    past = history(Shop({each.id: each for each in warehouses}, zones), orders)
    event(f"{len(past) // 5 * 5}+ orders")
    comparison = simulated(past, WhatIf(), zones).comparison
    assert comparison.changed_orders == 0
    assert comparison.differences == []
    assert comparison.simulated == comparison.stored
    assert comparison.stored.orders == len(past)


@given(warehouse_lists(pieces_max=12), wishes, st.floats(0, 1))
def test_no_simulation_sells_what_is_not_there(warehouses, orders, cost):
    zones = {each.id: "UTC" for each in warehouses}
    past = history(Shop({each.id: each for each in warehouses}, zones), [replace(w, kept_minutes=None) for w in orders])
    what_if = WhatIf(weights=dict.fromkeys(ShippingPreference, Weights(cost, 1 - cost)), max_warehouses=3)
    simulation = Simulation(what_if, zones)
    taken: Counter[tuple[UUID, UUID]] = Counter()
    for order in past:
        outcome = simulation.decide(order)
        if isinstance(outcome, Plan):
            taken.update({(p.warehouse_id, p.variant_id): p.quantity for p in outcome.assignments})
    for each in warehouses:
        for variant_id in VARIANTS:
            assert taken[each.id, variant_id] <= each.available.get(variant_id, 0)


# --- what a person would ask -------------------------------------------------------------------------------------


def place(code: str, *, east: float, pieces: int = 10, cost: int = 1_000, **more: Any) -> Warehouse:
    defaults: dict[str, Any] = {
        "priority": 1,
        "orders_today": 0,
        "base_daily_capacity": None,
        "override": None,
        "load_date": BEGIN.date(),
    }
    where = Coordinates(0, east)
    return Warehouse(
        id=UUID(int=ord(code[0])),
        code=code,
        location=where,
        shipping_cost_base_minor=cost,
        available={TEE: pieces},
        **defaults | more,
    )


def one(*, overflow: bool = True, pieces: int = 1, kept_minutes: int | None = None) -> Wish:
    return Wish([Line(TEE, pieces)], Coordinates(0, 0), ShippingPreference.STANDARD, overflow, 1, kept_minutes)


def compared(warehouses: Sequence[Warehouse], orders: Sequence[Wish], what_if: WhatIf) -> dict[str, Any]:
    zones = {each.id: "UTC" for each in warehouses}
    past = history(Shop({each.id: each for each in warehouses}, zones), orders)
    return simulated(past, what_if, zones).comparison.to_json()


def test_a_warehouse_that_becomes_cheaper_takes_orders_until_it_is_empty():
    warehouses = [place("NEAR", east=1), place("FAR", east=5, pieces=2, cost=1_500)]
    told = compared(warehouses, [one()] * 5, WhatIf(changes={"FAR": WarehouseChange(shipping_cost_base_minor=100)}))
    assert told["stored"]["orders_per_warehouse"] == {"NEAR": 5}
    assert told["simulated"]["orders_per_warehouse"] == {"FAR": 2, "NEAR": 3}
    assert (told["stored"]["shipping_cost_minor"], told["simulated"]["shipping_cost_minor"]) == (5_000, 3_200)
    assert told["changed_orders"] == 2
    assert told["differences"][0]["simulated"]["warehouses"] == ["FAR"]


def test_what_the_simulation_left_in_a_warehouse_is_there_for_later_orders():
    """In reality NEAR ran out after two orders and was no candidate after that; in the simulation it keeps its two."""
    warehouses = [place("NEAR", east=1, pieces=2), place("FAR", east=5, pieces=4)]
    orders = [one(), one(), one(), one()]
    told = compared(warehouses, orders, WhatIf(changes={"FAR": WarehouseChange(shipping_cost_base_minor=10)}))
    assert told["stored"]["orders_per_warehouse"] == {"FAR": 2, "NEAR": 2}
    assert told["simulated"]["orders_per_warehouse"] == {"FAR": 4}
    orders = [one(), one(), one(), one(), one(), one()]
    told = compared(warehouses, orders, WhatIf(changes={"FAR": WarehouseChange(shipping_cost_base_minor=10)}))
    assert told["simulated"]["orders_per_warehouse"] == {"FAR": 4, "NEAR": 2}
    assert told["simulated"]["refused_orders"] == {}


def test_without_a_warehouse_its_orders_go_elsewhere_or_are_refused():
    warehouses = [place("NEAR", east=1, pieces=3), place("FAR", east=5, pieces=1)]
    told = compared(warehouses, [one()] * 3, WhatIf(changes={"NEAR": WarehouseChange(is_active=False)}))
    assert told["simulated"]["orders_per_warehouse"] == {"FAR": 1}
    assert told["simulated"]["refused_orders"] == {"out_of_stock": 2}
    assert told["differences"][-1]["simulated"]["refusal"] == "out_of_stock"


def test_a_lower_capacity_counts_days_over_it_and_refuses_strict_orders():
    warehouses = [place("NEAR", east=1)]
    two = WhatIf(changes={"NEAR": WarehouseChange(daily_capacity=2)})
    told = compared(warehouses, [one()] * 3, two)
    assert (told["stored"]["days_over_capacity"], told["simulated"]["days_over_capacity"]) == (0, 1)
    told = compared(warehouses, [one(overflow=False)] * 3, two)
    assert told["simulated"]["refused_orders"] == {"at_capacity": 1}
    full = [replace(warehouses[0], base_daily_capacity=1, override=CapacityOverride(hard_limit=2))]
    told = compared(full, [one()] * 3, WhatIf(changes={"NEAR": WarehouseChange(daily_capacity=None)}))
    assert (told["stored"]["days_over_capacity"], told["simulated"]["days_over_capacity"]) == (1, 0)


def test_what_was_given_back_is_there_again_in_both_worlds():
    warehouses = [place("NEAR", east=1, pieces=1), place("FAR", east=5, pieces=2, cost=1_500)]
    orders = [one(kept_minutes=0), one(kept_minutes=0), one()]
    told = compared(warehouses, orders, WhatIf(changes={"FAR": WarehouseChange(shipping_cost_base_minor=10)}))
    assert told["stored"]["orders_per_warehouse"] == {"NEAR": 3}
    assert told["simulated"]["orders_per_warehouse"] == {"FAR": 3}


@pytest.mark.parametrize(("factor", "served"), [(None, {"NEW": 5}), (0.5, {"NEAR": 3, "NEW": 2}), (0, {"NEAR": 5})])
def test_a_warehouse_that_was_never_there_serves_what_it_is_given(factor, served):
    new = AdditionalWarehouse(UUID(int=1), "NEW", Coordinates(0, 0), 500, None, 1, "UTC", factor)
    told = compared([place("NEAR", east=1, pieces=5)], [one()] * 5, WhatIf(additional=(new,)))
    assert told["simulated"]["orders_per_warehouse"] == served
    assert told["changed_orders"] == served.get("NEW", 0)


def test_distances_are_told_as_mean_and_nearest_rank():
    warehouses = [place("NEAR", east=1, pieces=19), place("FAR", east=9, pieces=1)]
    stored = compared(warehouses, [one()] * 20, WhatIf())["stored"]
    assert stored["p95_distance_km"] == pytest.approx(111.195, abs=0.01)
    assert stored["mean_distance_km"] == pytest.approx((19 * 111.195 + 1_000.755) / 20, abs=0.01)


# --- the record and its wording ----------------------------------------------------------------------------------


def test_a_record_without_its_inputs_is_no_decision():
    assert read_record({}) is None


def test_shoppers_are_told_scores_and_not_what_the_shop_has():
    plan = allocate([Line(TEE, 1)], None, ShippingPreference.STANDARD, [place("NEAR", east=1)])
    (candidate,) = for_shoppers(plan.reasons)["candidates"]
    assert set(candidate) == {
        *("warehouse_id", "code", "verdict", "score", "shipping_cost_minor", "distance_km", "orders_today"),
        *("effective_capacity", "utilization", "penalty"),
    }


def test_stock_is_kept_as_it_was_and_not_cut_off_at_what_was_wanted():
    plan = allocate([Line(TEE, 1)], None, ShippingPreference.STANDARD, [place("NEAR", east=1, pieces=77)])
    assert kept(plan)["candidates"][0]["stock"] == [77]


@given(line_lists, st.none() | places, preferences, warehouse_lists(pieces_max=30), st.booleans())
def test_every_decision_has_its_words(lines, destination, preference, warehouses, overflow):
    try:
        plan = allocate(lines, destination, preference, warehouses, allow_capacity_overflow=overflow)
    except (OutOfStock, CapacityExceeded):
        assume(False)
    record = kept(plan)
    words = " ".join(in_words(record))
    for share in plan.per_warehouse:
        assert share.code in words
    for candidate in record["candidates"]:
        event(candidate["verdict"])
        assert why(candidate, record)
        assert calculation(candidate, record).endswith(f"= {candidate['score']}")


@pytest.mark.parametrize(
    ("warehouses", "sentence"),
    [
        ((place("A", east=1), place("B", east=5)), "it had everything, but scores"),
        ((place("A", east=1), place("B", east=1)), "it had everything at the same score"),
        ((place("A", east=1), place("B", east=5, pieces=1)), "it had 1 of 2 pieces, while A had everything"),
        ((place("A", east=1), place("B", east=5, pieces=0)), "it had none of what was wanted"),
        (
            (place("A", east=5), place("B", east=1, base_daily_capacity=3, orders_today=3)),
            "3 orders were booked for 2025-11-20, and it takes 3: this order allowed no overflow",
        ),
    ],
)
def test_what_lost_says_why(warehouses, sentence):
    plan = allocate(
        [Line(TEE, 2)], Coordinates(0, 0), ShippingPreference.STANDARD, warehouses, allow_capacity_overflow=False
    )
    (lost,) = [each for each in kept(plan)["candidates"] if each["verdict"] != Verdict.CHOSEN]
    assert why(lost, kept(plan)).startswith(sentence)
