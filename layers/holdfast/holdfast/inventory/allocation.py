"""Choose the warehouses that an order ships from: one decision for the whole order, with its reasons.

It is a pure function of facts that one query read; ``inventory.scoring`` defines how a warehouse is scored. A split
pays for every parcel, and its cost carries an overhead of 25 %. Its distance is that of its farthest warehouse, because
the shopper waits for the last parcel. The overhead counts in the decision only and is never booked as a cost.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from typing import Any, Final
from uuid import UUID

from holdfast.inventory.capacity import CapacityOverride, at_capacity
from holdfast.inventory.reasons import Choice, Decision, Verdict, reasons_of
from holdfast.inventory.scoring import WEIGHTS, Candidate, Demand, Rules, ScoreScale, Warehouse, appraise
from holdfast.values.coordinates import Coordinates
from holdfast.values.errors import CapacityExceeded, OutOfStock
from holdfast.values.shipping import ShippingPreference

__all__ = [
    "Assignment",
    "CapacityOverride",
    "Line",
    "Plan",
    "Rules",
    "ScoreScale",
    "Verdict",
    "Warehouse",
    "WarehouseShare",
    "allocate",
]

ORDER_WAREHOUSES_MAX: Final = 3
"""The highest ``max_warehouses``: the search is exact, and 50 warehouses have 19,600 triples but 230,300 quadruples."""


@dataclass(frozen=True, slots=True)
class Line:
    """What the shopper wants. Lines that name the same variant are added up before anything is decided."""

    variant_id: UUID
    quantity: int

    def __post_init__(self) -> None:
        if self.quantity <= 0:
            raise ValueError(f"a line of {self.quantity} pieces")


@dataclass(frozen=True, slots=True)
class Assignment:
    """A quantity of one variant that leaves from one warehouse."""

    warehouse_id: UUID
    variant_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class WarehouseShare:
    """One chosen warehouse: one parcel, and one more order on its ``load_date``.

    ``score`` is the warehouse's own, not the split's. ``utilization`` is as it was before this order.
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
    ``shipping_cost_minor`` is what the parcels cost the shop, without the split's overhead. ``per_warehouse`` is sorted
    by score, best first. ``reasons`` is the record of the decision, serializable to JSON (``inventory.reasons``).
    """

    assignments: tuple[Assignment, ...]
    is_split: bool
    shipping_cost_minor: int
    per_warehouse: tuple[WarehouseShare, ...]
    reasons: dict[str, Any]


def allocate(
    lines: Sequence[Line],
    destination: Coordinates | None,
    preference: ShippingPreference,
    warehouses: Sequence[Warehouse],
    *,
    allow_capacity_overflow: bool = True,
    max_warehouses: int = 2,
    rules: Rules | None = None,
) -> Plan:
    """Choose the warehouses for the whole order. The order of ``lines`` and ``warehouses`` does not matter.

    One warehouse is chosen if it can serve everything and scores at most 1.15 times the best split. Otherwise the best
    split is chosen, over as few warehouses as can serve the order and at most ``max_warehouses``. Ties go to the lower
    priority, then the lower code. Without a ``destination`` every distance is 0 and cost decides. ``rules``, if given,
    replace those of the preference.

    Raises OutOfStock (facts: ``items`` of {variant_id, requested, available}, the short ones) if the stock of all
    warehouses does not suffice, or suffices only over more than ``max_warehouses``; then ``available`` is what the best
    combination can ship. Raises CapacityExceeded if, with ``allow_capacity_overflow`` off, only warehouses at their
    capacity could complete the order. Raises ValueError for no lines or a ``max_warehouses`` out of bounds.
    """
    if not lines or not 1 <= max_warehouses <= ORDER_WAREHOUSES_MAX:
        raise ValueError(f"{len(lines)} lines over at most {max_warehouses} warehouses")
    demand = _total_demand(lines)
    _refuse_shortage(demand, warehouses)
    rules = rules or Rules(WEIGHTS[preference])
    appraised = [appraise(warehouse, demand, destination, rules) for warehouse in warehouses]
    candidates = sorted(appraised, key=lambda candidate: candidate.rank)
    stocked = [candidate for candidate in candidates if any(candidate.stock)]
    usable = [each for each in stocked if allow_capacity_overflow or not at_capacity(each.utilization)]
    decision = _decide(usable, demand, rules, max_warehouses)
    if decision is None:
        if len(usable) < len(stocked) and _decide(stocked, demand, rules, max_warehouses) is not None:
            raise CapacityExceeded("every warehouse that could serve this order is at its capacity for today")
        raise _too_scattered(demand, stocked, max_warehouses)
    members = decision.chosen.members
    return Plan(
        assignments=_distribute(members, demand),
        is_split=len(members) > 1,
        shipping_cost_minor=sum(member.warehouse.shipping_cost_base_minor for member in members),
        per_warehouse=tuple(_share(member) for member in members),
        reasons=reasons_of(
            decision,
            candidates,
            usable,
            demand,
            preference,
            rules,
            allow_capacity_overflow=allow_capacity_overflow,
            max_warehouses=max_warehouses,
        ),
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
    # ``max`` takes the first of the largest servings, and combinations come in the order of the candidates' rank.
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


def _decide(usable: list[Candidate], demand: Demand, rules: Rules, max_warehouses: int) -> Decision | None:
    able = next((candidate for candidate in usable if candidate.serves(demand)), None)
    single = Choice((able,), able.score) if able else None
    # A split with a warehouse that can serve everything costs more and is no nearer than that warehouse alone.
    partial = [candidate for candidate in usable if not candidate.serves(demand)]
    split = _best_split(partial, demand, rules, max_warehouses)
    if single and (split is None or single.score <= split.score * rules.single_tolerance):
        return Decision(single, single, split)
    return Decision(split, single, split) if split else None


def _best_split(partial: list[Candidate], demand: Demand, rules: Rules, max_warehouses: int) -> Choice | None:
    wanted = tuple(quantity for _, quantity in demand)
    for size in range(2, max_warehouses + 1):
        able = [
            Choice(members, _split_score(members, rules))
            for members in combinations(partial, size)
            if all(map(_reaches, wanted, *(member.stock for member in members)))
        ]
        if able:
            return min(able, key=lambda choice: choice.rank)
    return None


def _reaches(wanted: int, *figures: int) -> bool:
    return sum(figures) >= wanted


def _split_score(members: tuple[Candidate, ...], rules: Rules) -> float:
    cost_minor = rules.split_overhead * sum(member.weighted_cost_minor for member in members)
    return rules.score(cost_minor, max(member.distance_km for member in members))


def _distribute(members: tuple[Candidate, ...], demand: Demand) -> tuple[Assignment, ...]:
    """Take each variant from the best-scored member that has all of it, and from several only if no member has."""
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
