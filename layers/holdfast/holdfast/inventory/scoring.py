"""How well one warehouse suits one order. Lower is better:

    cost_weight x capacity penalty x (shipping cost / 1,000 minor units) + speed_weight x (distance / 1,000 km)

Cost and distance become comparable through fixed reference figures (``ScoreScale``): a parcel of 10.00 weighs as much
as 1,000 km. The figures are fixed, not the minimum and maximum among the candidates, so that a score depends on its
warehouse alone and a warehouse that is never chosen cannot change how the others compare. Scores are rounded to a
millionth and distances to a meter, so that equal warehouses tie and the reasons show exactly the figures that decided.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID

from holdfast.inventory.capacity import CapacityOverride, capacity_penalty, effective_capacity, utilization
from holdfast.values.coordinates import Coordinates, great_circle_km
from holdfast.values.shipping import ShippingPreference

_SCORE_DECIMALS: Final = 6
_DISTANCE_DECIMALS: Final = 3

Demand = tuple[tuple[UUID, int], ...]
"""What the order wants: (variant, pieces) pairs, each variant once, sorted."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much cost and distance count. They add up to 1."""

    cost: float
    speed: float


WEIGHTS: Final[Mapping[ShippingPreference, Weights]] = {
    ShippingPreference.ECONOMY: Weights(cost=0.9, speed=0.1),
    ShippingPreference.STANDARD: Weights(cost=0.7, speed=0.3),
    ShippingPreference.EXPEDITED: Weights(cost=0.3, speed=0.7),
}


@dataclass(frozen=True, slots=True)
class ScoreScale:
    """The shipping cost and the distance that score one point each. A shop whose parcels cost 500 yen sets 500."""

    cost_minor: int = 1_000
    distance_km: float = 1_000.0


DEFAULT_SCALE: Final = ScoreScale()
SINGLE_WAREHOUSE_TOLERANCE: Final = 1.15
"""A single warehouse is preferred as long as its score is at most this many times that of the best split."""
SPLIT_OVERHEAD: Final = 1.25
"""A factor on the split's shipping cost, for what further parcels cost beyond their postage."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Every figure that a decision uses besides the facts. A simulation may use other figures."""

    weights: Weights
    scale: ScoreScale = DEFAULT_SCALE
    single_tolerance: float = SINGLE_WAREHOUSE_TOLERANCE
    split_overhead: float = SPLIT_OVERHEAD

    def score(self, weighted_cost_minor: float, distance_km: float) -> float:
        """Return the score; lower is better. ``weighted_cost_minor`` is the shipping cost with its penalty applied."""
        cost = self.weights.cost * weighted_cost_minor / self.scale.cost_minor
        distance = self.weights.speed * distance_km / self.scale.distance_km
        return round(cost + distance, _SCORE_DECIMALS)


@dataclass(frozen=True, slots=True)
class Warehouse:
    """An active warehouse as the facts query read it.

    ``code`` is unique in the organization. A lower ``priority`` goes first. ``orders_today`` counts the orders booked
    on ``load_date``, the present date in the warehouse's time zone. ``available`` is on hand minus reserved; a missing
    variant counts as 0.
    """

    id: UUID
    code: str
    location: Coordinates
    priority: int
    shipping_cost_base_minor: int
    orders_today: int
    base_daily_capacity: int | None
    override: CapacityOverride | None
    load_date: date
    available: Mapping[UUID, int]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A warehouse as seen from this order. ``stock`` parallels the demand, each figure between 0 and what is wanted."""

    warehouse: Warehouse
    stock: tuple[int, ...]
    distance_km: float
    effective_capacity: int | None
    utilization: float | None
    penalty: float
    score: float

    @property
    def weighted_cost_minor(self) -> float:
        return self.warehouse.shipping_cost_base_minor * self.penalty

    @property
    def rank(self) -> tuple[float, int, str]:
        return self.score, self.warehouse.priority, self.warehouse.code

    def serves(self, demand: Demand) -> bool:
        return all(there == wanted for there, (_, wanted) in zip(self.stock, demand, strict=True))


def distance_between(place: Coordinates, other: Coordinates) -> float:
    """Return the great-circle distance in kilometers, rounded to the meter."""
    return round(great_circle_km(place, other), _DISTANCE_DECIMALS)


def appraise(warehouse: Warehouse, demand: Demand, destination: Coordinates | None, rules: Rules) -> Candidate:
    """Score the warehouse for this order. Without a destination its distance is 0."""
    distance_km = 0.0 if destination is None else distance_between(warehouse.location, destination)
    capacity = effective_capacity(warehouse.base_daily_capacity, warehouse.override)
    utilized = utilization(warehouse.orders_today, capacity)
    penalty = capacity_penalty(utilized)
    return Candidate(
        warehouse=warehouse,
        stock=tuple(max(0, min(wanted, warehouse.available.get(variant_id, 0))) for variant_id, wanted in demand),
        distance_km=distance_km,
        effective_capacity=capacity,
        utilization=utilized,
        penalty=penalty,
        score=rules.score(warehouse.shipping_cost_base_minor * penalty, distance_km),
    )
