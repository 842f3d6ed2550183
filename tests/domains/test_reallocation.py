"""Goods are reallocated for a saving of more than a quarter of the shipping cost, and for nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.inventory.reallocation import Saving

COSTS = st.integers(0, 10**12)


@pytest.mark.parametrize(
    ("old", "new", "moves", "percent"),
    [
        (900, 300, True, 66.67),
        (900, 674, True, 25.11),
        (900, 675, False, 25.0),
        (900, 900, False, 0.0),
        (900, 1_000, False, -11.11),
        (4, 3, False, 25.0),
        (3, 2, True, 33.33),
        (1, 0, True, 100.0),
        (0, 0, False, 0.0),
        (0, 500, False, 0.0),
        (1_000_000, 749_999, True, 25.0),
    ],
)
def test_the_saving_is_a_part_of_what_it_costs_now(old: int, new: int, moves: bool, percent: float) -> None:
    saving = Saving(old, new)
    assert (saving.is_worth_moving, saving.percent, saving.saving_minor) == (moves, percent, old - new)


@pytest.mark.parametrize("costs", [(-1, 0), (0, -1)])
def test_no_parcel_costs_less_than_nothing(costs: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="a parcel that costs -1"):
        Saving(*costs)


@given(COSTS, COSTS)
def test_what_moved_for_a_saving_does_not_move_back_for_one(old: int, new: int) -> None:
    assert not (Saving(old, new).is_worth_moving and Saving(new, old).is_worth_moving)


@given(COSTS, COSTS)
def test_the_rule_is_the_constraints(old: int, new: int) -> None:
    assert Saving(old, new).is_worth_moving == ((old - new) * 4 > old)
