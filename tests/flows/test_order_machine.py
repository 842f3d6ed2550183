"""The life of orders and their reservations as a state machine.

Whatever shoppers, staff, gateway and clock do, in any order, every order is where the model has it, and every piece is
on the shelf, set aside or sold.
"""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast.values.errors import Conflict, OutOfStock, TransitionRefused
from tests import shipping
from tests.flows.actions import authenticate, expire, ordered, status
from tests.house import House
from tests.refunding import refund

STOCK = 12
CARDS = {"good": "pm_card_visa", "declined": "pm_card_chargeDeclined", "asks": "pm_card_authenticationRequired"}
STATUS_AFTER = {"good": "confirmed", "declined": "payment_failed", "asks": "payment_processing"}
WAITS_MAX = 3
"""Each wait is half an hour. An order that nobody pays is cancelled after two hours, which another test covers."""
ANY_ORDER = st.integers(0, 50)


@dataclass
class Modelled:
    """What the model knows of an order."""

    id: str
    status: str
    quantity: int
    held: bool
    sold: bool


class Orders(RuleBasedStateMachine):
    """A shop that sells one thing, and has little of it."""

    house: House
    runs = 0

    @initialize()
    def begin(self) -> None:
        Orders.runs += 1
        self.sku = f"THING-{Orders.runs}"
        self.house.add_variant(self.sku, stock=STOCK)
        self.orders: list[Modelled] = []
        self.waits = 0

    @property
    def free(self) -> int:
        """Return how many pieces can still be promised."""
        return STOCK - sum(order.quantity for order in self.orders if order.held or order.sold)

    def pick(self, number: int, *statuses: str) -> Modelled:
        """Pick an order, as a rule in one of these statuses, and now and then any other."""
        wanted = [order for order in self.orders if order.status in statuses and number % 4]
        return (wanted or self.orders)[number % len(wanted or self.orders)]

    # --- what happens -------------------------------------------------------------------------------------------------

    @rule(quantity=st.integers(1, 5), card=st.sampled_from(sorted(CARDS)))
    def place(self, quantity: int, card: str) -> None:
        self.house.clock.advance(seconds=1)
        if quantity > self.free:
            with pytest.raises(OutOfStock):
                self.house.place({self.sku: quantity}, token=CARDS[card])
            return
        order_id = ordered(self.house, {self.sku: quantity}, token=CARDS[card])
        paid = card == "good"
        self.orders.append(Modelled(order_id, STATUS_AFTER[card], quantity, held=not paid, sold=paid))

    @precondition(lambda self: self.orders)
    @rule(number=ANY_ORDER, card=st.sampled_from(["good", "declined"]))
    def pay_again(self, number: int, card: str) -> None:
        """Pay again.

        Either after a decline, with new holds where the old ones are over, or in place of an attempt that still waits
        for its shopper.
        """
        self.house.clock.advance(seconds=1)
        order = self.pick(number, "payment_failed")
        if order.status not in ("payment_failed", "payment_processing"):
            with pytest.raises((Conflict, TransitionRefused)):
                self.house.pay_again(order.id, token=CARDS[card])
        elif not order.held and order.quantity > self.free:
            with pytest.raises(OutOfStock):
                self.house.pay_again(order.id, token=CARDS[card])
            order.status = "cancelled"
        else:
            self.house.pay_again(order.id, token=CARDS[card])
            order.status, order.held, order.sold = STATUS_AFTER[card], card != "good", card == "good"

    @precondition(lambda self: any(order.status == "payment_processing" for order in self.orders))
    @rule(number=ANY_ORDER, passed=st.booleans(), times=st.integers(1, 3))
    def authenticate(self, number: int, passed: bool, times: int) -> None:
        """Have the shopper pass or fail 3-D Secure; the gateway reports it, perhaps more than once."""
        asking = [order for order in self.orders if order.status == "payment_processing"]
        order = asking[number % len(asking)]
        authenticate(self.house, order.id, succeed=passed)
        kind = "payment_intent.succeeded" if passed else "payment_intent.payment_failed"
        *_, webhook = self.house.webhooks(kind, order_id=order.id)
        for _ in range(times):
            self.house.deliver(webhook)
            self.house.work()
        order.status = "confirmed" if passed else "payment_failed"
        order.held, order.sold = not passed, passed

    @precondition(lambda self: self.orders)
    @rule(number=ANY_ORDER)
    def cancel(self, number: int) -> None:
        order = self.pick(number, "confirmed", "payment_failed", "payment_processing")
        if order.status in ("shipped", "delivered", "refunded"):
            with pytest.raises(TransitionRefused):
                self.house.cancel(order.id)
            return
        self.house.cancel(order.id)
        order.status, order.held, order.sold = "cancelled", False, False

    @precondition(lambda self: any(order.status in ("confirmed", "shipped") for order in self.orders))
    @rule(number=ANY_ORDER)
    def move_goods(self, number: int) -> None:
        """Ship a parcel, or deliver it."""
        moving = [order for order in self.orders if order.status in ("confirmed", "shipped")]
        order = moving[number % len(moving)]
        parcel = shipping.only(self.house, order.id)
        if order.status == "confirmed":
            shipping.shipped(self.house, parcel)
            order.status = "shipped"
        else:
            shipping.deliver(self.house, parcel)
            order.status = "delivered"

    @precondition(lambda self: any(order.status in ("confirmed", "delivered") for order in self.orders))
    @rule(number=ANY_ORDER)
    def refund(self, number: int) -> None:
        """Refund all of it: goods that have not left go back to the shelf, those that arrived stay where they are."""
        paid = [order for order in self.orders if order.status in ("confirmed", "delivered")]
        order = paid[number % len(paid)]
        refund(self.house, order.id)
        order.sold = order.status == "delivered"
        order.status = "refunded" if order.sold else "cancelled"

    @precondition(
        lambda self: self.waits < WAITS_MAX and not any(order.status == "payment_processing" for order in self.orders)
    )
    @rule()
    def wait(self) -> None:
        """Let half an hour pass, after which what is set aside for unpaid orders is free again."""
        self.waits += 1
        self.house.clock.advance(seconds=timedelta(minutes=31).total_seconds())
        expire(self.house)
        for order in self.orders:
            order.held = False

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def the_database_is_where_the_model_is(self) -> None:
        held = sum(order.quantity for order in self.orders if order.held)
        sold = sum(order.quantity for order in self.orders if order.sold)
        assert self.house.stock(self.sku) == {"EWR": (STOCK - sold, held)}
        for order in self.orders:
            assert status(self.house, order.id) == order.status

    def teardown(self) -> None:
        assert self.house.violations() == []


def test_orders_and_what_is_set_aside_for_them_are_always_where_their_model_is(house: House) -> None:
    Orders.house = house
    run_state_machine_as_test(
        Orders,
        settings=settings(
            max_examples=15,
            stateful_step_count=20,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
