"""A capture, a cancellation, a watchdog and a webhook want the same held money at the same time."""

import json
import uuid
from collections.abc import Callable
from functools import partial

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.money.capture_order import CaptureOrder
from prove import steps
from tests.faults.production import Production
from tests.faults.settings import HEAVY
from tests.faults.verdict import Verdict
from tests.flows.actions import staff
from tests.house import House, document
from tests.races.crowd import rush, tally

ROUNDS = 100 if HEAVY else 15


def held(house: House) -> str:
    settings = json.dumps({"currency": "USD", "capture_policy": "at_first_shipment"})
    house.sql(
        "UPDATE tenancy.organizations SET settings = CAST(:settings AS jsonb) WHERE id = :o",
        settings=settings,
        o=house.organization_id,
    )
    return str(document(house.place({"TEE": 1}))["order"]["id"])


def captured_by_hand(house: House, order_id: str) -> Callable[[], object]:
    caller = staff(house)
    claim = Claim(caller.actor, "capture_order", uuid.uuid4().hex, fingerprint_of({"order": order_id}))
    return partial(steps.capture, house.runtime, house.clock, CaptureOrder(caller, claim, order_id))


def test_a_capture_that_meets_a_cancellation_leaves_no_money_behind(house: House, production: Production) -> None:
    house.add_variant(stock=100)
    for _ in range(ROUNDS):
        order_id = held(house)
        outcomes = rush([captured_by_hand(house, order_id), partial(house.cancel, order_id)])
        assert tally(outcomes[:1]).keys() <= {"200", "202", "409", "Conflict"}, outcomes
        assert tally(outcomes[1:]).keys() == {"200"}, outcomes
        production.until_quiet()
        assert house.order(order_id)["status"] == "cancelled"
    totals = house.charges()
    assert (totals["captured"], totals["held"]) == (totals["refunded"], 0)
    production.webhooks_arrive()
    production.until_quiet()
    assert Verdict(production).news() == []


def test_captures_at_once_and_the_watchdog_take_the_money_once(house: House, production: Production) -> None:
    house.add_variant(stock=100)
    for number in range(1, ROUNDS + 1):
        order_id = held(house)
        house.clock.now = house.value(
            "SELECT authorization_expires_at - interval '30 hours' FROM payments.payments WHERE order_id = :id",
            id=order_id,
        )
        jobs: list[Callable[[], object]] = [captured_by_hand(house, order_id) for _ in range(2)]
        outcomes = rush([*jobs, partial(steps.watch, house.system, house.clock)])
        assert tally(outcomes[:2]).keys() <= {"200", "202", "Conflict"}, outcomes
        production.until_quiet()
        assert house.charges()["charges_captured"] == number
    production.webhooks_arrive()
    production.until_quiet()
    assert Verdict(production).news() == []
