"""Stock counts as a state machine.

Whatever shoppers, staff and gateway do, in any order, a count of the pieces that are there does not change what can be
sold.
"""

from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

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

from holdfast.fulfillment.lifecycle import FailureReason
from holdfast.payments.model import RestockReason
from holdfast.payments.refund_plan import Wanted, WantedItem
from holdfast.values.errors import Conflict, OutOfStock, RefundExceeds, TransitionRefused
from tests import shipping
from tests.counting import counted, level
from tests.flows.actions import ordered, resume
from tests.flows.reviewing import NOWHERE_NEAR
from tests.house import House
from tests.premises import DENVER
from tests.refunding import refund

ANY = st.integers(0, 50)
REASONS = (None, RestockReason.RESELLABLE, RestockReason.DAMAGED)


class Shelves(RuleBasedStateMachine):
    """A shop that sells one thing.

    The model is what lies in its warehouses. It is known from what was received, what was put on a truck, what shoppers
    sent back and what broke, and from nothing that is sold.
    """

    house: House
    stock: Mapping[str, int]
    runs = 0

    @initialize()
    def begin(self) -> None:
        Shelves.runs += 1
        self.sku = f"THING-{Shelves.runs}"
        self.house.add_variant(self.sku, stock=self.stock)
        self.there = sum(self.stock.values())
        self.orders: list[str] = []
        self.refuses_once = False

    def parcels(self, *statuses: str) -> list[dict[str, object]]:
        """Return the shipments of all orders that are in one of these statuses."""
        every = (one for order_id in self.orders for one in shipping.shipments(self.house, order_id))
        return [one for one in every if one["status"] in statuses]

    # --- what happens -------------------------------------------------------------------------------------------------

    @rule(quantity=st.integers(1, 6), card=st.sampled_from(["pm_card_visa", "pm_card_chargeDeclined"]), known=ANY)
    def place(self, quantity: int, card: str, known: int) -> None:
        """Place an order. One address in five needs a review."""
        self.house.clock.advance(seconds=1)
        with suppress(OutOfStock):
            address = DENVER if known % 5 else NOWHERE_NEAR
            self.orders.append(ordered(self.house, {self.sku: quantity}, token=card, address=address))

    @rule(number=ANY, part=st.booleans())
    def ship(self, number: int, part: bool) -> None:
        if parcels := self.parcels("pending", "picked", "packed"):
            parcel = parcels[number % len(parcels)]
            quantity = 1 if part else sum(item["quantity"] for item in parcel["items"])  # type: ignore[attr-defined]
            shipping.shipped(self.house, parcel, items={self.sku: 1} if part else None)
            self.there -= quantity

    @rule(number=ANY, picks=st.booleans())
    def handle(self, number: int, picks: bool) -> None:
        """Pick a shipment off the shelf, or put one back."""
        if parcels := self.parcels(*(("pending",) if picks else ("picked", "packed"))):
            parcel = parcels[number % len(parcels)]
            shipping.pick(self.house, parcel) if picks else shipping.call_off(self.house, parcel)

    @rule(number=ANY)
    def lose(self, number: int) -> None:
        """Lose a parcel, and send again what was not refunded of it."""
        if parcels := self.parcels("shipped"):
            failed = shipping.fail(self.house, parcels[number % len(parcels)], FailureReason.LOST)
            with suppress(Conflict, OutOfStock, TransitionRefused):
                shipping.reship(self.house, failed)

    @rule(
        number=ANY, quantity=st.integers(1, 3), reason=st.sampled_from(REASONS), left=st.booleans(), late=st.booleans()
    )
    def give_back(self, number: int, quantity: int, reason: RestockReason | None, left: bool, late: bool) -> None:
        """Refund some pieces, perhaps not at once. What a shopper sent back is then on the shelf."""
        if not self.orders:
            return
        order_id = self.orders[number % len(self.orders)]
        (item,) = self.house.order(order_id)["items"]
        self.house.clock.advance(seconds=1)
        if late and not self.refuses_once:
            # The refusal stays armed until a refund reaches Stripe. A refund that the shop itself rejects leaves it for
            # the next one.
            self.house.stripe_behaves(match={"operation": "refunds.create"}, http_status=503)
            self.refuses_once = True
        with suppress(Conflict, RefundExceeds, TransitionRefused):
            refund(self.house, order_id, Wanted(items=(WantedItem(UUID(item["id"]), quantity, reason, has_left=left),)))
            self.refuses_once = False
            self.house.clock.advance(hours=1)
            resume(self.house)
            (told,) = self.house.rows(
                "SELECT i.quantity, i.unshipped_quantity, r.status FROM payments.refunds r"
                " JOIN payments.refund_items i ON i.refund_id = r.id ORDER BY r.id DESC LIMIT 1"
            )
            assert told["status"] == "succeeded"
            if reason is RestockReason.RESELLABLE:
                self.there += told["quantity"] - told["unshipped_quantity"]
            elif reason is RestockReason.DAMAGED:
                self.there -= told["unshipped_quantity"]

    @rule(number=ANY)
    def give_all_back(self, number: int) -> None:
        if self.orders:
            with suppress(Conflict, RefundExceeds, TransitionRefused):
                refund(self.house, self.orders[number % len(self.orders)])
                self.refuses_once = False

    @rule(number=ANY)
    def cancel(self, number: int) -> None:
        if self.orders:
            with suppress(Conflict, TransitionRefused):
                self.house.cancel(self.orders[number % len(self.orders)])

    @rule(pieces=st.integers(1, 4))
    def receive(self, pieces: int) -> None:
        self.house.receive(self.sku, "EWR", pieces)
        self.there += pieces

    @precondition(lambda self: len(self.stock) == 1)
    @rule()
    def count(self) -> None:
        self.house.clock.advance(seconds=1)
        before = level(self.house, self.sku)
        assert counted(self.house, {("EWR", self.sku): self.there})["changed_levels"] == 0
        assert level(self.house, self.sku) == before

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def what_lies_there_is_what_the_book_says_and_what_is_sold(self) -> None:
        levels = [level(self.house, self.sku, code) for code in self.stock]
        assert sum(on_hand + unshipped for on_hand, _, unshipped in levels) == self.there

    def teardown(self) -> None:
        assert self.house.violations() == []


@pytest.mark.parametrize("stock", [{"EWR": 12}, {"EWR": 7, "RNO": 7}], ids=["one warehouse", "two"])
def test_a_count_of_what_lies_there_changes_nothing(house: House, stock: Mapping[str, int]) -> None:
    Shelves.house, Shelves.stock = house, stock
    run_state_machine_as_test(
        Shelves,
        settings=settings(
            max_examples=10,
            stateful_step_count=20,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
