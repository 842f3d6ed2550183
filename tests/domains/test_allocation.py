import json
from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest

from holdfast.inventory.allocation import (
    Assignment,
    CapacityOverride,
    Line,
    Plan,
    Rules,
    ScoreScale,
    Verdict,
    Warehouse,
    allocate,
)
from holdfast.inventory.scoring import WEIGHTS
from holdfast.values.coordinates import Coordinates, great_circle_km
from holdfast.values.errors import CapacityExceeded, OutOfStock
from holdfast.values.shipping import ShippingPreference

ECONOMY, STANDARD, EXPEDITED = ShippingPreference
TEE, MUG, CAP = UUID(int=101), UUID(int=102), UUID(int=103)
SHOPPER = Coordinates(0, 0)
TODAY = date(2025, 11, 20)


def warehouse(
    code: str, available: dict[UUID, int], *, east: float = 0, cost: int = 1_000, **fields: object
) -> Warehouse:
    """Return a warehouse on the equator, ``east`` degrees of longitude (111 km each) away from the shopper."""
    defaults = {
        "id": UUID(int=ord(code[0])),
        "priority": 1,
        "orders_today": 0,
        "base_daily_capacity": None,
        "override": None,
        "load_date": TODAY,
    }
    place = Coordinates(0, east)
    return Warehouse(code=code, location=place, shipping_cost_base_minor=cost, available=available, **defaults | fields)


def plan_for(
    lines: dict[UUID, int], *warehouses: Warehouse, preference: ShippingPreference = STANDARD, **options: object
) -> Plan:
    wanted = [Line(variant_id, quantity) for variant_id, quantity in lines.items()]
    return allocate(wanted, SHOPPER, preference, warehouses, **options)


def codes(plan: Plan) -> list[str]:
    return sorted(share.code for share in plan.per_warehouse)


def verdicts(plan: Plan) -> dict[str, str]:
    return {candidate["code"]: candidate["verdict"] for candidate in plan.reasons["candidates"]}


@pytest.mark.parametrize(("preference", "chosen"), [(ECONOMY, "CHEAP"), (STANDARD, "CHEAP"), (EXPEDITED, "NEAR")])
def test_economy_saves_money_and_expedited_saves_distance(preference, chosen):
    cheap = warehouse("CHEAP", {TEE: 1}, cost=500, east=10)
    near = warehouse("NEAR", {TEE: 1}, cost=1_300, east=1)
    assert codes(plan_for({TEE: 1}, cheap, near, preference=preference)) == [chosen]


@pytest.mark.parametrize(
    ("preference", "score"), [(ECONOMY, 0.9 * 1.5 + 0.1), (STANDARD, 0.7 * 1.5 + 0.3), (EXPEDITED, 0.3 * 1.5 + 0.7)]
)
def test_the_score_weighs_ten_of_cost_like_a_thousand_kilometers(preference, score):
    degrees = 1_000 / great_circle_km(Coordinates(0, 0), Coordinates(0, 1))
    plan = plan_for({TEE: 1}, warehouse("A", {TEE: 1}, cost=1_500, east=degrees), preference=preference)
    assert plan.per_warehouse[0].score == pytest.approx(score, abs=1e-6)
    assert plan.per_warehouse[0].distance_km == pytest.approx(1_000, abs=1e-3)


def test_a_shop_sets_the_scale_of_its_own_currency():
    near, cheap = warehouse("NEAR", {TEE: 1}, cost=1_500), warehouse("CHEAP", {TEE: 1}, cost=1_000, east=9)
    assert codes(plan_for({TEE: 1}, near, cheap)) == ["CHEAP"]
    assert codes(plan_for({TEE: 1}, near, cheap, rules=Rules(WEIGHTS[STANDARD], ScoreScale(cost_minor=10_000)))) == [
        "NEAR"
    ]


def test_the_capacity_penalty_raises_the_cost_but_never_blocks():
    busy = warehouse("BUSY", {TEE: 1}, cost=1_000, orders_today=110, base_daily_capacity=100)
    idle = warehouse("IDLE", {TEE: 1}, cost=1_150)
    assert codes(plan_for({TEE: 1}, busy, idle)) == ["IDLE"]
    assert codes(plan_for({TEE: 1}, busy)) == ["BUSY"]
    assert plan_for({TEE: 1}, busy).shipping_cost_minor == 1_000


def test_an_override_changes_the_capacity_of_the_day():
    full = {"orders_today": 50, "base_daily_capacity": 100}
    limited = warehouse("A", {TEE: 1}, override=CapacityOverride(multiplier=Decimal("0.5")), **full)
    share = plan_for({TEE: 1}, limited).per_warehouse[0]
    assert (share.effective_capacity, share.utilization) == (50, 1.0)
    with pytest.raises(CapacityExceeded):
        plan_for({TEE: 1}, limited, allow_capacity_overflow=False)


def test_without_overflow_a_warehouse_at_its_capacity_is_out():
    full = warehouse("FULL", {TEE: 1}, cost=100, orders_today=5, base_daily_capacity=5)
    idle = warehouse("IDLE", {TEE: 1}, cost=900)
    plan = plan_for({TEE: 1}, full, idle, allow_capacity_overflow=False)
    assert verdicts(plan) == {"FULL": Verdict.AT_CAPACITY, "IDLE": Verdict.CHOSEN}


def test_stock_that_only_full_warehouses_have_is_a_capacity_error_and_not_a_shortage():
    full = warehouse("FULL", {TEE: 1}, orders_today=5, base_daily_capacity=5)
    idle = warehouse("IDLE", {MUG: 1})
    with pytest.raises(CapacityExceeded):
        plan_for({TEE: 1, MUG: 1}, full, idle, allow_capacity_overflow=False)
    with pytest.raises(OutOfStock):
        plan_for({TEE: 2}, full, idle, allow_capacity_overflow=False)


def test_one_warehouse_is_preferred_up_to_115_percent_of_the_splits_score():
    # Economy at no distance: the score is 0.9 x cost / 1000, and a split multiplies the cost by 1.25.
    # The limit for a single warehouse is therefore 1.15 x 1.25 x (400 + 400) = 1150.
    parts = warehouse("A", {TEE: 1}, cost=400), warehouse("B", {MUG: 1}, cost=400)
    for cost, chosen in ((1_149, ["W"]), (1_151, ["A", "B"])):
        plan = plan_for({TEE: 1, MUG: 1}, warehouse("W", {TEE: 1, MUG: 1}, cost=cost), *parts, preference=ECONOMY)
        assert codes(plan) == chosen


def test_a_split_costs_what_its_parcels_cost_without_the_overhead():
    plan = plan_for({TEE: 1, MUG: 1}, warehouse("A", {TEE: 1}, cost=400), warehouse("B", {MUG: 1}, cost=450))
    assert plan.is_split
    assert plan.shipping_cost_minor == 850
    assert sum(share.shipping_cost_minor for share in plan.per_warehouse) == 850


def test_a_split_is_as_far_as_its_farthest_warehouse():
    plan = plan_for(
        {TEE: 1, MUG: 1}, warehouse("A", {TEE: 1}, cost=0, east=3), warehouse("B", {MUG: 1}, cost=0, east=5)
    )
    farthest = max(share.distance_km for share in plan.per_warehouse)
    assert plan.reasons["score"] == pytest.approx(0.3 * farthest / 1_000, abs=1e-6)


def test_the_choice_is_made_over_the_whole_order_and_not_line_by_line():
    # Decided line by line, TEE would ship from A, MUG from B and CAP from C.
    a = warehouse("A", {TEE: 1}, cost=100)
    b = warehouse("B", {MUG: 1}, cost=100)
    c = warehouse("C", {CAP: 1}, cost=100)
    all_of_it = warehouse("W", {TEE: 1, MUG: 1, CAP: 1}, cost=2_000)
    assert codes(plan_for({TEE: 1, MUG: 1, CAP: 1}, a, b, c, all_of_it)) == ["W"]


def test_a_variant_is_divided_only_where_no_warehouse_of_the_split_has_all_of_it():
    a = warehouse("A", {TEE: 3, MUG: 5}, cost=100)
    b = warehouse("B", {TEE: 4, MUG: 1, CAP: 2}, cost=200)
    plan = plan_for({TEE: 4, MUG: 6, CAP: 2}, a, b)
    assert plan.assignments == (
        Assignment(a.id, MUG, 5),
        Assignment(b.id, TEE, 4),
        Assignment(b.id, MUG, 1),
        Assignment(b.id, CAP, 2),
    )


def test_two_lines_of_one_variant_are_added_up():
    lines = [Line(TEE, 1), Line(TEE, 1)]
    with pytest.raises(OutOfStock) as short:
        allocate(lines, SHOPPER, STANDARD, [warehouse("A", {TEE: 1})])
    assert short.value.facts["items"] == [{"variant_id": str(TEE), "requested": 2, "available": 1}]
    plan = allocate(lines, SHOPPER, STANDARD, [warehouse("A", {TEE: 2})])
    assert [assignment.quantity for assignment in plan.assignments] == [2]


def test_each_short_item_is_named_with_what_there_is():
    with pytest.raises(OutOfStock) as short:
        plan_for({TEE: 5, MUG: 1, CAP: 1}, warehouse("A", {TEE: 2, MUG: 9}), warehouse("B", {TEE: 1}))
    assert short.value.facts["items"] == [
        {"variant_id": str(TEE), "requested": 5, "available": 3},
        {"variant_id": str(CAP), "requested": 1, "available": 0},
    ]


def test_a_negative_stock_figure_does_not_spoil_the_total():
    assert codes(plan_for({TEE: 2}, warehouse("A", {TEE: -5}), warehouse("B", {TEE: 2}))) == ["B"]


def test_goods_in_more_warehouses_than_an_order_may_use_are_told_as_what_the_best_choice_has():
    scattered = [warehouse("A", {TEE: 1}), warehouse("B", {TEE: 3}), warehouse("C", {TEE: 2})]
    with pytest.raises(OutOfStock) as short:
        plan_for({TEE: 6}, *scattered)
    assert short.value.facts["items"] == [{"variant_id": str(TEE), "requested": 6, "available": 5}]
    assert codes(plan_for({TEE: 6}, *scattered, max_warehouses=3)) == ["A", "B", "C"]
    assert codes(plan_for({TEE: 5}, *scattered, max_warehouses=3)) == ["B", "C"]


def test_a_shop_may_forbid_splits():
    with pytest.raises(OutOfStock):
        plan_for({TEE: 2}, warehouse("A", {TEE: 1}), warehouse("B", {TEE: 1}), max_warehouses=1)


@pytest.mark.parametrize("max_warehouses", [0, 4])
def test_the_number_of_warehouses_has_a_bound(max_warehouses):
    with pytest.raises(ValueError, match="warehouses"):
        plan_for({TEE: 1}, warehouse("A", {TEE: 1}), max_warehouses=max_warehouses)


def test_no_lines_and_lines_of_nothing_are_refused():
    with pytest.raises(ValueError, match="0 lines"):
        plan_for({}, warehouse("A", {TEE: 1}))
    with pytest.raises(ValueError, match="0 pieces"):
        Line(TEE, 0)


def test_without_a_place_every_distance_is_0_and_cost_decides():
    far_and_cheap, near = warehouse("FAR", {TEE: 1}, cost=999, east=150), warehouse("NEAR", {TEE: 1}, cost=1_000)
    plan = allocate([Line(TEE, 1)], None, EXPEDITED, [far_and_cheap, near])
    assert codes(plan) == ["FAR"]
    assert {candidate["distance_km"] for candidate in plan.reasons["candidates"]} == {0.0}


def test_ties_go_to_the_lower_priority_and_then_to_the_code():
    first, second = warehouse("Z", {TEE: 1}, priority=1), warehouse("A", {TEE: 1}, priority=2)
    assert codes(plan_for({TEE: 1}, second, first)) == ["Z"]
    assert codes(plan_for({TEE: 1}, first, warehouse("B", {TEE: 1}, priority=1))) == ["B"]
    assert verdicts(plan_for({TEE: 1}, second, first))["A"] == Verdict.TIE_LOST


def test_the_reasons_say_why_each_warehouse_was_chosen_or_lost():
    warehouses = [
        warehouse("BEST", {TEE: 1, MUG: 1}, cost=500),
        warehouse("DEAR", {TEE: 1, MUG: 1}, cost=900),
        warehouse("PART", {TEE: 1}, cost=100),
        warehouse("VOID", {CAP: 9}, cost=100),
    ]
    plan = plan_for({TEE: 1, MUG: 1}, *warehouses)
    assert verdicts(plan) == {
        "BEST": Verdict.CHOSEN,
        "DEAR": Verdict.HIGHER_SCORE,
        "PART": Verdict.CANNOT_SERVE_ALONE,
        "VOID": Verdict.NO_STOCK,
    }
    assert plan.reasons["best_single"] == {"warehouses": ["BEST"], "score": 0.35}
    assert plan.reasons["best_split"] is None


def test_the_reasons_of_a_split_say_what_it_won_against():
    warehouses = [
        warehouse("A", {TEE: 1}, cost=100),
        warehouse("B", {MUG: 1}, cost=100),
        warehouse("C", {MUG: 1}, cost=300),
        warehouse("W", {TEE: 1, MUG: 1}, cost=3_000),
    ]
    plan = plan_for({TEE: 1, MUG: 1}, *warehouses)
    assert verdicts(plan) == {
        "A": Verdict.CHOSEN,
        "B": Verdict.CHOSEN,
        "C": Verdict.NOT_IN_BEST_SPLIT,
        "W": Verdict.SPLIT_SCORES_BETTER,
    }
    assert plan.reasons["best_split"] == {"warehouses": ["A", "B"], "score": 0.175}
    assert plan.reasons["rule"] == "the best single warehouse scores more than 1.15 times the best split"


def test_the_reasons_are_json():
    plan = plan_for({TEE: 1}, warehouse("A", {TEE: 1}, orders_today=3, base_daily_capacity=0))
    assert json.loads(json.dumps(plan.reasons, allow_nan=False)) == plan.reasons


def test_the_shares_carry_the_warehouses_own_date():
    tomorrow = date(2025, 11, 21)
    assert plan_for({TEE: 1}, warehouse("A", {TEE: 1}, load_date=tomorrow)).per_warehouse[0].load_date == tomorrow
