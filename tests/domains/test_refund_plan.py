from collections import Counter
from dataclasses import replace
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from holdfast.payments.model import RestockReason
from holdfast.payments.refund_plan import Left, Line, PlannedRefund, Purse, Wanted, WantedItem, plan
from holdfast.values.errors import InvalidInput, RefundExceeds

A, B, CARD, VOUCHER = UUID(int=1), UUID(int=2), UUID(int=8), UUID(int=9)


def left(*, quantity: int = 3, worth: int = 100, shipping: int = 10, money: int = 110) -> Left:
    line = Line(order_item_id=A, quantity=quantity, worth_minor=worth)
    return Left((line,), shipping, (Purse(CARD, money, money),))


def test_a_line_that_its_units_do_not_divide_adds_up_unit_by_unit() -> None:
    line = Line(order_item_id=A, quantity=3, worth_minor=100)
    assert [replace(line, taken_quantity=taken, taken_minor=33 * taken).worth_of_next(1) for taken in range(3)] == [
        33,
        33,
        34,
    ]
    assert line.worth_of_next(2) == 66


@given(worth=st.integers(0, 10**6), parts=st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_however_a_line_is_divided_it_adds_up_to_what_was_paid_for_it(worth: int, parts: list[int]) -> None:
    line = Line(order_item_id=A, quantity=sum(parts), worth_minor=worth)
    for units in parts:
        taken = line.worth_of_next(units)
        assert 0 <= taken <= line.left_minor
        line = replace(line, taken_quantity=line.taken_quantity + units, taken_minor=line.taken_minor + taken)
    assert (line.taken_minor, line.left_minor) == (worth, 0)


def test_nothing_asked_for_is_everything_that_is_left() -> None:
    (refund,) = plan(left(), Wanted())
    assert (refund.amount_minor, refund.shipping_minor, refund.is_full) == (110, 10, True)
    assert [(item.quantity, item.amount_minor, item.restock_reason) for item in refund.items] == [(3, 100, None)]


def test_everything_is_no_more_than_the_money_that_is_left() -> None:
    short = replace(left(), purses=(Purse(CARD, 110, 40),))
    (refund,) = plan(short, Wanted())
    assert (refund.amount_minor, refund.shipping_minor, refund.is_full) == (40, 0, False)
    assert [(item.quantity, item.worth_minor, item.amount_minor) for item in refund.items] == [(3, 100, 40)]


@pytest.mark.parametrize(
    ("wanted", "detail"),
    [
        (Wanted(amount_minor=111), "110 can be refunded"),
        (Wanted(shipping_minor=11), "10 of the shipping"),
        (Wanted(amount_minor=101, shipping_minor=10), "110 can be refunded"),
        (Wanted(items=(WantedItem(A, 4),)), "3 of item"),
    ],
)
def test_more_than_is_left_is_refused_and_told_what_is(wanted: Wanted, detail: str) -> None:
    with pytest.raises(RefundExceeds, match=detail) as refused:
        plan(left(), wanted)
    assert refused.value.facts == {
        "refundable_minor": 110,
        "shipping_refundable_minor": 10,
        "items": [{"order_item_id": str(A), "refundable_quantity": 3, "refundable_minor": 100}],
    }


@pytest.mark.parametrize(
    "items",
    [
        (WantedItem(B, 1),),
        (WantedItem(A, 1), WantedItem(A, 1)),
        (WantedItem(A, 1, None, 34),),
        (WantedItem(A, 1, None, 0),),
    ],
    ids=["not of the order", "twice", "more than it is worth", "nothing"],
)
def test_what_no_state_allows_is_wrong_input(items: tuple[WantedItem, ...]) -> None:
    with pytest.raises(InvalidInput):
        plan(left(), Wanted(items=items))


def test_nothing_left_is_said_before_anything_else_about_the_sum() -> None:
    with pytest.raises(RefundExceeds, match="nothing is left"):
        plan(replace(left(), purses=()), Wanted())


def test_only_what_can_be_sold_again_is_restocked() -> None:
    for reason in (*RestockReason, None):
        (refund,) = plan(left(), Wanted(items=(WantedItem(A, 1, reason),)))
        assert refund.items[0].restock is (reason is RestockReason.RESELLABLE)


def test_what_one_payment_cannot_give_the_next_one_does_and_units_count_once() -> None:
    two = replace(left(), purses=(Purse(VOUCHER, 60, 60), Purse(CARD, 50, 50)))
    first, second = plan(two, Wanted())
    assert (first.payment_id, first.amount_minor, first.is_full) == (VOUCHER, 60, True)
    assert (second.payment_id, second.amount_minor, second.shipping_minor) == (CARD, 50, 10)
    assert [(i.quantity, i.worth_minor, i.amount_minor) for i in (*first.items, *second.items)] == [
        (3, 60, 60),
        (0, 40, 40),
    ]


class Refunds(RuleBasedStateMachine):
    """Compare the plan with a plain record of what was promised, over any requests, any of which may fail later."""

    kept = Bundle("kept")

    @initialize(
        lines=st.lists(st.tuples(st.integers(1, 7), st.integers(0, 5_000)), min_size=1, max_size=4),
        shipping=st.integers(0, 900),
        cuts=st.lists(st.floats(0, 1), max_size=2),
    )
    def order(self, lines: list[tuple[int, int]], shipping: int, cuts: list[float]) -> None:
        self.lines = {UUID(int=100 + n): line for n, line in enumerate(lines)}
        self.shipping = shipping
        total = shipping + sum(worth for _, worth in lines)
        edges = [0, *sorted(int(total * cut) for cut in cuts), total]
        self.purses = {UUID(int=n): b - a for n, (a, b) in enumerate(pairwise(edges)) if b > a}
        self.promised: list[PlannedRefund] = []

    def left(self) -> Left:
        items = [item for refund in self.promised for item in refund.items]
        out = Counter[UUID]()
        for refund in self.promised:
            out[refund.payment_id] += refund.amount_minor
        return Left(
            tuple(
                Line(
                    order_item_id=key,
                    quantity=quantity,
                    worth_minor=worth,
                    taken_quantity=sum(item.quantity for item in items if item.order_item_id == key),
                    taken_minor=sum(item.worth_minor for item in items if item.order_item_id == key),
                )
                for key, (quantity, worth) in self.lines.items()
            ),
            self.shipping - sum(refund.shipping_minor for refund in self.promised),
            tuple(Purse(key, captured, captured - out[key]) for key, captured in self.purses.items()),
        )

    @rule(
        target=kept,
        units=st.lists(st.integers(0, 4), min_size=4, max_size=4),
        fee=st.integers(0, 50),
        amount=st.integers(0, 3_000),
        shipping=st.integers(0, 500),
    )
    def ask(self, units: list[int], fee: int, amount: int, shipping: int) -> tuple[PlannedRefund, ...]:
        before = self.left()
        items = tuple(
            WantedItem(line.order_item_id, count, None, max(0, line.worth_of_next(count) - fee) if fee > 40 else None)
            for line, count in zip(before.lines, units, strict=False)
            if 0 < count <= line.left_quantity
        )
        wanted = Wanted(items, 0 if items else amount, shipping)
        try:
            made = plan(before, wanted)
        except (RefundExceeds, InvalidInput):
            return ()
        asked = sum(item.amount_minor for refund in made for item in refund.items) + wanted.amount_minor + shipping
        if not wanted.is_everything:
            assert sum(refund.amount_minor for refund in made) == asked
            assert sum(refund.shipping_minor for refund in made) == shipping
        self.promised += made
        return made

    @rule(refunds=consumes(kept))
    def fail_later(self, refunds: tuple[PlannedRefund, ...]) -> None:
        for refund in refunds:
            self.promised.remove(refund)

    @invariant()
    def no_more_is_promised_than_there_is(self) -> None:
        now = self.left()
        assert now.shipping_minor >= 0
        assert all(0 <= purse.left_minor <= purse.captured_minor for purse in now.purses)
        assert all(line.left_quantity >= 0 and line.left_minor >= 0 for line in now.lines)
        for refund in self.promised:
            parts = refund.shipping_minor + sum(item.amount_minor for item in refund.items)
            assert refund.amount_minor > 0
            assert parts <= refund.amount_minor
            assert all(0 <= item.amount_minor <= item.worth_minor for item in refund.items)

    def teardown(self) -> None:
        """Whatever came before, refunding all that is left gives everything back, to the last minor unit."""
        if not hasattr(self, "promised") or self.left().refundable_minor == 0:
            return
        self.promised += plan(self.left(), Wanted())
        end = self.left()
        assert end.refundable_minor == 0
        assert all(line.left_quantity == 0 and line.left_minor == 0 for line in end.lines)
        assert sum(refund.amount_minor for refund in self.promised) == sum(self.purses.values())


TestRefunds = Refunds.TestCase
