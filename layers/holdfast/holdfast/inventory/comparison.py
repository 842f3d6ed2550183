"""Compare the decisions that were made with those of a simulation: figures of both, and the orders that differ."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from math import ceil
from typing import Any, Final, Self
from uuid import UUID

from holdfast.inventory.allocation import Assignment, Warehouse
from holdfast.inventory.capacity import effective_capacity
from holdfast.inventory.scoring import distance_between
from holdfast.values.coordinates import Coordinates

DIFFERENCES_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one order.

    ``distance_km`` is that of its farthest parcel, or None without a destination or if the order was refused.
    ``days_over`` are the (warehouse code, date) pairs that this order took beyond capacity.
    """

    assignments: tuple[Assignment, ...]
    warehouses: tuple[str, ...]
    shipping_cost_minor: int
    distance_km: float | None
    days_over: frozenset[tuple[str, date]]
    refusal: str | None = None

    @classmethod
    def of(
        cls,
        assignments: tuple[Assignment, ...],
        warehouses: Mapping[UUID, Warehouse],
        destination: Coordinates | None,
    ) -> Self:
        """Return the outcome of an order that was served. ``warehouses`` are as they were before it."""
        used = [warehouses[each] for each in sorted({assignment.warehouse_id for assignment in assignments})]
        distances = [distance_between(each.location, destination) for each in used] if destination else []
        return cls(
            assignments=tuple(sorted(assignments, key=lambda each: (each.warehouse_id, each.variant_id))),
            warehouses=tuple(sorted(each.code for each in used)),
            shipping_cost_minor=sum(each.shipping_cost_base_minor for each in used),
            distance_km=max(distances, default=None),
            days_over=frozenset((each.code, each.load_date) for each in used if _overflows(each)),
        )

    @classmethod
    def refused(cls, why: str) -> Self:
        """Return the outcome of an order that would not have been taken."""
        return cls((), (), 0, None, frozenset(), why)

    def to_json(self) -> dict[str, Any]:
        """Return the representation that the API uses."""
        return {
            "warehouses": list(self.warehouses),
            "shipping_cost_minor": self.shipping_cost_minor,
            "distance_km": self.distance_km,
            "is_split": len(self.warehouses) > 1,
            "refusal": self.refusal,
        }


@dataclass(slots=True)
class Figures:
    """The totals of all orders of one side."""

    orders: int = 0
    splits: int = 0
    shipping_cost_minor: int = 0
    distances_km: list[float] = field(default_factory=list)
    orders_of: Counter[str] = field(default_factory=Counter)
    days_over: set[tuple[str, date]] = field(default_factory=set)
    refusals: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Add one order."""
        if outcome.refusal is not None:
            self.refusals[outcome.refusal] += 1
            return
        self.orders += 1
        self.splits += len(outcome.warehouses) > 1
        self.shipping_cost_minor += outcome.shipping_cost_minor
        self.orders_of.update(outcome.warehouses)
        self.days_over |= outcome.days_over
        if outcome.distance_km is not None:
            self.distances_km.append(outcome.distance_km)

    def to_json(self) -> dict[str, Any]:
        """Return the representation that the API uses. The 95th percentile is by the nearest-rank method."""
        distances = sorted(self.distances_km)
        return {
            "orders": self.orders,
            "splits": self.splits,
            "shipping_cost_minor": self.shipping_cost_minor,
            "mean_distance_km": round(sum(distances) / len(distances), 3) if distances else None,
            "p95_distance_km": distances[ceil(0.95 * len(distances)) - 1] if distances else None,
            "orders_per_warehouse": dict(sorted(self.orders_of.items())),
            "days_over_capacity": len(self.days_over),
            "refused_orders": dict(sorted(self.refusals.items())),
        }


@dataclass(slots=True)
class Comparison:
    """The figures of both sides, and the first orders that differ."""

    stored: Figures = field(default_factory=Figures)
    simulated: Figures = field(default_factory=Figures)
    changed_orders: int = 0
    differences: list[dict[str, Any]] = field(default_factory=list)

    def add(self, order_id: UUID, order_number: str, stored: Outcome, simulated: Outcome) -> None:
        """Add one order, with what was decided and what would have been."""
        self.stored.add(stored)
        self.simulated.add(simulated)
        if stored.assignments == simulated.assignments:
            return
        self.changed_orders += 1
        if len(self.differences) < DIFFERENCES_MAX:
            both = {"stored": stored.to_json(), "simulated": simulated.to_json()}
            self.differences.append({"order_id": str(order_id), "order_number": order_number, **both})

    def to_json(self) -> dict[str, Any]:
        """Return the representation that the API uses."""
        return {
            "stored": self.stored.to_json(),
            "simulated": self.simulated.to_json(),
            "changed_orders": self.changed_orders,
            "differences": self.differences,
        }


def _overflows(warehouse: Warehouse) -> bool:
    capacity = effective_capacity(warehouse.base_daily_capacity, warehouse.override)
    return capacity is not None and warehouse.orders_today + 1 > capacity
