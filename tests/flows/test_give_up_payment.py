"""An attempt of which the gateway knows nothing is ended by a person; money that appears after all still wins."""

import uuid
from typing import Any
from uuid import UUID

import pytest

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.money.give_up_payment import OPERATION, give_up_payment
from holdfast.gateways.stripe import StripeGateway
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, Forbidden, NotFound
from holdfast.web.answers import order_answer
from tests.flows.actions import (
    check,
    expire,
    killed_before_the_gateway_was_asked,
    last_payment,
    operations,
    ordered,
    resume,
    staff,
    status,
    topics,
)
from tests.house import House, document

NOTE = "neither in the dashboard nor in its logs"


def give_up(
    house: House, payment_id: str, *, caller: Caller | None = None, key: str | None = None, note: str = NOTE
) -> dict[str, Any]:
    """End the attempt as staff and return the order from the answer."""
    caller = caller or staff(house)
    claim = Claim(caller.actor, OPERATION, key or uuid.uuid4().hex, fingerprint_of({"payment": payment_id}))
    answer = give_up_payment(house.runtime, caller, claim, UUID(payment_id), note, house.clock(), order_answer)
    assert answer.status == 200
    shown: dict[str, Any] = document(answer)["order"]
    return shown


def forgotten(house: House) -> None:
    """Let the gateway forget the attempt's key, and the watchdog find that out."""
    house.clock.advance(seconds=StripeGateway.repeatable_seconds + 1)
    check(house)
    expire(house)
    assert house.failures() == ["PaymentUndecided"]


def test_an_attempt_that_never_arrived_is_ended_and_its_order_expires(house: House) -> None:
    house.add_variant(stock=10)
    order_id = killed_before_the_gateway_was_asked(house)
    forgotten(house)
    payment, boss = last_payment(house, order_id), staff(house)
    shown = give_up(house, payment["id"], caller=boss, key="once")
    assert (shown["status"], shown["payments"][-1]["failure_code"]) == ("payment_failed", "given_up")
    assert give_up(house, payment["id"], caller=boss, key="once") == shown
    assert topics(house, order_id)[-1][1] == "order.payment_failed", "the shopper may pay again"
    (failure,) = house.rows("SELECT status, resolved_by, resolution_notes FROM operations.process_failures")
    assert tuple(failure.values()) == ("resolved", boss.actor, NOTE)
    (audited,) = house.rows("SELECT * FROM operations.audit_log WHERE table_name = 'payments.payments'")
    assert (audited["actor"], str(audited["record_id"])) == (boss.actor, payment["id"])
    assert (audited["old_values"]["status"], audited["changed_values"]["status"]) == ("pending", "failed")
    assert audited["old_values"]["method_token"] == "not kept"
    with pytest.raises(Conflict, match="failed"):
        give_up(house, payment["id"])
    house.clock.advance(days=1)
    expire(house)
    assert status(house, order_id) == "cancelled"
    assert house.violations() == []


def test_money_that_appears_after_all_pays_for_the_order(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match={"operation": "payment_intents.create"}, fault="timeout_after")
    order_id = ordered(house)
    forgotten(house)
    give_up(house, last_payment(house, order_id)["id"])
    (webhook,) = house.webhooks("payment_intent.succeeded")
    house.deliver(webhook)
    house.work()
    assert (status(house, order_id), last_payment(house, order_id)["status"]) == ("confirmed", "captured")
    assert house.violations() == []


def test_money_that_appears_for_an_order_that_is_over_by_then_goes_back(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match={"operation": "payment_intents.create"}, fault="timeout_after")
    order_id = ordered(house)
    forgotten(house)
    house.cancel(order_id)
    assert operations(house) == [("failed", "customer_request")]
    shown = give_up(house, last_payment(house, order_id)["id"])
    assert (shown["status"], shown["payments"][-1]["status"]) == ("cancelled", "failed")
    house.clock.advance(minutes=5)
    (webhook,) = house.webhooks("payment_intent.succeeded")
    house.deliver(webhook)
    house.work()
    resume(house)
    assert last_payment(house, order_id)["status"] == "refunded"
    assert house.charges()["captured"] == house.charges()["refunded"] > 0
    assert house.violations() == []


def test_what_is_decided_or_still_asked_about_is_not_given_up(house: House) -> None:
    house.add_variant(stock=10)
    paid = ordered(house)
    with pytest.raises(Conflict, match="captured"):
        give_up(house, last_payment(house, paid)["id"])
    young = killed_before_the_gateway_was_asked(house)
    with pytest.raises(Conflict, match="stripe is still asked"):
        give_up(house, last_payment(house, young)["id"])
    assert (status(house, paid), status(house, young)) == ("confirmed", "pending_payment")
    assert house.violations() == []


def test_only_managers_of_the_shop_give_up_and_only_what_is_there(house: House) -> None:
    house.add_variant(stock=10)
    order_id = killed_before_the_gateway_was_asked(house)
    forgotten(house)
    payment_id = last_payment(house, order_id)["id"]
    for nobody in (house.customer, staff(house, "member")):
        with pytest.raises(Forbidden):
            give_up(house, payment_id, caller=nobody)
    with pytest.raises(NotFound):
        give_up(house, str(uuid.uuid4()))
    assert status(house, order_id) == "pending_payment"
