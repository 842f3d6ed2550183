"""A payment that waited for its shopper goes on, whoever comes first: the shopper, a webhook, or the clock."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from holdfast.flows.checkout.complete_payment import CompletePayment, complete_payment
from holdfast.flows.claims.idempotency import Answer
from holdfast.gateways.port import GatewayRefused
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, NotFound, Transient
from holdfast.values.ids import uuid7
from holdfast.web.answers import completed_answer
from tests.flows.actions import at_once, check, expire, guest, last_payment, status
from tests.till import RETURN_URL, Till, act

ACTING = pytest.mark.parametrize("stage", ["stripe", "paypal", "adyen"], indirect=True)
"""The gateways where the shopper acts on a payment; at Square the shopper acts before there is one."""


def asked(till: Till) -> dict[str, Any]:
    body = till.place(till.stage.token_action)
    assert body["payment"]["status"] == "requires_action"
    return body


def complete(till: Till, body: dict[str, Any], details: dict[str, str], *, caller: Caller | None = None) -> Answer:
    house = till.house
    command = CompletePayment(caller or house.customer, body["order"]["id"], UUID(body["payment"]["id"]), details)
    return complete_payment(house.runtime, command, house.clock, completed_answer)


@ACTING
def test_a_shopper_who_acted_has_paid(till: Till) -> None:
    body = asked(till)
    answer = complete(till, body, act(till, body))
    told = json.loads(answer.body)
    assert (answer.status, told["order"]["status"], told["payment"]["status"]) == (200, "confirmed", "captured")
    assert told["payment"]["captured_minor"] == told["order"]["amounts"]["total_minor"]
    assert till.house.stock()["EWR"] == (9, 0)
    assert till.house.violations() == []


@ACTING
def test_a_shopper_who_failed_is_told_so_and_may_pay_again(till: Till) -> None:
    body = asked(till)
    answer = complete(till, body, act(till, body, succeed=False))
    assert (answer.status, json.loads(answer.body)["code"]) == (402, "payment_declined")
    assert status(till.house, body["order"]["id"]) == "payment_failed"


@ACTING
def test_completing_again_and_at_once_charges_once(till: Till) -> None:
    body = asked(till)
    details = act(till, body)

    def attempt() -> int:
        try:
            return complete(till, body, details).status
        except Transient:
            return 503

    answers = at_once(*[attempt] * 4)
    assert 200 in answers
    assert set(answers) <= {200, 503}
    assert complete(till, body, details).status == 200
    assert status(till.house, body["order"]["id"]) == "confirmed"
    (captured,) = till.house.rows("SELECT captured_amount, amount FROM payments.payments")
    assert captured["captured_amount"] == captured["amount"]
    assert till.house.violations() == []


@ACTING
def test_a_shopper_who_comes_back_without_having_acted_still_has_to(till: Till) -> None:
    body = asked(till)
    told = json.loads(complete(till, body, {}).body)
    assert told["payment"]["status"] == "requires_action"
    assert told["payment"]["client_action"]["type"]


@pytest.mark.parametrize("stage", ["adyen"], indirect=True)
def test_details_that_are_no_good_are_refused_and_the_payment_still_waits(till: Till) -> None:
    body = asked(till)
    with pytest.raises(GatewayRefused):
        complete(till, body, {"redirectResult": "made up"})
    assert last_payment(till.house, body["order"]["id"])["status"] == "requires_action"
    assert complete(till, body, act(till, body)).status == 200


@ACTING
def test_webhooks_alone_end_there_too_and_completing_afterwards_changes_nothing(till: Till) -> None:
    body = asked(till)
    house, order_id = till.house, body["order"]["id"]
    details = act(till, body)
    if till.gateway == "adyen":
        # Nothing happens at Adyen before the details are submitted. Here the answer to the submission is lost.
        till.stage.behave(fault="timeout_after")
        with pytest.raises(Transient):
            complete(till, body, details)
    if till.gateway == "paypal":
        till.deliver_until(lambda: last_check_is_due(till))
        assert check(house) == 1
    till.deliver_until(lambda: status(house, order_id) == "confirmed")
    assert complete(till, body, details).status == 200
    assert house.violations() == []


def last_check_is_due(till: Till) -> bool:
    due = till.house.value("SELECT next_check_at FROM payments.payments")
    return bool(due is not None and due <= till.house.clock())


@pytest.mark.parametrize("stage", ["paypal"], indirect=True)
def test_a_shopper_of_paypals_who_came_back_is_looked_at_at_once_and_not_for_ever(till: Till) -> None:
    body = asked(till)
    house = till.house
    waits_until = house.value("SELECT next_check_at FROM payments.payments")
    assert waits_until > house.clock() + timedelta(minutes=5)
    act(till, body)
    till.deliver_until(lambda: last_check_is_due(till))
    assert check(house) == 1
    assert status(house, body["order"]["id"]) == "confirmed"


@pytest.mark.parametrize("stage", ["paypal"], indirect=True)
def test_an_order_that_nobody_approved_and_that_paypal_has_forgotten_since_is_over(till: Till) -> None:
    house, body = till.house, asked(till)
    order_id = body["order"]["id"]
    transaction_id = house.value("SELECT gateway_transaction_id FROM payments.payments")
    till.stage.control("POST", f"/orders/{transaction_id}/forget")
    house.sql("UPDATE payments.payments SET next_check_at = :now", now=house.clock())
    check(house)
    assert last_payment(house, order_id)["status"] == "requires_action", "while it is awaited that says nothing"
    house.clock.advance(days=1)
    expire(house)
    assert check(house) == 1
    assert last_payment(house, order_id)["status"] == "cancelled"
    house.clock.advance(days=1)
    assert check(house) == 0
    expire(house)
    assert status(house, order_id) == "cancelled"
    assert house.failures() == []
    assert house.violations() == []


@ACTING
def test_only_the_orders_own_shopper_completes_its_own_payment(till: Till) -> None:
    body = asked(till)
    with pytest.raises(NotFound):
        complete(till, body, {}, caller=guest(till.house))
    other = {**body, "payment": {"id": str(uuid7(datetime.now(UTC)))}}
    with pytest.raises(NotFound):
        complete(till, other, {})


@ACTING
def test_a_payment_of_a_cancelled_order_is_not_gone_on_with(till: Till) -> None:
    body = asked(till)
    details = act(till, body)
    till.house.cancel(body["order"]["id"])
    try:
        told = complete(till, body, details).status
    except Conflict:
        told = 409
    assert told == 409
    kept = "SELECT captured_amount - refunded_amount - refunding_amount FROM payments.payments"
    assert till.house.value(kept) == 0


@ACTING
def test_the_way_back_is_the_shops_own_and_stays_with_the_attempt(till: Till) -> None:
    house = till.house
    body = asked(till)
    kept = house.value("SELECT metadata ->> 'return_url' FROM payments.payments")
    assert kept == RETURN_URL.replace("{order_id}", body["order"]["id"])
    own = {"currency": "USD", "storefront_return_url": "https://my.shop/back/{order_id}"}
    house.sql("UPDATE tenancy.organizations SET settings = CAST(:s AS jsonb)", s=json.dumps(own))
    assert json.loads(complete(till, body, {}).body)["payment"]["status"] == "requires_action"
    other = asked(till)
    kept = house.value(
        "SELECT metadata ->> 'return_url' FROM payments.payments WHERE order_id = :id", id=other["order"]["id"]
    )
    assert kept == f"https://my.shop/back/{other['order']['id']}"
