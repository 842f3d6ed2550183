"""What was paid beyond the price is owed once, whatever was decided before and whatever else is refunded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.payments.price_difference import owed_minor


@pytest.mark.parametrize(
    ("price", "taken", "decided", "returnable", "owed"),
    [
        (90, 100, 0, 100, 10),  # the price fell after it was paid
        (90, 100, 10, 90, 0),  # the same, but that refund is already decided
        (80, 100, 10, 90, 10),  # the price fell again
        (100, 100, 0, 100, 0),
        (90, 0, 0, 0, 0),  # nothing was taken
        (90, 60, 0, 60, 0),  # less was taken than the price
        (90, 100, 0, 0, 0),  # all of it was refunded
        (90, 100, 0, 4, 4),  # nearly all of it was lost in a dispute
        (90, 100, 0, -5, 0),
    ],
)
def test_what_is_owed(price: int, taken: int, decided: int, returnable: int, owed: int) -> None:
    assert owed_minor(price_minor=price, taken_minor=taken, decided_minor=decided, returnable_minor=returnable) == owed


@given(st.integers(0, 1_000), st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 300)), max_size=12), st.data())
def test_however_often_it_is_asked_the_same_money_goes_back_once(
    taken: int, falls: list[tuple[int, int]], data: st.DataObject
) -> None:
    price, differences, others = taken, 0, 0
    for fall, refund in falls:
        price = max(0, price - fall)
        for _ in range(data.draw(st.integers(1, 3))):
            differences += owed_minor(
                price_minor=price,
                taken_minor=taken,
                decided_minor=differences,
                returnable_minor=taken - differences - others,
            )
            assert differences <= taken - price
        others += min(refund, taken - differences - others)
        assert differences + others <= taken
