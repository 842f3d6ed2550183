from datetime import timedelta

import pytest

from holdfast.flows.checkout.pay_order import ATTEMPTS_MAX
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import (
    Conflict,
    Forbidden,
    IdempotencyKeyReused,
    NotFound,
    OutOfStock,
    TransitionRefused,
)
from tests.flows.actions import (
    at_once,
    authenticate,
    check,
    expire,
    hold_ends,
    intents,
    last_payment,
    ordered,
    staff,
    status,
    topics,
)
from tests.house import House, document

DECLINED = "pm_card_chargeDeclined"
ASKS = "pm_card_authenticationRequired"


def test_a_declined_order_is_paid_with_another_method_while_its_hold_lives(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2}, token=DECLINED)
    house.clock.advance(minutes=10)
    answer = house.pay_again(order_id)
    assert (answer.status, document(answer)["order"]["status"]) == (201, "confirmed")
    assert house.timeline(order_id) == [
        "pending_payment",
        "payment_failed",
        "pending_payment",
        "payment_processing",
        "payment_confirmed",
        "confirmed",
    ]
    assert house.stock() == {"EWR": (8, 0)}
    assert [sequence for sequence, _ in topics(house, order_id)] == [1, 2, 5, 6]
    assert house.violations() == []


def test_no_number_of_declined_payments_holds_the_goods_beyond_the_bound(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=DECLINED)
    begun = house.clock.now
    for _ in range(5):
        house.clock.advance(minutes=25)
        assert house.pay_again(order_id, token=DECLINED).status == 402
        assert hold_ends(house, order_id) <= begun + timedelta(seconds=7200)
    assert hold_ends(house, order_id) == begun + timedelta(seconds=7200)
    house.clock.advance(minutes=25)
    assert house.pay_again(order_id).status == 201, "its goods are still there, and are held anew"
    assert house.violations() == []


def test_another_decline_extends_the_hold_and_leaves_the_order_payable(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=DECLINED)
    house.clock.advance(minutes=10)
    answer = house.pay_again(order_id, token="pm_card_chargeDeclinedLostCard")
    assert answer.status == 402
    assert hold_ends(house, order_id) == house.clock.now + timedelta(seconds=1800)
    assert status(house, order_id) == "payment_failed"
    assert house.pay_again(order_id).status == 201
    assert house.violations() == []


def test_after_the_hold_expired_paying_reserves_first(house: House) -> None:
    house.add_variant(stock=3)
    order_id = ordered(house, {"TEE": 2}, token=DECLINED)
    house.clock.advance(minutes=16)
    assert expire(house).released == 1
    assert house.stock() == {"EWR": (3, 0)}
    assert house.pay_again(order_id).status == 201
    assert status(house, order_id) == "confirmed"
    assert house.stock() == {"EWR": (1, 0)}
    assert house.violations() == []


def test_after_the_hold_expired_and_the_stock_went_the_order_is_cancelled_and_nothing_is_charged(house: House) -> None:
    house.add_variant(stock=2)
    order_id = ordered(house, {"TEE": 2}, token=DECLINED)
    house.clock.advance(minutes=16)
    expire(house)
    ordered(house, {"TEE": 1})
    with pytest.raises(OutOfStock) as refused:
        house.pay_again(order_id, key="late")
    assert refused.value.facts["items"][0]["sku"] == "TEE"
    assert status(house, order_id) == "cancelled"
    assert len(intents(house, order_id)) == 1
    assert topics(house, order_id)[-1][1] == "order.cancelled"
    with pytest.raises(TransitionRefused):
        house.pay_again(order_id, key="late")
    assert house.violations() == []


def test_an_open_attempt_is_cancelled_at_the_gateway_before_another_begins(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=ASKS)
    assert house.pay_again(order_id).status == 201
    assert [intent["status"] for intent in intents(house, order_id)] == ["canceled", "succeeded"]
    assert [payment["status"] for payment in house.order(order_id)["payments"]] == ["cancelled", "captured"]
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


def test_an_open_attempt_that_turns_out_to_be_paid_ends_the_matter(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=ASKS)
    authenticate(house, order_id)
    with pytest.raises(Conflict, match="paid"):
        house.pay_again(order_id)
    assert status(house, order_id) == "confirmed"
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


def test_while_the_gateway_does_not_say_what_became_of_an_attempt_no_other_begins(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match={"operation": "payment_intents"}, http_status=503, times=2)
    order_id = ordered(house)
    with pytest.raises(Conflict, match="still being decided"):
        house.pay_again(order_id)
    house.clock.advance(seconds=121)
    check(house)
    assert status(house, order_id) == "confirmed"
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


def test_an_attempt_too_old_to_be_asked_about_keeps_others_from_beginning(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match={"operation": "payment_intents"}, http_status=503)
    order_id = ordered(house)
    house.clock.advance(hours=25)
    with pytest.raises(Conflict, match="looking into it"):
        house.pay_again(order_id)
    assert intents(house, order_id) == []


def test_a_paid_and_a_cancelled_order_take_no_payment(house: House) -> None:
    house.add_variant(stock=10)
    paid, cancelled = ordered(house), ordered(house, token=DECLINED)
    house.cancel(cancelled)
    with pytest.raises(Conflict):
        house.pay_again(paid)
    with pytest.raises(TransitionRefused):
        house.pay_again(cancelled)
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


def test_the_same_key_pays_once_and_another_body_under_it_is_refused(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=DECLINED)
    first = house.pay_again(order_id, key="again")
    assert house.pay_again(order_id, key="again") == first
    with pytest.raises(IdempotencyKeyReused):
        house.pay_again(order_id, key="again", token="pm_card_amex")
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


def test_the_same_key_twice_at_once_is_one_payment_and_one_answer(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=DECLINED)
    house.stripe_behaves(match={"operation": "payment_intents.create"}, delay_seconds=0.4)
    one, other = at_once(*[lambda: house.pay_again(order_id, key="again")] * 2)
    assert one == other
    assert one.status == 201
    assert len(house.order(order_id)["payments"]) == 2
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


def test_two_methods_at_once_are_one_charge(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=DECLINED)
    house.stripe_behaves(match={"operation": "payment_intents.create"}, delay_seconds=0.3)

    def pay(token: str) -> int | str:
        try:
            return house.pay_again(order_id, token=token).status
        except Conflict as refused:
            return refused.code

    assert set(at_once(lambda: pay("pm_card_visa"), lambda: pay("pm_card_amex"))) == {201, "conflict"}
    assert house.charges()["charges_captured"] == 1
    assert status(house, order_id) == "confirmed"
    assert house.violations() == []


def test_a_process_that_died_while_paying_again_is_resumed_under_the_same_gateway_key(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=DECLINED)
    house.stripe_behaves(match={"operation": "payment_intents.create"}, fault="timeout_after")
    first = house.pay_again(order_id, key="again")
    assert document(first)["payment"]["status"] == "processing"
    house.sql(
        "UPDATE orders.idempotency_keys SET state = 'in_progress', response_status = NULL, response_body = NULL"
        " WHERE key = 'again'"
    )
    house.clock.advance(seconds=31)
    assert document(house.pay_again(order_id, key="again"))["order"]["status"] == "confirmed"
    assert house.charges()["charges_captured"] == 1
    assert last_payment(house, order_id)["attempt"] == 2
    assert house.violations() == []


def test_an_order_takes_a_bounded_number_of_attempts(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=DECLINED)
    house.sql(
        "INSERT INTO payments.payments (organization_id, id, order_id, attempt, gateway, gateway_account_id, amount,"
        " currency, status, idempotency_key, created_at) SELECT organization_id, gen_random_uuid(), order_id, n,"
        " gateway, gateway_account_id, amount, currency, 'failed', order_id || '-' || n, created_at"
        " FROM payments.payments, generate_series(2, CAST(:last AS integer)) AS n",
        last=ATTEMPTS_MAX,
    )
    with pytest.raises(Conflict, match="place it anew"):
        house.pay_again(order_id)


def test_nobody_but_the_orders_shopper_pays_it(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=ASKS)
    ada, house.customer = house.customer, Caller(house.organization_id, CallerKind.CUSTOMER, "eve", "eve@example.com")
    with pytest.raises(NotFound):
        house.pay_again(order_id)
    house.customer = staff(house, "owner")
    with pytest.raises(Forbidden):
        house.pay_again(order_id)
    house.customer = ada
    assert [intent["status"] for intent in intents(house, order_id)] == ["requires_action"]
