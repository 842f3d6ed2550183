"""Held money captured shipment by shipment, at each gateway; one that captures only once takes all with the first."""

import uuid
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.money.capture_order import CaptureOrder, capture_order
from holdfast.flows.money.capture_payment import capture_due
from holdfast.flows.money.look_for_differences import look_for_differences
from holdfast.flows.money.request_capture import CaptureReason, request_capture, what_is_left_to_capture
from holdfast.flows.money.sweep_days import sweep_day
from holdfast.flows.orders.locked_order import lock_order
from holdfast.flows.orders.order_timeline import order_timeline
from holdfast.payments.refund_plan import Wanted
from holdfast.values.errors import Conflict, InvalidInput
from holdfast.values.money import Money
from holdfast.web.answers import capture_answer
from tests.flows.actions import at_once, last_payment, look_after_authorizations, resume, staff, status
from tests.flows.test_refold_payments import refolded
from tests.gateways.served import ServedStage
from tests.refunding import refund
from tests.till import Till

several = pytest.mark.parametrize("stage", ["paypal", "adyen"], indirect=True)


@pytest.fixture
def till(till: Till) -> Till:
    """A house with an account at each of the gateways in turn, which captures its money with each shipment."""
    till.house.sql('UPDATE tenancy.organizations SET settings = settings || \'{"capture_policy": "per_shipment"}\'')
    return till


def held(till: Till) -> str:
    order_id: str = till.place()["order"]["id"]
    till.deliver_until(lambda: last_payment(till.house, order_id)["status"] == "authorized")
    return order_id


def decide(
    till: Till, order_id: str, amount_minor: int, *, is_final: bool = False, shipment_id: uuid.UUID | None = None
) -> uuid.UUID | None:
    """Commit a shipment's decision to capture this amount, in minor units."""
    house = till.house
    with house.runtime.database.transaction(house.organization_id, now=house.clock(), actor="shipping") as transaction:
        order = lock_order(transaction, uuid.UUID(order_id))
        return request_capture(
            transaction,
            order,
            order.payments[-1],
            amount_minor,
            reason=CaptureReason.SHIPMENT,
            subject_id=shipment_id or uuid.uuid4(),
            is_final=is_final,
        )


def left(till: Till, order_id: str) -> int:
    house = till.house
    with house.runtime.database.transaction(house.organization_id, now=house.clock(), actor="shipping") as transaction:
        order = lock_order(transaction, uuid.UUID(order_id))
        return what_is_left_to_capture(transaction, order, order.payments[-1])


def carry_out(till: Till, order_id: str) -> None:
    capture_due(till.house.runtime, till.house.organization_id, uuid.UUID(order_id), till.house.clock)


def captured(till: Till, order_id: str) -> int:
    minor: int = last_payment(till.house, order_id)["captured_minor"]
    return minor


def until_captured(till: Till, order_id: str, minor: int) -> None:
    """Wait until the payment shows this amount as captured and the decisions that led there are over."""
    till.deliver_until(lambda: captured(till, order_id) == minor)
    till.house.clock.advance(seconds=61)
    resume(till.house)


def take(till: Till, order_id: str, amount_minor: int, **how: Any) -> None:
    """Decide on a capture and carry it out until it is done."""
    before = captured(till, order_id)
    decide(till, order_id, amount_minor, **how)
    carry_out(till, order_id)
    until_captured(till, order_id, before + amount_minor)


def decisions(till: Till) -> list[tuple[str, bool]]:
    rows = till.house.rows(
        "SELECT state, gateway_id IS NOT NULL AS named FROM orders.order_operations WHERE operation = 'capture'"
        " ORDER BY id"
    )
    return [(row["state"], row["named"]) for row in rows]


def totals(till: Till) -> dict[str, int]:
    """Return the totals that the gateway captured, holds and refunded."""
    told: dict[str, int] = till.stage.control("GET", f"/totals?account={till.stage.api_key}")
    return told


def assert_sound(till: Till) -> None:
    assert till.house.failures() == []
    assert till.house.violations() == []
    assert refolded(till.house) == []


def test_each_shipment_takes_its_part_where_the_gateway_can(till: Till) -> None:
    order_id = held(till)
    amount = last_payment(till.house, order_id)["amount_minor"]
    take(till, order_id, 500)
    payment = last_payment(till.house, order_id)
    if not till.stage.gateway.multiple_captures:
        assert (payment["status"], payment["captured_minor"], payment["capturable_minor"]) == ("captured", 500, 0)
        with pytest.raises(Conflict):
            decide(till, order_id, 100)
        assert_sound(till)
        return
    assert (payment["status"], payment["captured_minor"], payment["capturable_minor"]) == (
        "captured",
        500,
        amount - 500,
    )
    take(till, order_id, 700)
    take(till, order_id, amount - 1_300, is_final=True)
    till.deliver_until(lambda: last_payment(till.house, order_id)["capturable_minor"] == 0)
    assert decisions(till) == [("done", True)] * 3
    assert status(till.house, order_id) == "confirmed"
    shown = [(one["amount_minor"], one["status"]) for one in last_payment(till.house, order_id)["captures"]]
    assert sorted(shown) == [(500, "succeeded"), (700, "succeeded"), (amount - 1_300, "succeeded")]
    timeline = order_timeline(till.house.runtime, staff(till.house), order_id, till.house.clock())
    entries = [entry["data"] for entry in timeline["entries"] if entry["kind"] == "capture"]
    assert sorted(entry["amount_minor"] for entry in entries) == sorted(minor for minor, _ in shown)
    assert {entry["reason"] for entry in entries} == {"shipment"}
    assert len({entry["subject_id"] for entry in entries}) == 3
    assert captured(till, order_id) == totals(till)["captured"] == amount - 100
    with pytest.raises(Conflict):
        decide(till, order_id, 100)
    if not till.stage.gateway.releases_rest:
        till.stage.events_until("cancellation_succeeded")
    assert totals(till)["held"] == 0
    assert_sound(till)


@several
def test_a_shipment_is_captured_for_once_however_often_it_asks(till: Till) -> None:
    order_id, shipment_id = held(till), uuid.uuid4()
    assert decide(till, order_id, 500, shipment_id=shipment_id) is not None
    assert decide(till, order_id, 500, shipment_id=shipment_id) is None
    carry_out(till, order_id)
    until_captured(till, order_id, 500)
    assert decide(till, order_id, 500, shipment_id=shipment_id) is None, "also when it is done"
    carry_out(till, order_id)
    assert totals(till)["captured"] == 500
    assert_sound(till)


@several
def test_no_more_is_decided_than_is_held(till: Till) -> None:
    order_id = held(till)
    amount = last_payment(till.house, order_id)["amount_minor"]
    with pytest.raises(InvalidInput):
        decide(till, order_id, amount + 1)
    decide(till, order_id, 500)
    assert left(till, order_id) == amount - 500
    with pytest.raises(Conflict, match="under way"):
        decide(till, order_id, amount - 499)
    decide(till, order_id, 300, is_final=True)
    assert left(till, order_id) == 0
    with pytest.raises(Conflict, match="under way"):
        decide(till, order_id, 1)
    carry_out(till, order_id)
    if till.stage.settles_later:
        # The last capture waits for the one before it.
        until_captured(till, order_id, 500)
    until_captured(till, order_id, 800)
    with pytest.raises(Conflict, match="no money is held"):
        decide(till, order_id, 1)
    assert_sound(till)


@several
@pytest.mark.parametrize("is_final", [False, True])
def test_a_second_capture_whose_answer_was_lost_is_finished_by_the_watchdog_once(till: Till, is_final: bool) -> None:
    order_id = held(till)
    take(till, order_id, 500)
    till.stage.lose_answer()
    decide(till, order_id, 600, is_final=is_final)
    carry_out(till, order_id)
    until_captured(till, order_id, 1_100)
    till.house.clock.advance(hours=1)
    resume(till.house)
    assert decisions(till) == [("done", True)] * 2
    assert totals(till)["captured"] == 1_100
    assert_sound(till)


@several
def test_a_refund_goes_across_captures_and_each_is_one_of_the_gateways(till: Till) -> None:
    order_id, house = held(till), till.house
    take(till, order_id, 500)
    take(till, order_id, 700, is_final=True)
    till.deliver_until(lambda: last_payment(house, order_id)["capturable_minor"] == 0)
    refund(house, order_id, Wanted(amount_minor=800))
    till.deliver_until(lambda: last_payment(house, order_id)["refunded_minor"] == 800)
    rows = house.rows("SELECT amount, gateway_capture_id, status FROM payments.refunds ORDER BY id")
    by_capture = till.gateway == "paypal"
    assert (len(rows), sum(row["amount"] for row in rows)) == (2 if by_capture else 1, 800)
    assert {row["status"] for row in rows} == {"succeeded"}
    assert len({row["gateway_capture_id"] for row in rows} - {None}) == (2 if by_capture else 0)
    refund(house, order_id)
    till.deliver_until(lambda: last_payment(house, order_id)["refunded_minor"] == 1_200)
    assert totals(till)["refunded"] == 1_200
    assert last_payment(house, order_id)["status"] == "refunded"
    assert_sound(till)


@several
def test_a_refund_of_all_captured_is_partial_while_the_rest_is_held(till: Till) -> None:
    order_id, house = held(till), till.house
    take(till, order_id, 500)
    refund(house, order_id)
    till.deliver_until(lambda: last_payment(house, order_id)["refunded_minor"] == 500)
    assert (last_payment(house, order_id)["status"], status(house, order_id)) == ("partially_refunded", "confirmed")
    take(till, order_id, 600, is_final=True)
    assert totals(till)["captured"] == 1_100
    assert_sound(till)


@several
def test_a_cancelled_order_gives_back_what_was_captured_and_lets_go_of_the_rest(till: Till) -> None:
    order_id, house = held(till), till.house
    take(till, order_id, 500)
    take(till, order_id, 300)
    house.cancel(order_id)
    for _ in range(5):
        till.deliver_until(lambda: last_payment(house, order_id)["capturable_minor"] == 0)
        house.clock.advance(hours=1, seconds=1)
        resume(house)
    till.deliver_until(lambda: last_payment(house, order_id)["refunded_minor"] == 800)
    house.clock.advance(hours=1, seconds=1)
    resume(house)
    told = totals(till)
    assert (told["captured"], told["refunded"], told["held"]) == (800, 800, 0)
    assert (status(house, order_id), last_payment(house, order_id)["status"]) == ("cancelled", "refunded")
    assert house.rows("SELECT 1 FROM orders.order_operations WHERE state <> 'done'") == []
    assert_sound(till)


def end_soon(till: Till, order_id: str) -> None:
    """Let the authorization end in thirty hours."""
    end = till.house.clock() + timedelta(hours=30)
    till.house.forge(
        "UPDATE payments.payments SET authorization_expires_at = :end,"
        " facts = jsonb_set(facts, '{authorization_expires_at}', to_jsonb(CAST(:text AS text))) WHERE order_id = :id",
        end=end,
        text=end.isoformat(),
        id=order_id,
    )


@several
def test_what_captures_left_is_taken_before_it_runs_out(till: Till) -> None:
    order_id, house = held(till), till.house
    amount = last_payment(house, order_id)["amount_minor"]
    take(till, order_id, 500)
    end_soon(till, order_id)
    assert look_after_authorizations(house) == 1
    until_captured(till, order_id, amount)
    assert look_after_authorizations(house) == 0
    assert totals(till)["captured"] == amount
    assert house.failures() == []
    assert house.violations() == []


@several
def test_what_captures_left_is_taken_in_time_though_a_refund_is_under_way(till: Till) -> None:
    order_id, house = held(till), till.house
    amount = last_payment(house, order_id)["amount_minor"]
    take(till, order_id, 500)
    for operation in ("captures.refund", "payments.refunds"):
        ServedStage.behave(till.stage, match={"operation": operation}, http_status=503, times=None)
    refund(house, order_id, Wanted(amount_minor=100))
    under_way = "SELECT count(*) FROM orders.order_operations WHERE operation = 'refund' AND state = 'running'"
    assert house.value(under_way) == 1
    end_soon(till, order_id)
    assert look_after_authorizations(house) == 1
    until_captured(till, order_id, amount)
    assert (house.value(under_way), look_after_authorizations(house)) == (1, 0)
    till.stage.control("DELETE", "/behaviors")
    house.clock.advance(hours=1)
    resume(house)
    till.deliver_until(lambda: last_payment(house, order_id)["refunded_minor"] == 100)
    assert (totals(till)["captured"], totals(till)["refunded"]) == (amount, 100)
    assert house.failures() == []
    assert house.violations() == []


@several
def test_the_books_agree_about_a_payment_that_is_captured_in_part(till: Till) -> None:
    order_id, house = held(till), till.house
    take(till, order_id, 500)
    day = house.clock().date()
    house.clock.advance(hours=2)
    sweep_day(house.system, house.organization_id, day, house.clock, lambda: 60.0)
    assert look_for_differences(house.system, house.organization_id, house.clock) == 0
    assert house.rows("SELECT 1 FROM payments.money_differences") == []
    assert last_payment(house, order_id)["capturable_minor"] > 0
    assert_sound(till)


@several
def test_two_decisions_at_once_never_take_more_than_is_held(till: Till) -> None:
    order_id = held(till)
    amount = last_payment(till.house, order_id)["amount_minor"]
    part = amount // 2 + 1

    def attempt() -> str:
        try:
            decide(till, order_id, part)
        except (Conflict, InvalidInput):  # decided in the meantime, or captured already
            return "refused"
        carry_out(till, order_id)
        return "taken"

    assert sorted(at_once(attempt, attempt)) == ["refused", "taken"]
    until_captured(till, order_id, part)
    assert totals(till)["captured"] == part
    assert_sound(till)


@several
def test_staff_may_take_a_part_and_the_rest_later(till: Till) -> None:
    order_id, caller = held(till), staff(till.house)
    amount = last_payment(till.house, order_id)["amount_minor"]

    def by_hand(key: str, amount_minor: int | None, *, is_final: bool) -> int:
        claim = Claim(caller.actor, "capture_order", key, fingerprint_of({"order": order_id, "key": key}))
        command = CaptureOrder(caller, claim, order_id, amount_minor, is_final)
        return capture_order(till.house.runtime, command, till.house.clock, capture_answer).status

    expected = 202 if till.stage.settles_later else 200
    assert by_hand("first", 500, is_final=False) == expected
    until_captured(till, order_id, 500)
    assert by_hand("second", None, is_final=True) == expected
    until_captured(till, order_id, amount)
    assert by_hand("first", 500, is_final=False) == expected, "the same key has the same answer"
    assert totals(till)["captured"] == amount
    assert_sound(till)


@pytest.mark.parametrize("stage", ["adyen"], indirect=True)
def test_a_capture_that_falls_through_takes_back_itself_and_calls_a_person(till: Till) -> None:
    order_id, house = held(till), till.house
    take(till, order_id, 500)
    take(till, order_id, 700)
    names = [row["gateway_id"] for row in house.rows("SELECT gateway_id FROM orders.order_operations ORDER BY id")]
    transaction_id = house.value("SELECT gateway_transaction_id FROM payments.payments")
    till.stage.control("POST", f"/payments/{transaction_id}/fail_capture", {"pspReference": names[0]})
    till.deliver_until(lambda: captured(till, order_id) == 700)
    payment = last_payment(house, order_id)
    assert (payment["status"], payment["capturable_minor"]) == ("captured", payment["amount_minor"] - 1_200)
    assert house.failures() == ["PaymentFellThrough"]
    assert status(house, order_id) == "confirmed"
    assert house.violations() == []
    assert refolded(house) == []


@pytest.mark.parametrize("stage", ["adyen"], indirect=True)
def test_a_capture_that_the_gateway_refuses_later_is_with_a_person_and_its_money_stays_held(till: Till) -> None:
    order_id, house = held(till), till.house
    amount = last_payment(house, order_id)["amount_minor"]
    decide(till, order_id, amount)
    transaction_id = house.value("SELECT gateway_transaction_id FROM payments.payments")
    # Somebody else captured a part of it at Adyen, so the whole amount is no longer there.
    till.stage.gateway.capture(transaction_id, Money(500, "USD"), idempotency_key="console", deadline_seconds=5)
    carry_out(till, order_id)
    until_captured(till, order_id, 500)
    till.deliver_until(partial(_is_refused, till))
    house.clock.advance(hours=1)
    resume(house)
    assert decisions(till) == [("failed", True)]
    assert house.failures() == ["CaptureFailed"]
    assert last_payment(house, order_id)["capturable_minor"] == amount - 500
    assert house.violations() == []


def _is_refused(till: Till) -> bool:
    told = till.house.value("SELECT count(*) FROM payments.payment_events WHERE event_type = 'capture_failed'")
    return bool(told == 1)
