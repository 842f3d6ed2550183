"""Held money is captured once, whoever decides it, and a person is called when it cannot be captured."""

import uuid

import pytest

from holdfast.flows.claims.idempotency import Answer, Claim, fingerprint_of
from holdfast.flows.money.capture_order import CaptureOrder, capture_order
from holdfast.flows.money.capture_payment import capture_due
from holdfast.flows.money.owed_operations import ATTEMPTS_MAX
from holdfast.flows.money.request_capture import CaptureReason, request_capture
from holdfast.flows.orders.locked_order import lock_order
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, Forbidden, IdempotencyKeyReused, InvalidInput, NotFound
from holdfast.values.ids import uuid7
from holdfast.web.answers import capture_answer
from tests.flows.actions import at_once, intents, last_payment, ordered, resume, staff, status
from tests.house import House, document

CAPTURE = {"operation": "payment_intents.capture"}


def hold_money(house: House) -> None:
    house.sql(
        'UPDATE tenancy.organizations SET settings = settings || \'{"capture_policy": "at_first_shipment"}\''
        " WHERE id = :o",
        o=house.organization_id,
    )


def held(house: House, quantity: int = 1) -> str:
    """Place a confirmed order whose money is held and not captured, and return its id."""
    hold_money(house)
    return ordered(house, {"TEE": quantity})


def capture(
    house: House,
    order_id: str,
    amount_minor: int | None = None,
    *,
    key: str | None = None,
    caller: Caller | None = None,
) -> Answer:
    caller = caller or staff(house)
    fingerprint = fingerprint_of({"order": order_id, "amount": amount_minor})
    claim = Claim(caller.actor, "capture_order", key or uuid.uuid4().hex, fingerprint)
    return capture_order(
        house.runtime, CaptureOrder(caller, claim, order_id, amount_minor), house.clock, capture_answer
    )


def captures(house: House) -> list[tuple[str, int, str | None]]:
    """Return (state, attempts, last error) of every decision to capture."""
    rows = house.rows(
        "SELECT state, attempts, last_error FROM orders.order_operations WHERE organization_id = :o"
        " AND operation = 'capture' ORDER BY id",
        o=house.organization_id,
    )
    return [(row["state"], row["attempts"], row["last_error"]) for row in rows]


def resume_until_over(house: House) -> None:
    for _ in range(ATTEMPTS_MAX + 2):
        house.clock.advance(hours=1, seconds=1)
        resume(house)


def test_all_that_is_held_is_captured_and_the_order_stays_where_it_is(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    answer = capture(house, order_id)
    payment = document(answer)["order"]["payments"][0]
    assert (answer.status, payment["status"], payment["captured_minor"]) == (200, "captured", payment["amount_minor"])
    assert status(house, order_id) == "confirmed"
    assert house.order(order_id)["payment_status"] == "captured"
    assert house.charges()["captured"] == payment["amount_minor"]
    assert [state for state, _, _ in captures(house)] == ["done"]
    assert house.violations() == []


def test_of_a_part_the_rest_is_released_and_no_more_can_be_refunded(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    payment = document(capture(house, order_id, 1_200))["order"]["payments"][0]
    assert (payment["status"], payment["captured_minor"]) == ("captured", 1_200)
    totals = house.charges()
    assert (totals["captured"], totals["held"]) == (1_200, 0)
    with pytest.raises(Conflict):
        capture(house, order_id, 100)
    house.cancel(order_id)
    assert house.charges()["refunded"] == 1_200
    assert house.violations() == []


def test_the_same_key_is_one_capture_and_one_answer(house: House) -> None:
    house.add_variant(stock=10)
    order_id, caller = held(house), staff(house)
    answers = {capture(house, order_id, 700, key="k", caller=caller) for _ in range(2)}
    assert len(answers) == 1
    assert house.charges()["captured"] == 700
    with pytest.raises(IdempotencyKeyReused):
        capture(house, order_id, 800, key="k", caller=caller)


def test_only_what_is_held_can_be_captured(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    total = last_payment(house, order_id)["amount_minor"]
    with pytest.raises(InvalidInput):
        capture(house, order_id, total + 1)
    house.cancel(order_id)
    with pytest.raises(Conflict):
        capture(house, order_id)
    house.sql('UPDATE tenancy.organizations SET settings = \'{"currency": "USD"}\'')
    with pytest.raises(Conflict):
        capture(house, ordered(house))
    assert captures(house) == []


def test_only_staff_from_manager_up_capture(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    for caller in (house.customer, staff(house, "member")):
        with pytest.raises(Forbidden):
            capture(house, order_id, caller=caller)
    with pytest.raises(NotFound):
        capture(house, str(uuid7(house.clock.now)))


def test_a_capture_whose_answer_was_lost_is_finished_by_the_watchdog_once(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    house.stripe_behaves(match=CAPTURE, fault="timeout_after")
    assert capture(house, order_id).status == 202
    assert last_payment(house, order_id)["status"] == "authorized"
    assert resume(house) == 0
    house.clock.advance(seconds=61)
    assert resume(house) == 1
    assert last_payment(house, order_id)["status"] == "captured"
    assert house.charges()["charges_captured"] == 1
    house.clock.advance(hours=2)
    assert resume(house) == 0
    assert house.violations() == []


def test_a_webhook_that_tells_of_the_capture_first_ends_it_too(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    house.stripe_behaves(match=CAPTURE, fault="timeout_after")
    capture(house, order_id)
    for webhook in house.webhooks("payment_intent.succeeded"):
        house.deliver(webhook)
    house.work()
    assert last_payment(house, order_id)["status"] == "captured"
    house.clock.advance(seconds=61)
    resume(house)
    assert [(state, why) for state, _, why in captures(house)] == [("done", None)]
    assert house.violations() == []


def test_a_refused_capture_calls_a_person_and_leaves_order_and_hold(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    house.stripe_behaves(match=CAPTURE, http_status=400)
    answer = capture(house, order_id)
    assert (answer.status, document(answer)["code"]) == (409, "capture_failed")
    assert house.failures() == ["CaptureFailed"]
    assert (status(house, order_id), last_payment(house, order_id)["status"]) == ("confirmed", "authorized")
    told = house.value("SELECT count(*) FROM payments.payment_events WHERE event_type = 'capture_failed'")
    assert told == 1
    assert capture(house, order_id).status == 200, "staff may try again"
    assert last_payment(house, order_id)["status"] == "captured"
    assert house.violations() == []


def test_a_gateway_that_stays_silent_is_asked_a_bounded_number_of_times(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    house.stripe_behaves(match=CAPTURE, http_status=503, times=None)
    assert capture(house, order_id).status == 202
    resume_until_over(house)
    assert [(state, attempts) for state, attempts, _ in captures(house)] == [("failed", ATTEMPTS_MAX)]
    assert house.failures() == ["CaptureFailed"]
    assert status(house, order_id) == "confirmed"


def test_a_wrong_key_of_ours_says_nothing_of_the_capture(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    house.stripe_behaves(match=CAPTURE, http_status=401)
    assert capture(house, order_id).status == 202
    house.clock.advance(seconds=61)
    resume(house)
    assert last_payment(house, order_id)["status"] == "captured"
    assert house.failures() == []


def test_money_that_is_gone_by_then_calls_a_person(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    (intent,) = intents(house, order_id)
    house.stripe("POST", f"/payment_intents/{intent['id']}/expire")
    assert capture(house, order_id).status == 409
    assert set(house.failures()) == {"CaptureFailed", "PaymentFellThrough"}
    assert (status(house, order_id), last_payment(house, order_id)["status"]) == ("confirmed", "cancelled")


def test_a_shipments_capture_is_decided_in_its_transaction_and_carried_out_after_it(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house, 2)
    shipments = [uuid7(house.clock.now) for _ in range(2)]
    with house.runtime.database.transaction(house.organization_id, now=house.clock(), actor="shipping") as transaction:
        order = lock_order(transaction, uuid.UUID(order_id))
        for shipment_id in (shipments[0], shipments[0]):
            decided = request_capture(
                transaction,
                order,
                order.payments[0],
                order.payments[0].amount,
                reason=CaptureReason.SHIPMENT,
                subject_id=shipment_id,
            )
    assert decided is None, "the same shipment decides once"
    capture_due(house.runtime, house.organization_id, uuid.UUID(order_id), house.clock)
    assert last_payment(house, order_id)["status"] == "captured"
    assert house.violations() == []


def test_a_cancelled_order_is_not_captured_any_more(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    house.stripe_behaves(match=CAPTURE, fault="timeout_before")
    capture(house, order_id)
    house.cancel(order_id)
    resume_until_over(house)
    assert [(state, why) for state, _, why in captures(house)] == [("done", "not captured: the money goes back")]
    assert (house.charges()["captured"], house.charges()["held"]) == (0, 0)
    assert house.failures() == []
    assert house.violations() == []


def test_a_capture_that_still_succeeds_after_the_cancellation_is_refunded(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    house.stripe_behaves(match=CAPTURE, fault="timeout_after")
    capture(house, order_id)
    house.cancel(order_id)
    resume_until_over(house)
    totals = house.charges()
    assert totals["captured"] == totals["refunded"] > 0
    assert status(house, order_id) == "cancelled"
    assert house.failures() == []
    assert house.violations() == []


def test_two_captures_at_once_take_the_money_once(house: House) -> None:
    house.add_variant(stock=10)
    order_id, callers = held(house), [staff(house), staff(house)]

    def attempt(caller: Caller) -> int:
        try:
            return capture(house, order_id, 900, caller=caller).status
        except Conflict:
            return 409

    outcomes = at_once(lambda: attempt(callers[0]), lambda: attempt(callers[1]))
    assert sorted(outcomes) == [200, 409]
    assert house.charges()["captured"] == 900
    assert house.violations() == []
