"""A parcel leaves once its money is captured: in time, late, twice or not at all."""

import json

import pytest

from holdfast.values.errors import Conflict, TransitionRefused
from tests.flows.actions import intents, ordered, resume, status
from tests.house import House, document
from tests.refunding import refund, units
from tests.shipping import call_off, capture_policy, only, pack, pick, ship, shipments, shipped

CAPTURE = {"operation": "payment_intents.capture"}


@pytest.fixture
def order_id(house: House) -> str:
    """An order of twelve tees in two parcels, whose money is held until its goods leave."""
    capture_policy(house, "at_first_shipment")
    house.add_variant("TEE", stock={"EWR": 7, "RNO": 9})
    return ordered(house, {"TEE": 12})


def waiting(house: House, order_id: str) -> dict[str, str]:
    """Ship the first shipment while the gateway's answer is lost, and return it: it waits for its money."""
    house.stripe_behaves(match=CAPTURE, fault="timeout_after")
    answer = ship(house, shipments(house, order_id)[0])
    assert answer.status == 202, answer.body
    one: dict[str, str] = document(answer)["shipment"]
    assert (one["status"], one["leaving_since"] is None) == ("packed", False)
    return one


def state(house: House, shipment_id: str, order_id: str) -> str:
    return str(next(one["status"] for one in shipments(house, order_id) if one["id"] == shipment_id))


def test_the_money_is_taken_once_and_before_it_leaves(house: House, order_id: str) -> None:
    total = house.order(order_id)["amounts"]["total_minor"]
    for one in shipments(house, order_id):
        shipped(house, one)
        assert house.charges()["captured"] == total
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


def test_without_multiple_captures_all_is_taken_with_the_first_parcel(house: House, order_id: str) -> None:
    capture_policy(house, "per_shipment")
    first, second = shipments(house, order_id)
    shipped(house, first)
    assert house.charges()["captured"] == house.order(order_id)["amounts"]["total_minor"]
    shipped(house, second)
    assert house.charges()["charges_captured"] == 1


def test_a_refused_capture_keeps_it_packed_calls_a_person_and_may_be_tried_again(house: House, order_id: str) -> None:
    house.stripe_behaves(match=CAPTURE, http_status=400)
    first = shipments(house, order_id)[0]
    answer = ship(house, first)
    assert (answer.status, document(answer)["code"]) == (409, "capture_failed")
    kept = document(answer)["shipment"]
    assert (kept["status"], kept["leaving_since"], kept["carrier"]) == ("packed", None, "UPS")
    assert house.failures() == ["CaptureFailed"]
    assert status(house, order_id) == "processing"
    assert house.violations() == []
    shipped(house, kept)
    assert status(house, order_id) == "partially_shipped"
    assert house.violations() == []


def test_a_webhook_lets_it_leave(house: House, order_id: str) -> None:
    one = waiting(house, order_id)
    for webhook in house.webhooks("payment_intent.succeeded"):
        house.deliver(webhook)
    house.work()
    assert state(house, one["id"], order_id) == "shipped"
    assert status(house, order_id) == "partially_shipped"
    house.clock.advance(seconds=61)
    resume(house)
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


def test_the_watchdog_lets_it_leave(house: House, order_id: str) -> None:
    one = waiting(house, order_id)
    house.clock.advance(seconds=61)
    assert resume(house) == 1
    assert state(house, one["id"], order_id) == "shipped"
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


def test_the_next_call_lets_it_leave(house: House, order_id: str) -> None:
    one = waiting(house, order_id)
    house.clock.advance(seconds=61)
    assert shipped(house, one)["status"] == "shipped"
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


def test_while_one_waits_for_its_money_no_other_of_the_order_leaves(house: House, order_id: str) -> None:
    one = waiting(house, order_id)
    with pytest.raises(Conflict) as refused:
        ship(house, shipments(house, order_id)[1])
    assert refused.value.facts["shipment_id"] == one["id"]
    pick(house, shipments(house, order_id)[1])
    with pytest.raises(Conflict):
        call_off(house, one)


def test_a_capture_that_fails_late_lets_it_stay(house: House, order_id: str) -> None:
    house.stripe_behaves(match=CAPTURE, http_status=503, times=None)
    assert ship(house, shipments(house, order_id)[0]).status == 202
    for _ in range(14):
        house.clock.advance(hours=1, seconds=1)
        resume(house)
    first = shipments(house, order_id)[0]
    assert (first["status"], first["leaving_since"]) == ("packed", None)
    assert house.failures() == ["CaptureFailed"]
    assert status(house, order_id) == "processing"
    assert house.violations() == []


def test_money_that_fell_through_stops_the_shipments(house: House, order_id: str) -> None:
    (intent,) = intents(house, order_id)
    house.stripe("POST", f"/payment_intents/{intent['id']}/expire")
    for webhook in house.webhooks("payment_intent.canceled"):
        house.deliver(webhook)
    house.work()
    assert house.failures() == ["PaymentFellThrough"]
    for act in (pick, pack, ship):
        with pytest.raises(Conflict, match="fell through"):
            act(house, shipments(house, order_id)[0])
    assert [one["status"] for one in shipments(house, order_id)] == ["pending", "pending"]
    assert status(house, order_id) == "confirmed"


def test_money_that_is_gone_when_it_shall_be_taken_lets_it_stay(house: House, order_id: str) -> None:
    (intent,) = intents(house, order_id)
    house.stripe("POST", f"/payment_intents/{intent['id']}/expire")
    answer = ship(house, shipments(house, order_id)[0])
    assert (answer.status, document(answer)["code"]) == (409, "capture_failed")
    assert set(house.failures()) == {"CaptureFailed", "PaymentFellThrough"}
    assert [one["status"] for one in shipments(house, order_id)] == ["packed", "pending"]


def test_cancelled_while_it_waits_it_stays_and_the_money_goes_back(house: House, order_id: str) -> None:
    waiting(house, order_id)
    house.cancel(order_id)
    for webhook in house.webhooks("payment_intent.succeeded"):
        house.deliver(webhook)
    house.work()
    for _ in range(3):
        house.clock.advance(hours=1)
        resume(house)
    totals = house.charges()
    assert (totals["captured"], totals["held"]) == (totals["refunded"], 0)
    assert shipments(house, order_id) == []
    assert house.stock() == {"EWR": (7, 0), "RNO": (9, 0)}
    assert house.violations() == []


def test_what_was_taken_by_hand_is_not_taken_again(house: House, order_id: str) -> None:
    from tests.flows.test_capture_payment import capture  # noqa: PLC0415 -- one word of it

    capture(house, order_id)
    for one in shipments(house, order_id):
        shipped(house, one)
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


def test_held_money_is_not_refunded_but_what_was_taken_is_without_what_does_not_leave(
    house: House, order_id: str
) -> None:
    with pytest.raises(Conflict):
        refund(house, order_id, units(house, order_id, 1))
    first, second = shipments(house, order_id)
    shipped(house, first)
    refund(house, order_id, units(house, order_id, 2))
    rest = next(one for one in shipments(house, order_id) if one["id"] == second["id"])
    assert rest["items"][0]["quantity"] == second["items"][0]["quantity"] - 2
    shipped(house, rest)
    assert status(house, order_id) == "shipped"
    assert house.stock()[second["warehouse"]][0] >= 2
    assert house.violations() == []


def test_an_order_that_was_paid_at_once_needs_no_capture(house: House) -> None:
    house.add_variant("TEE", stock=5)
    order_id = ordered(house)
    before = house.charges()
    shipped(house, only(house, order_id))
    assert house.charges() == before
    assert house.value("SELECT count(*) FROM orders.order_operations") == 0


def test_an_order_in_review_is_not_shipped(house: House) -> None:
    house.add_variant("TEE", stock=5)
    order_id = ordered(house)
    house.sql(
        "SELECT orders.walk_status(organization_id, id, status, status_sequence, ARRAY['address_review'], 'test', NULL,"
        " :now) FROM orders.orders WHERE id = :id",
        now=house.clock(),
        id=order_id,
    )
    for act in (pick, ship):
        with pytest.raises(TransitionRefused):
            act(house, only(house, order_id))


def test_what_happened_to_a_parcel_is_in_the_orders_timeline(house: House, order_id: str) -> None:
    from holdfast.flows.orders.order_timeline import order_timeline  # noqa: PLC0415 -- only here
    from tests.flows.actions import staff  # noqa: PLC0415 -- only here

    first = shipped(house, pick(house, shipments(house, order_id)[0]))
    told = order_timeline(house.runtime, staff(house), order_id, house.clock())
    entries = [(entry["kind"], entry["what"]) for entry in told["entries"]]
    assert ("message", "shipment.shipped") in entries
    (mine,) = [entry for entry in told["entries"] if entry["kind"] == "shipment" and entry["id"] == first["id"]]
    assert mine["what"] == f"shipment {first['shipment_number']} shipped"
    assert json.dumps(mine["data"])
