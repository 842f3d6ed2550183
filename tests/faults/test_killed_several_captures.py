"""The second of several captures, and a refund across them, killed at every point: each moves its money once."""

import time
import uuid
from dataclasses import dataclass
from typing import Final

import pytest

from holdfast.flows.money.capture_payment import capture_due
from holdfast.flows.money.request_capture import CaptureReason, request_capture
from holdfast.flows.orders.locked_order import lock_order
from holdfast.payments.refund_plan import Wanted
from holdfast.runtime import Runtime
from holdfast.values.ids import uuid7
from prove.steps import Clock
from prove.trap import Deed, Trap
from tests.faults.settings import HEAVY
from tests.faults.victims import Nursery, Victims
from tests.flows.actions import last_payment, resume, staff, status
from tests.flows.test_refold_payments import refolded
from tests.refunding import refund_command, run_refund
from tests.till import Till

pytestmark = pytest.mark.parametrize("stage", ["paypal", "adyen"], indirect=True)
ROUNDS: Final = 4
"""The minimum of rounds of production: a decision may wait for another, and each has its lease."""
WAIT_MAX_SECONDS: Final = 60.0
FIRST, SECOND = 500, 700
POINTS_MAX = 100
EVERY = 1 if HEAVY else 3


@pytest.fixture
def till(till: Till) -> Till:
    """A house with an account at a gateway that allows several captures of a payment."""
    till.house.sql('UPDATE tenancy.organizations SET settings = settings || \'{"capture_policy": "per_shipment"}\'')
    till.house.add_variant("MUG", stock=1_000)
    return till


@dataclass
class Shop:
    """A till, and the processes that die for it."""

    till: Till
    victims: Victims

    def paid_in_part(self) -> str:
        """Place a confirmed order whose first shipment has captured its money, and return its id."""
        house = self.till.house
        order_id: str = self.till.place(items={"MUG": 2})["order"]["id"]
        self.till.deliver_until(lambda: last_payment(house, order_id)["status"] == "authorized")
        ship(house.runtime, house.clock, house.organization_id, order_id, uuid7(house.clock()), FIRST)
        self.until(order_id, captured=FIRST)
        return order_id

    def until(self, order_id: str, *, captured: int, refunded: int = 0) -> None:
        """Let production go on until the payment has these amounts and nothing is owed."""
        house, give_up_at = self.till.house, time.monotonic() + WAIT_MAX_SECONDS
        rounds = 0
        while rounds < ROUNDS or not self.is_there(order_id, captured, refunded) or self.owes(order_id):
            assert time.monotonic() < give_up_at, last_payment(house, order_id)
            # A gateway that decides later does so by its own clock. Ours must not be turned so far that an
            # authorization ends.
            house.clock.advance(seconds=3_700 if rounds < ROUNDS else 61)
            resume(house)
            self.till.deliver_until(lambda: self.told(order_id) or self.is_there(order_id, captured, refunded))
            rounds += 1

    def owes(self, order_id: str) -> bool:
        """Return whether anything is still to be carried out."""
        return bool(
            self.till.house.value(
                "SELECT count(*) FROM orders.order_operations WHERE order_id = :id AND state = 'running'", id=order_id
            )
        )

    def told(self, order_id: str) -> bool:
        """Return whether everything that the gateway captured and refunded for this order is known."""
        payment, totals = last_payment(self.till.house, order_id), self.totals(order_id)
        return (payment["captured_minor"], payment["refunded_minor"]) == totals

    def is_there(self, order_id: str, captured: int, refunded: int) -> bool:
        payment = last_payment(self.till.house, order_id)
        return (payment["captured_minor"], payment["refunded_minor"]) == (captured, refunded)

    def totals(self, order_id: str) -> tuple[int, int]:
        """Return (captured, refunded) of the order's payment at the gateway."""
        payment_id = last_payment(self.till.house, order_id)["id"]
        name = "custom_id" if self.till.gateway == "paypal" else "payment_id"
        told = self.till.stage.control(
            "GET", f"/totals?metadata[{name}]={payment_id}&account={self.till.stage.api_key}"
        )
        return told["captured"], told["refunded"]


@pytest.fixture
def shop(till: Till, nursery: Nursery) -> Shop:
    house = till.house
    return Shop(till, Victims(nursery, till.secret_reference, till.house.queue_url, house.clock))


def ship(
    runtime: Runtime,
    clock: Clock,
    organization_id: uuid.UUID,
    order_id: str,
    shipment_id: uuid.UUID,
    amount_minor: int = SECOND,
) -> None:
    """Do what a shipment does before it leaves: decide on a capture, commit, carry it out."""
    with runtime.database.transaction(organization_id, now=clock(), actor="shipping") as transaction:
        order = lock_order(transaction, uuid.UUID(order_id))
        request_capture(
            transaction,
            order,
            order.payments[-1],
            amount_minor,
            reason=CaptureReason.SHIPMENT,
            subject_id=shipment_id,
            is_final=amount_minor == SECOND,
        )
    capture_due(runtime, organization_id, uuid.UUID(order_id), clock)


def test_a_second_capture_killed_at_any_point_takes_its_part_once(shop: Shop) -> None:
    house, points = shop.till.house, 0
    for at in range(1, POINTS_MAX, EVERY):
        order_id, shipment_id = shop.paid_in_part(), uuid7(house.clock())
        arguments = (house.organization_id, order_id, shipment_id)
        remains = shop.victims.send(house.runtime, ship, arguments, Trap(at, Deed.KILL_PROCESS))
        house.clock.advance(seconds=61)
        # Whoever ships asks again, whether the capture was decided or not.
        ship(house.runtime, house.clock, *arguments)
        shop.until(order_id, captured=FIRST + SECOND)
        assert shop.totals(order_id) == (FIRST + SECOND, 0), remains
        assert status(house, order_id) == "confirmed"
        if remains.trapped_at is None:
            break
        points += 1
    assert points >= 12 // EVERY, points
    assert house.rows("SELECT state FROM orders.order_operations WHERE state <> 'done'") == []
    assert house.failures() == []
    assert house.violations() == []
    assert refolded(house) == []


def test_a_refund_across_captures_killed_at_any_point_gives_back_once(shop: Shop) -> None:
    house, caller, points = shop.till.house, staff(shop.till.house), 0
    for at in range(1, POINTS_MAX, EVERY):
        order_id = shop.paid_in_part()
        ship(house.runtime, house.clock, house.organization_id, order_id, uuid7(house.clock()))
        shop.until(order_id, captured=FIRST + SECOND)
        command = refund_command(order_id, Wanted(amount_minor=900), caller)
        remains = shop.victims.send(house.runtime, run_refund, (command,), Trap(at, Deed.KILL_PROCESS))
        house.clock.advance(seconds=61)
        run_refund(house.runtime, house.clock, command)
        shop.until(order_id, captured=FIRST + SECOND, refunded=900)
        assert shop.totals(order_id) == (FIRST + SECOND, 900), remains
        if remains.trapped_at is None:
            break
        points += 1
    assert points >= 15 // EVERY, points
    assert house.failures() == []
    assert house.violations() == []
    assert refolded(house) == []
