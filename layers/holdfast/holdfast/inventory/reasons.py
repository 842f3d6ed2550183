"""The record that an order keeps of its allocation: what was decided, and why.

The record holds every input of the decision beside its outcome, so that ``inventory.recorded`` can repeat the decision
from it: the demand, the rules with their figures, and the facts about each candidate at that moment (warehouses move,
and their stock and costs change). Only the destination is left out. It stays on the order, because it tells where
somebody lives.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from holdfast.inventory.scoring import Candidate, Demand, Rules
from holdfast.values.shipping import ShippingPreference

_INPUTS: Final = frozenset(
    {"priority", "latitude", "longitude", "load_date", "stock", "base_daily_capacity", "override"}
)
"""The fields of a candidate that are internal to the shop. A shopper who asks for a quote sees only the others."""


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
class Choice:
    """Warehouses that together serve everything, sorted by score, best first."""

    members: tuple[Candidate, ...]
    score: float

    @property
    def rank(self) -> tuple[float, list[int], list[str]]:
        warehouses = [member.warehouse for member in self.members]
        return self.score, sorted(each.priority for each in warehouses), sorted(each.code for each in warehouses)


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """The best single warehouse and the best split, and which of the two was chosen."""

    chosen: Choice
    single: Choice | None
    split: Choice | None


def reasons_of(
    decision: Decision,
    candidates: list[Candidate],
    usable: list[Candidate],
    demand: Demand,
    preference: ShippingPreference,
    rules: Rules,
    *,
    allow_capacity_overflow: bool,
    max_warehouses: int,
) -> dict[str, Any]:
    """Return the record, serializable to JSON.

    A candidate's ``stock`` is what it had of each variant of the ``demand``, in the order of the demand, which is
    sorted by variant. It is not capped at what was wanted.
    """
    return {
        "preference": preference.value,
        "weights": {"cost": rules.weights.cost, "speed": rules.weights.speed},
        "scale": {"cost_minor": rules.scale.cost_minor, "distance_km": rules.scale.distance_km},
        "single_tolerance": rules.single_tolerance,
        "split_overhead": rules.split_overhead,
        "allow_capacity_overflow": allow_capacity_overflow,
        "max_warehouses": max_warehouses,
        "demand": {str(variant_id): quantity for variant_id, quantity in demand},
        **_outcome(decision, rules),
        "candidates": [_explain(each, each in usable, decision, demand) for each in candidates],
    }


def for_shoppers(reasons: dict[str, Any]) -> dict[str, Any]:
    """Return the reasons without the fields that are internal to the shop, such as its stock and its base capacity."""
    candidates = [
        {name: value for name, value in candidate.items() if name not in _INPUTS} for candidate in reasons["candidates"]
    ]
    return reasons | {"candidates": candidates}


def _outcome(decision: Decision, rules: Rules) -> dict[str, Any]:
    single, split = decision.single, decision.split
    if single is None:
        rule = "no warehouse can serve everything alone"
    elif split is None:
        rule = "no split is needed: one warehouse can serve everything, and no others can together"
    else:
        relation = "at most" if decision.chosen is single else "more than"
        rule = f"the best single warehouse scores {relation} {rules.single_tolerance} times the best split"
    return {
        "rule": rule,
        "score": decision.chosen.score,
        "best_single": _told(single),
        "best_split": _told(split),
    }


def _told(choice: Choice | None) -> dict[str, Any] | None:
    if choice is None:
        return None
    return {"warehouses": [member.warehouse.code for member in choice.members], "score": choice.score}


def _explain(candidate: Candidate, usable: bool, decision: Decision, demand: Demand) -> dict[str, Any]:
    warehouse = candidate.warehouse
    explained: dict[str, Any] = {
        "warehouse_id": str(warehouse.id),
        "code": warehouse.code,
        "verdict": _verdict(candidate, usable, decision, demand).value,
        "score": candidate.score,
        "shipping_cost_minor": warehouse.shipping_cost_base_minor,
        "distance_km": candidate.distance_km,
        "orders_today": warehouse.orders_today,
        "effective_capacity": candidate.effective_capacity,
        "utilization": candidate.utilization,
        "penalty": candidate.penalty,
        "priority": warehouse.priority,
        "latitude": warehouse.location.latitude,
        "longitude": warehouse.location.longitude,
        "load_date": warehouse.load_date.isoformat(),
        "stock": [warehouse.available.get(variant_id, 0) for variant_id, _ in demand],
        "base_daily_capacity": warehouse.base_daily_capacity,
    }
    if warehouse.override is not None:
        multiplier = warehouse.override.multiplier
        explained["override"] = {
            "multiplier": None if multiplier is None else str(multiplier),
            "hard_limit": warehouse.override.hard_limit,
        }
    return explained


def _verdict(candidate: Candidate, usable: bool, decision: Decision, demand: Demand) -> Verdict:
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
