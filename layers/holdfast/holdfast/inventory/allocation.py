"""Which warehouses an order ships from: one decision over the whole order, with its reasons.

A pure function over facts that one query read; ``inventory.scoring`` says how a warehouse is scored. A split pays for
every parcel, and its cost carries an overhead of 25 %; it is as far away as its farthest warehouse, because the
shopper waits for the last parcel. The overhead weighs in the decision and is never booked as a cost.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import combinations
from typing import Any, Final
from uuid import UUID

from holdfast.inventory.capacity import CapacityOverride, at_capacity
from holdfast.inventory.scoring import DEFAULT_SCALE, WEIGHTS, Candidate, Demand, ScoreScale, Scoring, Warehouse
from holdfast.values.coordinates import Coordinates
from holdfast.values.errors import CapacityExceeded, OutOfStock
from holdfast.values.shipping import ShippingPreference

__all__ = [
    "Assignment",
    "CapacityOverride",
    "Line",
    "Plan",
    "ScoreScale",
    "Verdict",
    "Warehouse",
    "WarehouseShare",
    "allocate",
]

SINGLE_WAREHOUSE_TOLERANCE: Final = 1.15
"""One warehouse is preferred while its score is at most this many times the best split's."""
SPLIT_OVERHEAD: Final = 1.25
"""What a second parcel costs beyond its postage, as a factor on the split's shipping cost."""
ORDER_WAREHOUSES_MAX: Final = 3
"""The highest ``max_warehouses``: the search is exact, and 50 warehouses have 19,600 triples but 230,300 quadruples."""


@dataclass(frozen=True, slots=True)
class Line:
    """What the shopper wants. Several lines may name one variant; they are added up before anything is decided."""

    variant_id: UUID
    quantity: int

    def __post_init__(self) -> None:
        if self.quantity <= 0:
            raise ValueError(f"a line of {self.quantity} pieces")


@dataclass(frozen=True, slots=True)
class Assignment:
    """So many pieces of one variant leave from one warehouse."""

    warehouse_id: UUID
    variant_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class WarehouseShare:
    """One chosen warehouse: one parcel, one order more on its ``load_date``.

    ``score`` is the warehouse's own, not the split's. ``utilization`` is the one before this order.
    """

    warehouse_id: UUID
    code: str
    load_date: date
    shipping_cost_minor: int
    distance_km: float
    score: float
    utilization: float | None
    effective_capacity: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything leaves from.

    ``assignments`` are sorted by (warehouse, variant), the global order of row locks, with one entry for each pair.
    ``shipping_cost_minor`` is what the parcels cost the shop, without the split's overhead. ``per_warehouse`` begins
    with the better score. ``reasons`` is JSON-able: see ``Verdict`` for why each warehouse was chosen or lost.
    """

    assignments: tuple[Assignment, ...]
    is_split: bool
    shipping_cost_minor: int
    per_warehouse: tuple[WarehouseShare, ...]
    reasons: dict[str, Any]


class Verdict(StrEnum):
    """Why a warehouse was chosen, or why it lost."""

    CHOSEN = "chosen"
    NO_STOCK = "no_stock"  # it has none of the goods
    AT_CAPACITY = "at_capacity"  # it is full today and overflow was not allowed
    CANNOT_SERVE_ALONE = "cannot_serve_alone"  # it has a part; another warehouse has everything
    HIGHER_SCORE = "higher_score"  # it could serve everything at a higher score
    TIE_LOST = "tie_lost"  # the same score, but a later priority or code
    SPLIT_SCORES_BETTER = "split_scores_better"  # it could serve everything, but beyond the tolerance
    NOT_IN_BEST_SPLIT = "not_in_best_split"  # another combination scores better


@dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    """Warehouses that together serve everything, the better score first."""

    members: tuple[Candidate, ...]
    score: float

    @property
    def rank(self) -> tuple[float, list[int], list[str]]:
        warehouses = [member.warehouse for member in self.members]
        return self.score, sorted(each.priority for each in warehouses), sorted(each.code for each in warehouses)


@dataclass(frozen=True, slots=True, eq=False)
class _Decision:
    """The best of each kind, and which of the two it is."""

    chosen: _Choice
    single: _Choice | None
    split: _Choice | None


def allocate(
    lines: Sequence[Line],
    destination: Coordinates | None,
    preference: ShippingPreference,
    warehouses: Sequence[Warehouse],
    *,
    allow_capacity_overflow: bool = True,
    max_warehouses: int = 2,
    scale: ScoreScale = DEFAULT_SCALE,
) -> Plan:
    """Choose the warehouses for the whole order. The order of ``lines`` and ``warehouses`` does not matter.

    One warehouse if it can serve everything and scores at most 1.15 times the best split, else the best split over as
    few warehouses as can serve it, at most ``max_warehouses``. Ties go to the lower priority, then the code. Without
    a ``destination`` every distance is 0 and cost decides.

    Raises OutOfStock (facts: ``items`` of {variant_id, requested, available}, the short ones) when the stock of all
    warehouses does not suffice, or does only over more than ``max_warehouses``: then ``available`` is what the best
    combination can ship. Raises CapacityExceeded when, with ``allow_capacity_overflow`` off, only warehouses at their
    capacity could serve the order. Raises ValueError for no lines or a ``max_warehouses`` out of bounds.
    """
    if not lines or not 1 <= max_warehouses <= ORDER_WAREHOUSES_MAX:
        raise ValueError(f"{len(lines)} lines over at most {max_warehouses} warehouses")
    demand = _total_demand(lines)
    _refuse_shortage(demand, warehouses)
    scoring = Scoring(WEIGHTS[preference], scale)
    appraised = [scoring.appraise(warehouse, demand, destination) for warehouse in warehouses]
    candidates = sorted(appraised, key=lambda candidate: candidate.rank)
    stocked = [candidate for candidate in candidates if any(candidate.stock)]
    usable = [each for each in stocked if allow_capacity_overflow or not at_capacity(each.utilization)]
    decision = _decide(usable, demand, scoring, max_warehouses)
    if decision is None:
        if len(usable) < len(stocked) and _decide(stocked, demand, scoring, max_warehouses) is not None:
            raise CapacityExceeded("every warehouse that could serve this order is at its capacity for today")
        raise _too_scattered(demand, stocked, max_warehouses)
    members = decision.chosen.members
    return Plan(
        assignments=_distribute(members, demand),
        is_split=len(members) > 1,
        shipping_cost_minor=sum(member.warehouse.shipping_cost_base_minor for member in members),
        per_warehouse=tuple(_share(member) for member in members),
        reasons={
            "preference": preference.value,
            "weights": {"cost": scoring.weights.cost, "speed": scoring.weights.speed},
            "scale": {"cost_minor": scale.cost_minor, "distance_km": scale.distance_km},
            "allow_capacity_overflow": allow_capacity_overflow,
            "max_warehouses": max_warehouses,
            **_explain_decision(decision),
            "candidates": [_explain(each, each in usable, decision, demand) for each in candidates],
        },
    )


def _total_demand(lines: Sequence[Line]) -> Demand:
    total: Counter[UUID] = Counter()
    for line in lines:
        total[line.variant_id] += line.quantity
    return tuple(sorted(total.items()))


def _refuse_shortage(demand: Demand, warehouses: Sequence[Warehouse]) -> None:
    available = [sum(max(0, each.available.get(variant_id, 0)) for each in warehouses) for variant_id, _ in demand]
    short = _short_items(demand, available)
    if short:
        raise OutOfStock(f"not enough in stock for {len(short)} of {len(demand)} variants", items=short)


def _too_scattered(demand: Demand, stocked: list[Candidate], max_warehouses: int) -> OutOfStock:
    # The first of the largest servings: combinations come in the order of the candidates' rank.
    servings = (
        [sum(figures) for figures in zip(*(member.stock for member in members), strict=True)]
        for members in combinations(stocked, max_warehouses)
    )
    best = max(
        servings, key=lambda serving: sum(min(got, want) for got, (_, want) in zip(serving, demand, strict=True))
    )
    return OutOfStock(
        f"the goods lie too far apart: no choice of at most {max_warehouses} warehouses has everything",
        items=_short_items(demand, best),
    )


def _short_items(demand: Demand, available: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {"variant_id": str(variant_id), "requested": requested, "available": there}
        for (variant_id, requested), there in zip(demand, available, strict=True)
        if there < requested
    ]


def _decide(usable: list[Candidate], demand: Demand, scoring: Scoring, max_warehouses: int) -> _Decision | None:
    able = next((candidate for candidate in usable if candidate.serves(demand)), None)
    single = _Choice((able,), able.score) if able else None
    # A split with a warehouse that can serve everything costs more and is no nearer than that warehouse alone.
    partial = [candidate for candidate in usable if not candidate.serves(demand)]
    split = _best_split(partial, demand, scoring, max_warehouses)
    if single and (split is None or single.score <= split.score * SINGLE_WAREHOUSE_TOLERANCE):
        return _Decision(single, single, split)
    return _Decision(split, single, split) if split else None


def _best_split(partial: list[Candidate], demand: Demand, scoring: Scoring, max_warehouses: int) -> _Choice | None:
    wanted = tuple(quantity for _, quantity in demand)
    for size in range(2, max_warehouses + 1):
        able = [
            _Choice(members, _split_score(members, scoring))
            for members in combinations(partial, size)
            if all(map(_reaches, wanted, *(member.stock for member in members)))
        ]
        if able:
            return min(able, key=lambda choice: choice.rank)
    return None


def _reaches(wanted: int, *figures: int) -> bool:
    return sum(figures) >= wanted


def _split_score(members: tuple[Candidate, ...], scoring: Scoring) -> float:
    cost_minor = SPLIT_OVERHEAD * sum(member.weighted_cost_minor for member in members)
    return scoring.score(cost_minor, max(member.distance_km for member in members))


def _distribute(members: tuple[Candidate, ...], demand: Demand) -> tuple[Assignment, ...]:
    """Each variant from the best-scored member that has all of it; from several only where no member has."""
    assignments = []
    for position, (variant_id, quantity) in enumerate(demand):
        missing = quantity
        for member in sorted(members, key=lambda each: each.stock[position] < quantity):
            taken = min(missing, member.stock[position])
            if taken:
                assignments.append(Assignment(member.warehouse.id, variant_id, taken))
                missing -= taken
    return tuple(sorted(assignments, key=lambda each: (each.warehouse_id, each.variant_id)))


def _share(member: Candidate) -> WarehouseShare:
    return WarehouseShare(
        warehouse_id=member.warehouse.id,
        code=member.warehouse.code,
        load_date=member.warehouse.load_date,
        shipping_cost_minor=member.warehouse.shipping_cost_base_minor,
        distance_km=member.distance_km,
        score=member.score,
        utilization=member.utilization,
        effective_capacity=member.effective_capacity,
    )


def _explain_decision(decision: _Decision) -> dict[str, Any]:
    single, split = decision.single, decision.split
    if single is None:
        rule = "no warehouse can serve everything alone"
    elif split is None:
        rule = "no split is needed: one warehouse can serve everything, and no others can together"
    else:
        relation = "at most" if decision.chosen is single else "more than"
        rule = f"the best single warehouse scores {relation} {SINGLE_WAREHOUSE_TOLERANCE} times the best split"
    return {
        "rule": rule,
        "score": decision.chosen.score,
        "best_single": _explain_choice(single),
        "best_split": _explain_choice(split),
    }


def _explain_choice(choice: _Choice | None) -> dict[str, Any] | None:
    if choice is None:
        return None
    return {"warehouses": [member.warehouse.code for member in choice.members], "score": choice.score}


def _explain(candidate: Candidate, usable: bool, decision: _Decision, demand: Demand) -> dict[str, Any]:
    return {
        "warehouse_id": str(candidate.warehouse.id),
        "code": candidate.warehouse.code,
        "verdict": _verdict(candidate, usable, decision, demand).value,
        "score": candidate.score,
        "shipping_cost_minor": candidate.warehouse.shipping_cost_base_minor,
        "distance_km": candidate.distance_km,
        "orders_today": candidate.warehouse.orders_today,
        "effective_capacity": candidate.effective_capacity,
        "utilization": candidate.utilization,
        "penalty": candidate.penalty,
    }


def _verdict(candidate: Candidate, usable: bool, decision: _Decision, demand: Demand) -> Verdict:
    chosen = decision.chosen
    if candidate in chosen.members:
        return Verdict.CHOSEN
    if not usable:
        return Verdict.AT_CAPACITY if any(candidate.stock) else Verdict.NO_STOCK
    if not candidate.serves(demand):
        return Verdict.CANNOT_SERVE_ALONE if chosen is decision.single else Verdict.NOT_IN_BEST_SPLIT
    if chosen is not decision.single:
        return Verdict.SPLIT_SCORES_BETTER
    return Verdict.TIE_LOST if candidate.score == chosen.score else Verdict.HIGHER_SCORE
