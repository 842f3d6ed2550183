"""The operations API's responses about decisions where orders ship from, as models; see ``holdfast.web.views``."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from holdfast.inventory.reallocation import Cause, Outcome
from holdfast.inventory.reasons import Verdict
from holdfast.inventory.simulation import Refusal
from holdfast.values.shipping import ShippingPreference


class AllocationDestination(BaseModel):
    """Where the address was found to be."""

    latitude: float
    longitude: float
    quality: str | None


class AllocatedItem(BaseModel):
    """What was ordered."""

    variant_id: UUID
    sku: str
    name: str
    quantity: int


class AllocationWeights(BaseModel):
    """How much cost and distance counted."""

    cost: float
    speed: float


class AllocationScale(BaseModel):
    """The cost and the distance that counted for one point each."""

    cost_minor: int
    distance_km: float


class AllocationChoice(BaseModel):
    """Warehouses (by code) that could serve the order together."""

    warehouses: list[str]
    score: float


class AllocationOverride(BaseModel):
    """The capacity override of that day. The multiplier is a decimal text."""

    multiplier: str | None
    hard_limit: int | None


class AllocationCandidate(BaseModel):
    """A warehouse as it was at that moment, and why it was chosen or lost. ``stock`` is by variant."""

    warehouse_id: UUID
    code: str
    verdict: Verdict
    why: str
    calculation: str
    score: float
    shipping_cost_minor: int
    distance_km: float
    orders_today: int
    effective_capacity: int | None
    utilization: float | None
    penalty: float
    priority: int
    latitude: float
    longitude: float
    load_date: date
    stock: dict[str, int]
    base_daily_capacity: int | None
    override: AllocationOverride | None


class AllocationDecision(BaseModel):
    """One decision with everything that it was made on, the best candidate first. ``demand`` is pieces by variant."""

    preference: ShippingPreference
    weights: AllocationWeights
    scale: AllocationScale
    single_tolerance: float
    split_overhead: float
    allow_capacity_overflow: bool
    max_warehouses: int
    demand: dict[str, int]
    rule: str
    words: list[str]
    score: float
    best_single: AllocationChoice | None
    best_split: AllocationChoice | None
    candidates: list[AllocationCandidate]


class AllocatedPieces(BaseModel):
    """Pieces of a line that leave, or were to leave until ``superseded_at``, from one warehouse."""

    order_item_id: UUID
    variant_id: UUID
    warehouse_id: UUID
    warehouse: str
    quantity: int
    load_date: date
    shipping_cost_minor: int
    distance_km: float | None
    score: float
    decided_at: datetime
    superseded_at: datetime | None


class LaterDecision(BaseModel):
    """What was decided anew since: another address, a hold that had expired. ``honoured``: nothing moved."""

    sequence: int
    cause: Cause
    outcome: Outcome
    reason: str
    old_cost_minor: int
    new_cost_minor: int | None
    saving_minor: int | None
    from_warehouses: list[str] | None
    to_warehouses: list[str] | None
    decision: AllocationDecision | None
    decided_by: str
    decided_at: datetime


class AllocationExplained(BaseModel):
    """Why an order ships from where it does. ``decision`` is the one made at checkout, ``destination`` where it was to
    go then."""

    order_id: UUID
    order_number: str
    decided_at: datetime
    destination: AllocationDestination | None
    items: list[AllocatedItem]
    decision: AllocationDecision | None
    later_decisions: list[LaterDecision]
    allocations: list[AllocatedPieces]


class AllocationFigures(BaseModel):
    """All orders added up. The 95th percentile is the nearest rank; an order is as far as its farthest parcel."""

    orders: int
    splits: int
    shipping_cost_minor: int
    mean_distance_km: float | None
    p95_distance_km: float | None
    orders_per_warehouse: dict[str, int]
    days_over_capacity: int
    refused_orders: dict[Refusal, int]


class AllocationOutcome(BaseModel):
    """What became of one order, or would have."""

    warehouses: list[str]
    shipping_cost_minor: int
    distance_km: float | None
    is_split: bool
    refusal: Refusal | None


class AllocationDifference(BaseModel):
    """An order that would have been decided otherwise."""

    order_id: UUID
    order_number: str
    stored: AllocationOutcome
    simulated: AllocationOutcome


class AllocationSimulation(BaseModel):
    """What was decided against what would have been. ``differences`` are the first 100 of ``changed_orders``; ``cut``
    says what ended the simulation before the period's end, ``last_order_at`` how far it came."""

    starts_at: datetime
    ends_at: datetime
    orders: int
    orders_without_record: int
    cut: Literal["orders", "time"] | None
    last_order_at: datetime | None
    stored: AllocationFigures
    simulated: AllocationFigures
    changed_orders: int
    differences: list[AllocationDifference]


ANSWERS = (AllocationExplained, AllocationSimulation)
"""The models that routes refer to by name."""
