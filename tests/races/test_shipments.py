"""Two ship the same parcel, or ship while the order is cancelled, or ship while its units are refunded."""

import uuid
from collections.abc import Callable
from functools import partial

from holdfast.flows.shipping.reship_shipment import reship_shipment
from holdfast.payments.refund_plan import Wanted, WantedItem
from holdfast.values.errors import Conflict, OutOfStock, TransitionRefused
from holdfast.web.shipment_answers import shipment_answer
from prove import steps
from tests.faults.production import Production
from tests.faults.settings import HEAVY
from tests.faults.verdict import Verdict
from tests.flows.actions import ordered, staff
from tests.house import House
from tests.races.crowd import rush, tally
from tests.refunding import RESELLABLE, refund_command, run_refund
from tests.shipping import capture_policy, fail, only, pack, request, run_ship, ship_command, shipments, shipped

ROUNDS = 60 if HEAVY else 10


def shipping(house: House, shipment: dict[str, object]) -> Callable[[], object]:
    command = ship_command(house, shipment, caller=staff(house))
    return partial(run_ship, house.runtime, house, command)


def refunding(house: House, order_id: str, quantity: int) -> Callable[[], object]:
    (item,) = house.order(order_id)["items"]
    wanted = Wanted(items=(WantedItem(uuid.UUID(item["id"]), quantity, RESELLABLE),))
    return partial(run_refund, house.runtime, house.clock, refund_command(order_id, wanted, staff(house)))


def test_of_many_who_ship_the_same_parcel_one_does_and_the_money_is_taken_once(house: House) -> None:
    capture_policy(house, "at_first_shipment")
    house.add_variant(stock=100)
    for number in range(1, ROUNDS + 1):
        order_id = ordered(house)
        one = only(house, order_id)
        outcomes = tally(rush([shipping(house, one) for _ in range(4)]))
        assert outcomes["200"] >= 1
        assert set(outcomes) <= {"200", "202", "Conflict", "TransitionRefused"}, outcomes
        assert only(house, order_id)["status"] == "shipped"
        assert house.charges()["charges_captured"] == number
    assert house.violations() == []


def test_a_parcel_that_leaves_while_its_order_is_cancelled_does_one_or_the_other(
    house: House, production: Production
) -> None:
    capture_policy(house, "at_first_shipment")
    house.add_variant(stock=100)
    endings = set()
    for _ in range(ROUNDS):
        order_id = ordered(house)
        one = only(house, order_id)
        outcomes = rush([shipping(house, one), partial(house.cancel, order_id)])
        assert tally(outcomes).keys() <= {"200", "202", "409", "Conflict", "TransitionRefused"}, outcomes
        production.until_quiet()
        production.webhooks_arrive()
        production.until_quiet()
        ending = house.order(order_id)["status"]
        endings.add(ending)
        assert ending in ("shipped", "cancelled")
        statuses = [found["status"] for found in shipments(house, order_id, live=False)]
        assert statuses == (["shipped"] if ending == "shipped" else ["cancelled"])
    assert Verdict(production).news() == []
    assert house.violations() == []


def test_units_that_are_refunded_while_they_leave_are_on_the_road_or_on_the_shelf_and_not_both(house: House) -> None:
    house.add_variant(stock=10 * ROUNDS)
    for _ in range(ROUNDS):
        before = house.stock()["EWR"][0]
        order_id = ordered(house, {"TEE": 5})
        packed = pack(house, only(house, order_id))
        outcomes = rush([shipping(house, packed), refunding(house, order_id, 2)])
        assert tally(outcomes[1:]) == {"201": 1}, outcomes
        assert tally(outcomes[:1]).keys() <= {"200", "Conflict", "TransitionRefused"}, outcomes
        left = sum(item["quantity"] for one in shipments(house, order_id) if one["shipped_at"] for item in one["items"])
        waiting = sum(
            item["quantity"] for one in shipments(house, order_id) if not one["shipped_at"] for item in one["items"]
        )
        back = house.stock()["EWR"][0] - (before - 5)
        assert back == 2, "resellable either way: never sent, or returned"
        assert (left, waiting) in ((5, 0), (0, 3)), (left, waiting)
    assert house.violations() == []


def test_the_last_goods_are_sent_again_for_one_of_two_lost_parcels(house: House) -> None:
    house.add_variant(stock=4)
    lost = [fail(house, shipped(house, only(house, ordered(house, {"TEE": 1})))) for _ in range(3)]
    asked = [request(house, one, None, None) for one in lost]
    jobs = [partial(reship_shipment, house.runtime, one, None, house.clock(), shipment_answer) for one in asked]
    outcomes = rush(jobs)
    assert tally(outcomes) == {"200": 1, "OutOfStock": 2}
    assert {type(outcome) for outcome in outcomes if isinstance(outcome, Exception)} <= {OutOfStock}
    assert house.stock() == {"EWR": (0, 0)}
    assert house.violations() == []


def test_the_answer_the_webhook_and_the_watchdog_at_once_let_a_parcel_leave_once(
    house: House, production: Production
) -> None:
    capture_policy(house, "at_first_shipment")
    house.add_variant(stock=100)
    for number in range(1, ROUNDS + 1):
        order_id = ordered(house)
        house.stripe_behaves(match={"operation": "payment_intents.capture"}, fault="timeout_after")
        waits = only(house, order_id)
        assert shipping(house, waits)().status == 202  # type: ignore[attr-defined]
        house.clock.advance(seconds=61)
        jobs: list[Callable[[], object]] = [shipping(house, only(house, order_id))]
        outcomes = rush(
            [*jobs, partial(steps.watch, house.system, house.clock), production.webhooks_arrive, house.work]
        )
        unexpected = [one for one in outcomes if isinstance(one, Exception)]
        assert all(isinstance(one, (Conflict, TransitionRefused)) for one in unexpected), outcomes
        production.until_quiet()
        assert only(house, order_id)["status"] == "shipped"
        assert house.charges()["charges_captured"] == number
        told = house.value(
            "SELECT count(*) FROM operations.outbox WHERE topic = 'shipment.shipped' AND aggregate_id = :id",
            id=waits["id"],
        )
        assert told == 1
    assert house.violations() == []
