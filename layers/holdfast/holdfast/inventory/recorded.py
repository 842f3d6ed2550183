"""Restore a decision from its record (``inventory.reasons``) with all its inputs, ready to be made again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from holdfast.inventory.allocation import Line, Plan, Warehouse, allocate
from holdfast.inventory.capacity import CapacityOverride
from holdfast.inventory.scoring import Rules, ScoreScale, Weights
from holdfast.values.coordinates import Coordinates
from holdfast.values.shipping import ShippingPreference


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """The inputs of one decision. ``warehouses`` have the location, cost, load and stock that they had then."""

    lines: tuple[Line, ...]
    preference: ShippingPreference
    warehouses: tuple[Warehouse, ...]
    rules: Rules
    allow_capacity_overflow: bool
    max_warehouses: int

    def decide(self, destination: Coordinates | None) -> Plan:
        """Decide again, on the same facts and by the same rules. Raises what ``allocate`` raises."""
        return allocate(
            self.lines,
            destination,
            self.preference,
            self.warehouses,
            allow_capacity_overflow=self.allow_capacity_overflow,
            max_warehouses=self.max_warehouses,
            rules=self.rules,
        )


def read_record(reasons: Mapping[str, Any]) -> RecordedDecision | None:
    """Return the decision of a record, or None if the record has none or lacks its inputs."""
    if "demand" not in reasons:
        return None
    demand = sorted((UUID(variant_id), quantity) for variant_id, quantity in reasons["demand"].items())
    weights, scale = reasons["weights"], reasons["scale"]
    return RecordedDecision(
        lines=tuple(Line(variant_id, quantity) for variant_id, quantity in demand),
        preference=ShippingPreference(reasons["preference"]),
        warehouses=tuple(
            _warehouse(candidate, [variant_id for variant_id, _ in demand]) for candidate in reasons["candidates"]
        ),
        rules=Rules(
            Weights(weights["cost"], weights["speed"]),
            ScoreScale(scale["cost_minor"], scale["distance_km"]),
            reasons["single_tolerance"],
            reasons["split_overhead"],
        ),
        allow_capacity_overflow=reasons["allow_capacity_overflow"],
        max_warehouses=reasons["max_warehouses"],
    )


def _warehouse(candidate: Mapping[str, Any], variants: list[UUID]) -> Warehouse:
    override = candidate.get("override")
    return Warehouse(
        id=UUID(candidate["warehouse_id"]),
        code=candidate["code"],
        location=Coordinates(candidate["latitude"], candidate["longitude"]),
        priority=candidate["priority"],
        shipping_cost_base_minor=candidate["shipping_cost_minor"],
        orders_today=candidate["orders_today"],
        base_daily_capacity=candidate["base_daily_capacity"],
        override=None
        if override is None
        else CapacityOverride(
            multiplier=None if override["multiplier"] is None else Decimal(override["multiplier"]),
            hard_limit=override["hard_limit"],
        ),
        load_date=date.fromisoformat(candidate["load_date"]),
        available=dict(zip(variants, candidate["stock"], strict=True)),
    )
