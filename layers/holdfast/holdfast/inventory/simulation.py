"""Simulate the orders of a period: decide them again with other weights or other warehouses.

Every order is decided on the facts in its record, corrected by what the simulation did differently before it
(feedback):

    load of a warehouse and day = recorded load + (orders simulated there so far - orders that really went there)
    stock of a warehouse and variant = recorded stock - (pieces simulated from there - pieces really taken from there)

An order counts in neither sum from the moment when it gave its hold back or was cancelled. So nothing is corrected
while both agree, and the same period under the same rules reproduces exactly the decisions that were made.

What a record cannot tell is left as it was. A warehouse that was no candidate had none of the goods (or was inactive)
and comes back only with the pieces that the simulation left there. Orders before the period, later reallocations and
refunds count as they happened. Shoppers are assumed to buy the same, whatever is refused to others.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from heapq import heappop, heappush
from itertools import count
from math import floor
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from holdfast.inventory.allocation import Assignment, Plan, Warehouse, allocate
from holdfast.inventory.comparison import Comparison, Outcome
from holdfast.inventory.recorded import RecordedDecision
from holdfast.inventory.scoring import Rules, ScoreScale, Weights
from holdfast.values.coordinates import Coordinates
from holdfast.values.errors import CapacityExceeded, OutOfStock
from holdfast.values.shipping import ShippingPreference

AS_RECORDED: Final = "as_recorded"
"""The value of a capacity that the simulation does not change; None means no limit."""


class Refusal(StrEnum):
    """Why an order would not have been taken."""

    OUT_OF_STOCK = "out_of_stock"
    AT_CAPACITY = "at_capacity"


@dataclass(frozen=True, slots=True)
class WarehouseChange:
    """A warehouse as it might have been; None leaves a value as it was.

    A changed ``daily_capacity`` applies to every day: overrides do not affect it.
    """

    is_active: bool = True
    shipping_cost_base_minor: int | None = None
    priority: int | None = None
    location: Coordinates | None = None
    daily_capacity: int | str | None = AS_RECORDED


@dataclass(frozen=True, slots=True)
class AdditionalWarehouse:
    """A warehouse that never existed.

    Its initial stock of a variant is ``stock_factor`` times what all warehouses together had when the variant was first
    wanted in the period, rounded down. With None it never runs out.
    """

    id: UUID
    code: str
    location: Coordinates
    shipping_cost_base_minor: int
    daily_capacity: int | None
    priority: int
    timezone: str
    stock_factor: float | None


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What the simulation changes. None or empty leaves it as it was for each order.

    The keys of ``changes`` are warehouse codes.
    """

    weights: Mapping[ShippingPreference, Weights] = field(default_factory=dict)
    scale: ScoreScale | None = None
    single_tolerance: float | None = None
    split_overhead: float | None = None
    max_warehouses: int | None = None
    changes: Mapping[str, WarehouseChange] = field(default_factory=dict)
    additional: tuple[AdditionalWarehouse, ...] = ()

    def rules(self, decision: RecordedDecision) -> Rules:
        """Return the rules for an order: those of its decision, with the simulation's changes."""
        then = decision.rules
        return Rules(
            weights=self.weights.get(decision.preference, then.weights),
            scale=self.scale or then.scale,
            single_tolerance=then.single_tolerance if self.single_tolerance is None else self.single_tolerance,
            split_overhead=then.split_overhead if self.split_overhead is None else self.split_overhead,
        )


@dataclass(frozen=True, slots=True)
class PastOrder:
    """An order as it was decided.

    ``assignments`` are what was really held for it. ``gave_back_at`` is when the hold ended without a sale, or the sale
    was taken back.
    """

    order_id: UUID
    order_number: str
    decided_at: datetime
    destination: Coordinates | None
    decision: RecordedDecision
    assignments: tuple[Assignment, ...]
    gave_back_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Booked:
    """What an order takes: pieces from levels, and one order of each (warehouse, date)."""

    pieces: tuple[Assignment, ...]
    days: tuple[tuple[UUID, date], ...]


class Simulation:
    """A simulation that takes orders, oldest first. ``comparison`` has the results so far."""

    def __init__(self, what_if: WhatIf, timezones: Mapping[UUID, str]) -> None:
        self.comparison = Comparison()
        self._what_if = what_if
        self._timezones = {zone.id: zone.timezone for zone in what_if.additional} | dict(timezones)
        self._seen: dict[UUID, Warehouse] = {}
        self._recorded_load: dict[tuple[UUID, date], int] = {}
        self._load_shift: Counter[tuple[UUID, date]] = Counter()
        self._stock_shift: Counter[tuple[UUID, UUID]] = Counter()
        self._first_stock: dict[UUID, int] = {}
        self._ending: list[tuple[datetime, int, _Booked, _Booked]] = []
        self._count = count()

    def decide(self, order: PastOrder) -> Plan | Refusal:
        """Decide the order again, and keep the result for the orders after it."""
        self._end_holds(order.decided_at)
        self._learn(order.decision)
        warehouses = {warehouse.id: warehouse for warehouse in self._warehouses(order)}
        decided = self._plan(order, list(warehouses.values()))
        then = {warehouse.id: warehouse for warehouse in order.decision.warehouses}
        really = _booked(order.assignments, then)
        simulated = _booked(decided.assignments, warehouses) if isinstance(decided, Plan) else _Booked((), ())
        self.comparison.add(
            order.order_id,
            order.order_number,
            Outcome.of(order.assignments, then, order.destination),
            Outcome.refused(decided.value)
            if isinstance(decided, Refusal)
            else Outcome.of(decided.assignments, warehouses, order.destination),
        )
        self._book(really, simulated, 1)
        if order.gave_back_at is not None:
            heappush(self._ending, (order.gave_back_at, next(self._count), really, simulated))
        return decided

    def _plan(self, order: PastOrder, warehouses: list[Warehouse]) -> Plan | Refusal:
        decision = order.decision
        try:
            return allocate(
                decision.lines,
                order.destination,
                decision.preference,
                warehouses,
                allow_capacity_overflow=decision.allow_capacity_overflow,
                max_warehouses=self._what_if.max_warehouses or decision.max_warehouses,
                rules=self._what_if.rules(decision),
            )
        except OutOfStock:
            return Refusal.OUT_OF_STOCK
        except CapacityExceeded:
            return Refusal.AT_CAPACITY

    def _end_holds(self, now: datetime) -> None:
        while self._ending and self._ending[0][0] <= now:
            _, _, really, simulated = heappop(self._ending)
            self._book(really, simulated, -1)

    def _book(self, really: _Booked, simulated: _Booked, sign: int) -> None:
        for booked, simulates in ((really, -1), (simulated, 1)):
            for piece in booked.pieces:
                self._stock_shift[piece.warehouse_id, piece.variant_id] -= sign * simulates * piece.quantity
            for day in booked.days:
                self._load_shift[day] += sign * simulates
        for day in really.days:
            self._recorded_load[day] = self._recorded_load.get(day, 0) + sign

    def _learn(self, decision: RecordedDecision) -> None:
        for warehouse in decision.warehouses:
            self._seen[warehouse.id] = warehouse
            self._recorded_load[warehouse.id, warehouse.load_date] = warehouse.orders_today
        for line in decision.lines:
            there = sum(max(0, each.available.get(line.variant_id, 0)) for each in decision.warehouses)
            self._first_stock.setdefault(line.variant_id, there)

    def _warehouses(self, order: PastOrder) -> Iterator[Warehouse]:
        """Yield the warehouses that may serve this order: its candidates, those with pieces left, and new ones."""
        candidates = {warehouse.id: warehouse for warehouse in order.decision.warehouses}
        variants = [line.variant_id for line in order.decision.lines]
        left = {
            warehouse_id: self._emptied(warehouse, order.decided_at)
            for warehouse_id, warehouse in self._seen.items()
            if warehouse_id not in candidates
            and any(self._stock_shift[warehouse_id, variant_id] > 0 for variant_id in variants)
        }
        for warehouse in (candidates | left).values():
            shifted = self._shifted(warehouse, variants)
            change = self._what_if.changes.get(warehouse.code)
            if change is None:
                yield shifted
            elif change.is_active:
                yield _changed(shifted, change)
        for new in self._what_if.additional:
            yield self._shifted(self._additional(new, order), variants, never_ends=new.stock_factor is None)

    def _shifted(self, warehouse: Warehouse, variants: list[UUID], *, never_ends: bool = False) -> Warehouse:
        shift = {} if never_ends else {v: self._stock_shift[warehouse.id, v] for v in variants}
        return replace(
            warehouse,
            orders_today=max(0, warehouse.orders_today + self._load_shift[warehouse.id, warehouse.load_date]),
            available={v: warehouse.available.get(v, 0) + shift.get(v, 0) for v in variants},
        )

    def _emptied(self, warehouse: Warehouse, now: datetime) -> Warehouse:
        """Return a warehouse that was no candidate this time: as it was when it last was one, but without stock."""
        today = self._date(warehouse.id, now)
        return replace(
            warehouse,
            available={},
            load_date=today,
            orders_today=self._recorded_load.get((warehouse.id, today), 0),
        )

    def _additional(self, new: AdditionalWarehouse, order: PastOrder) -> Warehouse:
        factor = new.stock_factor
        return Warehouse(
            id=new.id,
            code=new.code,
            location=new.location,
            priority=new.priority,
            shipping_cost_base_minor=new.shipping_cost_base_minor,
            orders_today=0,
            base_daily_capacity=new.daily_capacity,
            override=None,
            load_date=self._date(new.id, order.decided_at),
            available={
                line.variant_id: line.quantity if factor is None else floor(self._first_stock[line.variant_id] * factor)
                for line in order.decision.lines
            },
        )

    def _date(self, warehouse_id: UUID, now: datetime) -> date:
        return now.astimezone(ZoneInfo(self._timezones.get(warehouse_id, "UTC"))).date()


def _changed(warehouse: Warehouse, change: WarehouseChange) -> Warehouse:
    capacity, override = warehouse.base_daily_capacity, warehouse.override
    if not isinstance(change.daily_capacity, str):
        capacity, override = change.daily_capacity, None
    cost, priority = change.shipping_cost_base_minor, change.priority
    return replace(
        warehouse,
        location=change.location or warehouse.location,
        shipping_cost_base_minor=warehouse.shipping_cost_base_minor if cost is None else cost,
        priority=warehouse.priority if priority is None else priority,
        base_daily_capacity=capacity,
        override=override,
    )


def _booked(assignments: tuple[Assignment, ...], warehouses: Mapping[UUID, Warehouse]) -> _Booked:
    used = dict.fromkeys(assignment.warehouse_id for assignment in assignments)
    return _Booked(assignments, tuple((each, warehouses[each].load_date) for each in used))
