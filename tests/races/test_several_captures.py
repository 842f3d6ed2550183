"""Shipments that leave at the same instant want parts of the same held money."""

import time
import uuid
from functools import partial
from typing import Final

import pytest

from holdfast.flows.money.capture_payment import capture_due
from holdfast.flows.money.request_capture import CaptureReason, request_capture
from holdfast.flows.orders.locked_order import lock_order
from tests.faults.settings import HEAVY
from tests.flows.actions import last_payment, resume, status
from tests.races.crowd import rush, tally
from tests.till import Till

pytestmark = pytest.mark.parametrize("stage", ["paypal", "adyen"], indirect=True)
WAIT_MAX_SECONDS: Final = 60.0
ROUNDS = 20 if HEAVY else 4


@pytest.fixture
def till(till: Till) -> Till:
    """A house with an account at a gateway that allows several captures of a payment."""
    till.house.sql('UPDATE tenancy.organizations SET settings = settings || \'{"capture_policy": "per_shipment"}\'')
    till.house.add_variant("MUG", stock=1_000)
    return till


def held(till: Till) -> str:
    order_id: str = till.place(items={"MUG": 2})["order"]["id"]
    till.deliver_until(lambda: last_payment(till.house, order_id)["status"] == "authorized")
    return order_id


def ship(till: Till, order_id: str, amount_minor: int, shipment_id: uuid.UUID) -> str:
    house = till.house
    with house.runtime.database.transaction(house.organization_id, now=house.clock(), actor="shipping") as transaction:
        order = lock_order(transaction, uuid.UUID(order_id))
        decided = request_capture(
            transaction,
            order,
            order.payments[-1],
            amount_minor,
            reason=CaptureReason.SHIPMENT,
            subject_id=shipment_id,
            is_final=False,
        )
    capture_due(house.runtime, house.organization_id, uuid.UUID(order_id), house.clock)
    return "decided" if decided else "was decided"


def taken(till: Till) -> int:
    told: int = till.stage.control("GET", f"/totals?account={till.stage.api_key}")["captured"]
    return told


def test_shipments_at_once_take_their_parts_and_never_more_than_is_held(till: Till) -> None:
    house, expected = till.house, 0
    for _ in range(ROUNDS):
        order_id = held(till)
        part = last_payment(house, order_id)["amount_minor"] // 4
        shipments = [uuid.uuid4() for _ in range(6)]
        # Each shipment asks twice, as a client does whose answer was lost.
        jobs = [partial(ship, till, order_id, part, shipment_id) for shipment_id in (*shipments, *shipments)]
        outcomes = tally(rush(jobs))
        assert outcomes["decided"] == 4, outcomes
        assert outcomes.keys() <= {"decided", "was decided", "Conflict"}, outcomes
        expected += 4 * part
        till.deliver_until(partial(is_captured, till, order_id, 4 * part))
        come_to_rest(till, order_id)
    assert taken(till) == expected
    assert house.rows("SELECT state FROM orders.order_operations WHERE state <> 'done'") == []
    assert house.failures() == []
    assert house.violations() == []


def test_a_shipment_that_meets_a_cancellation_leaves_no_money_behind(till: Till) -> None:
    house = till.house
    for _ in range(ROUNDS):
        order_id = held(till)
        jobs = [partial(ship, till, order_id, 400, uuid.uuid4()) for _ in range(2)]
        outcomes = rush([*jobs, partial(house.cancel, order_id)])
        assert tally(outcomes[:2]).keys() <= {"decided", "Conflict"}, outcomes
        assert tally(outcomes[2:]).keys() == {"200"}, outcomes
        come_to_rest(till, order_id)
        assert status(house, order_id) == "cancelled"
    totals = till.stage.control("GET", f"/totals?account={till.stage.api_key}")
    assert (totals["captured"], totals["held"]) == (totals["refunded"], 0)
    assert house.rows("SELECT state FROM orders.order_operations WHERE state <> 'done'") == []
    assert house.failures() == []
    assert house.violations() == []


def come_to_rest(till: Till, order_id: str) -> None:
    """Let production go on until nothing is owed and everything is known.

    The gateway may take as long as it likes to decide, by its own clock.
    """
    house, give_up_at = till.house, time.monotonic() + WAIT_MAX_SECONDS
    owed = "SELECT count(*) FROM orders.order_operations WHERE order_id = :id AND state = 'running'"
    while True:
        house.clock.advance(seconds=61)
        resume(house)
        till.deliver_until(partial(is_told, till, order_id))
        if not house.value(owed, id=order_id) and is_told(till, order_id):
            return
        assert time.monotonic() < give_up_at, last_payment(house, order_id)


def is_captured(till: Till, order_id: str, minor: int) -> bool:
    return bool(last_payment(till.house, order_id)["captured_minor"] == minor)


def is_told(till: Till, order_id: str) -> bool:
    """Return whether everything that the gateway did with the order's money is known here."""
    payment = last_payment(till.house, order_id)
    name = "custom_id" if till.gateway == "paypal" else "payment_id"
    told = till.stage.control("GET", f"/totals?metadata[{name}]={payment['id']}&account={till.stage.api_key}")
    known = (payment["captured_minor"], payment["refunded_minor"], payment["capturable_minor"])
    return bool(known == (told["captured"], told["refunded"], told["held"]))
