"""Money that arrives when nobody waits for it any more buys goods if there are any; else all of it goes back, once."""

import pytest

from holdfast.flows.orders.expire_reservations import GRACE_SECONDS
from tests.flows.actions import (
    authenticate,
    check,
    expire,
    intents,
    last_payment,
    operations,
    ordered,
    resume,
    status,
    topics,
)
from tests.house import House, document

ASKS = "pm_card_authenticationRequired"
LET_GO_MINUTES = (1800 + GRACE_SECONDS) / 60 + 1


def authorize_only(house: House) -> None:
    house.sql(
        'UPDATE tenancy.organizations SET settings = \'{"currency": "USD", "capture_policy": "at_first_shipment"}\''
    )


def paid_late(house: House, order_id: str, webhook_type: str = "payment_intent.succeeded") -> None:
    """Have the shopper pass 3-D Secure now, and deliver and apply the webhook."""
    authenticate(house, order_id)
    (webhook,) = house.webhooks(webhook_type, order_id=order_id)
    house.deliver(webhook)
    house.work()


def test_a_late_payment_takes_the_stock_that_is_left(house: House) -> None:
    house.add_variant(stock=3)
    order_id = ordered(house, {"TEE": 2}, token=ASKS)
    house.clock.advance(minutes=LET_GO_MINUTES)
    assert expire(house).released == 1
    paid_late(house, order_id)
    assert status(house, order_id) == "confirmed"
    assert house.stock() == {"EWR": (1, 0)}
    assert house.failures() == []
    assert house.violations() == []


def test_a_late_payment_is_served_from_another_warehouse_if_need_be(house: House) -> None:
    house.add_variant(stock={"EWR": 2})
    order_id = ordered(house, {"TEE": 2}, token=ASKS)
    house.clock.advance(minutes=LET_GO_MINUTES)
    expire(house)
    ordered(house, {"TEE": 1})
    house.receive("TEE", "RNO", 5)
    paid_late(house, order_id)
    order = house.order(order_id)
    assert order["status"] == "confirmed"
    assert [(row["warehouse"], row["quantity"]) for row in order["allocations"]] == [("RNO", 2)]
    assert house.stock() == {"EWR": (1, 0), "RNO": (3, 0)}
    assert house.violations() == []


def test_a_late_payment_without_stock_is_refunded_once_and_a_person_is_told(house: House) -> None:
    house.add_variant(stock=2)
    order_id = ordered(house, {"TEE": 2}, token=ASKS)
    house.clock.advance(minutes=LET_GO_MINUTES)
    expire(house)
    ordered(house, {"TEE": 1})
    paid_late(house, order_id)
    assert status(house, order_id) == "cancelled"
    assert last_payment(house, order_id)["status"] == "refunded"
    assert house.failures() == ["LatePayment"]
    assert operations(house) == [("done", "late_payment")]
    for webhook in house.webhooks():
        house.deliver(webhook)
    house.work()
    house.clock.advance(hours=2)
    assert (check(house), resume(house)) == (0, 0)
    assert len(intents(house, order_id)[0]["refunds"]) == 1
    assert house.failures() == ["LatePayment"]
    assert topics(house, order_id)[-1][1] == "order.cancelled"
    assert house.violations() == []


def test_a_late_authorization_without_stock_is_voided(house: House) -> None:
    authorize_only(house)
    house.add_variant(stock=1)
    order_id = ordered(house, token=ASKS)
    house.clock.advance(minutes=LET_GO_MINUTES)
    expire(house)
    ordered(house)
    paid_late(house, order_id, "payment_intent.amount_capturable_updated")
    assert status(house, order_id) == "cancelled"
    assert last_payment(house, order_id)["status"] == "cancelled"
    assert house.charges()["refunded"] == 0
    assert [intent["status"] for intent in intents(house, order_id)] == ["canceled"]
    assert house.violations() == []


def test_an_answer_that_comes_after_the_stock_went_is_told_to_the_shopper_as_a_conflict(house: House) -> None:
    house.add_variant(stock=1)
    house.stripe_behaves(match={"operation": "payment_intents.create"}, fault="timeout_after")
    order_id = ordered(house, key="slow")
    house.sql("UPDATE orders.idempotency_keys SET state = 'in_progress', response_status = NULL, response_body = NULL")
    house.clock.advance(minutes=LET_GO_MINUTES)
    expire(house)
    ordered(house)
    answer = house.place(key="slow")
    assert answer.status == 409
    assert document(answer)["order"]["status"] == "cancelled"
    assert status(house, order_id) == "cancelled"
    assert house.charges()["refunded"] == last_payment(house, order_id)["amount_minor"]
    assert house.place(key="slow") == answer
    assert house.violations() == []


def test_money_for_an_order_that_is_cancelled_goes_back(house: House) -> None:
    house.add_variant(stock=5)
    order_id = ordered(house, token=ASKS)
    house.stripe_behaves(match={"operation": "payment_intents.cancel"}, http_status=503)
    house.cancel(order_id)
    assert operations(house) == [("running", "customer_request")]
    paid_late(house, order_id)
    house.clock.advance(minutes=5)
    resume(house)
    assert last_payment(house, order_id)["status"] == "refunded"
    assert status(house, order_id) == "cancelled"
    assert operations(house) == [("done", "customer_request")]
    assert house.stock() == {"EWR": (5, 0)}
    assert house.violations() == []


def test_the_money_of_a_second_attempt_is_returned_and_the_first_is_kept_whatever_is_repeated(house: House) -> None:
    house.add_variant(stock=5)
    house.stripe_behaves(match={"operation": "payment_intents.cancel"}, http_status=409)
    order_id = ordered(house, token="pm_card_authenticationRequired")
    first = last_payment(house, order_id)
    # The gateway would not cancel the first attempt, and somebody decided that it was dead.
    house.forge("UPDATE payments.payments SET status = 'failed', facts = facts || '{\"failed\": true}'")
    house.sql("UPDATE orders.orders SET status = 'payment_failed'")
    house.sql("UPDATE orders.order_status_history SET to_status = 'payment_failed' WHERE sequence = 2")
    assert house.pay_again(order_id).status == 201
    authenticate(house, order_id)
    house.webhooks("payment_intent.succeeded", count=2)
    for webhook in house.webhooks("payment_intent.succeeded", "charge.succeeded"):
        house.deliver(webhook)
    house.work()
    for webhook in house.webhooks("payment_intent.succeeded", count=2):
        house.deliver({**webhook, "id": f"{webhook['id']}_repeated"})
    house.work()
    house.clock.advance(minutes=2)
    resume(house)
    assert operations(house) == [("done", "duplicate")]
    payments = {payment["id"]: payment["status"] for payment in house.order(order_id)["payments"]}
    assert payments.pop(first["id"]) == "refunded"
    assert list(payments.values()) == ["captured"]
    assert status(house, order_id) == "confirmed"
    assert house.charges()["refunded"] == first["amount_minor"]
    assert house.failures() == []
    assert house.violations() == []


def test_a_refund_that_fails_later_calls_a_person_and_is_not_tried_for_ever(house: House) -> None:
    house.add_variant(stock=5)
    order_id = ordered(house, token="pm_card_refundFail")
    house.cancel(order_id)
    assert last_payment(house, order_id)["status"] == "refunded"
    house.webhooks("refund.failed")
    for webhook in house.webhooks("refund.created", "refund.updated", "refund.failed", count=3):
        house.deliver(webhook)
        house.work()
    assert last_payment(house, order_id)["status"] == "captured"
    assert sorted(operations(house)) == [("done", "customer_request"), ("failed", "late_payment")]
    assert house.failures() == ["RefundFailed"]
    house.clock.advance(hours=3)
    resume(house)
    for webhook in house.webhooks("charge.succeeded", "payment_intent.succeeded"):
        house.deliver(webhook)
        house.work()
    assert len(intents(house, order_id)[0]["refunds"]) == 1
    assert house.failures() == ["RefundFailed"]
    assert house.violations() == []


@pytest.mark.parametrize("fate", ["succeeds", "fails"])
def test_a_refund_the_gateway_takes_its_time_with_is_asked_about_when_its_webhook_is_lost(
    house: House, fate: str
) -> None:
    house.add_variant(stock=5)
    order_id = ordered(house)
    house.stripe_behaves(
        match={"operation": "refunds.create"}, refund_fate="pending_first", refund_delay_seconds=3600.0
    )
    house.cancel(order_id)
    assert last_payment(house, order_id)["status"] == "captured"
    assert operations(house) == [("running", "customer_request")]
    house.clock.advance(minutes=30)
    assert resume(house) == 0
    (refund,) = intents(house, order_id)[0]["refunds"]
    house.stripe("POST", f"/refunds/{refund['id']}/{'succeed' if fate == 'succeeds' else 'fail'}")
    house.clock.advance(minutes=31)
    assert resume(house) == 1
    done = fate == "succeeds"
    assert operations(house) == [("done" if done else "failed", "customer_request")]
    assert last_payment(house, order_id)["status"] == ("refunded" if done else "captured")
    assert house.failures() == ([] if done else ["RefundFailed"])
    assert house.violations() == []
