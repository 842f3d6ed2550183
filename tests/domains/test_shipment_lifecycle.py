"""The life of a shipment, and how an order follows several of them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast.fulfillment.lifecycle import NOT_LEFT, TRANSITIONS, check_step
from holdfast.orders.lifecycle import TRANSITIONS as ORDER_TRANSITIONS
from holdfast.orders.lifecycle import OrderStatus, path_following
from holdfast.orders.model import FulfillmentStatus, derive_fulfillment_status
from holdfast.values.errors import TransitionRefused
from holdfast.values.shipping import ShipmentStatus

S = ShipmentStatus
LEFT = {S.SHIPPED, S.IN_TRANSIT, S.DELIVERED}


def test_every_status_has_its_followers_and_two_are_the_end() -> None:
    assert set(TRANSITIONS) == set(S)
    assert {status for status, following in TRANSITIONS.items() if not following} == {S.DELIVERED, S.CANCELLED}
    assert TRANSITIONS[S.FAILED] == {S.DELIVERED}, "it arrived after all"


@pytest.mark.parametrize(("current", "to"), list(itertools.product(S, S)))
def test_what_is_not_listed_is_refused_with_what_is(current: ShipmentStatus, to: ShipmentStatus) -> None:
    if to in TRANSITIONS[current]:
        check_step(current, to)
        return
    with pytest.raises(TransitionRefused) as refused:
        check_step(current, to)
    assert refused.value.facts["allowed"] == sorted(TRANSITIONS[current])


def test_only_what_has_left_fails_and_only_what_has_not_is_cancelled() -> None:
    assert {status for status in S if S.FAILED in TRANSITIONS[status]} == {S.SHIPPED, S.IN_TRANSIT}
    assert {status for status in S if S.CANCELLED in TRANSITIONS[status]} == NOT_LEFT


@given(st.sampled_from(OrderStatus), st.sampled_from(FulfillmentStatus))
def test_an_order_follows_its_goods_by_steps_that_the_lifecycle_knows(
    current: OrderStatus, goods: FulfillmentStatus
) -> None:
    for step in path_following(current, goods):
        assert step in ORDER_TRANSITIONS[current]
        current = step
    assert path_following(current, goods) == ()


class Parcels(RuleBasedStateMachine):
    """Shipments that are split, failed, sent again or refunded, in any order.

    The order's status is never ahead of its shipments, never goes back, and does not wait for a shipment that nobody
    waits for.
    """

    @initialize(count=st.integers(1, 3))
    def confirmed(self, count: int) -> None:
        self.parcels = [S.PENDING] * count
        self.reshipped: set[int] = set()
        self.refunded: set[int] = set()
        self.order = OrderStatus.CONFIRMED
        self.seen = [self.order]

    def _follow(self) -> None:
        for step in path_following(self.order, self._goods()):
            assert step in ORDER_TRANSITIONS[self.order]
            self.order = step
            self.seen.append(step)

    def _goods(self) -> FulfillmentStatus:
        return derive_fulfillment_status(
            S.CANCELLED if number in self.refunded and status is not S.DELIVERED else status
            for number, status in enumerate(self.parcels)
            if number not in self.reshipped
        )

    @rule(number=st.integers(0, 5), to=st.sampled_from(S))
    def step(self, number: int, to: ShipmentStatus) -> None:
        number %= len(self.parcels)
        if number in self.reshipped or (number in self.refunded and self.parcels[number] is not S.FAILED):
            return
        if to not in TRANSITIONS[self.parcels[number]]:
            with pytest.raises(TransitionRefused):
                check_step(self.parcels[number], to)
            return
        self.parcels[number] = to
        if to is S.CANCELLED:
            self.parcels.append(S.PENDING)  # its goods wait in a new shipment
        self._follow()

    @precondition(lambda self: self._packed() is not None)
    @rule()
    def a_part_leaves(self) -> None:
        packed = self._packed()
        assert packed is not None
        self.parcels[packed] = S.SHIPPED
        self.parcels.append(S.PENDING)
        self._follow()

    @precondition(lambda self: any(self._can_be_sent_again()))
    @rule()
    def send_again(self) -> None:
        self.reshipped.add(next(number for number, can in enumerate(self._can_be_sent_again()) if can))
        self.parcels.append(S.PENDING)
        self._follow()

    @precondition(lambda self: any(self._can_be_sent_again()))
    @rule()
    def refund(self) -> None:
        self.refunded.add(next(number for number, can in enumerate(self._can_be_sent_again()) if can))
        self._follow()

    @precondition(lambda self: any(self._has_not_left()))
    @rule()
    def refund_before_it_leaves(self) -> None:
        self.refunded.add(self._has_not_left().index(True))
        self._follow()

    def _packed(self) -> int | None:
        packed = (number for number, status in enumerate(self.parcels) if status is S.PACKED)
        return next((number for number in packed if number not in self.refunded), None)

    def _has_not_left(self) -> list[bool]:
        return [status in NOT_LEFT and number not in self.refunded for number, status in enumerate(self.parcels)]

    def _can_be_sent_again(self) -> list[bool]:
        done = self.reshipped | self.refunded
        return [status is S.FAILED and number not in done for number, status in enumerate(self.parcels)]

    @invariant()
    def the_order_is_where_its_goods_got_to(self) -> None:
        ever_left = [status in LEFT | {S.FAILED} for status in self.parcels]
        done = self.reshipped | self.refunded
        live = {s for n, s in enumerate(self.parcels) if n not in done and s is not S.CANCELLED}
        assert (self.order in (OrderStatus.CONFIRMED, OrderStatus.PROCESSING)) or any(ever_left) or not live
        assert (self.order is OrderStatus.DELIVERED) == (live <= {S.DELIVERED})
        if self.order is OrderStatus.DELIVERED:
            assert OrderStatus.SHIPPED in self.seen
        if self._goods() is FulfillmentStatus.SHIPPED:
            assert self.order in (OrderStatus.SHIPPED, OrderStatus.DELIVERED)

    @invariant()
    def no_step_is_taken_twice(self) -> None:
        assert len(self.seen) == len(set(self.seen))


TestParcels = Parcels.TestCase
