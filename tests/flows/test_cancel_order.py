import pytest

from holdfast.flows.money.owed_operations import ATTEMPTS_MAX
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import Forbidden, IdempotencyKeyReused, NotFound, TransitionRefused
from tests.flows.actions import (
    at_once,
    authenticate,
    check,
    expire,
    intents,
    killed_before_the_gateway_was_asked,
    last_payment,
    movements,
    operations,
    ordered,
    resume,
    staff,
    status,
    topics,
)
from tests.house import House, document

ASKS = "pm_card_authenticationRequired"


def walk(house: House, order_id: str, *path: str) -> None:
    """Move an order through these statuses, as other parts of the product would."""
    house.sql(
        "SELECT orders.walk_status(organization_id, id, status, status_sequence, string_to_array(:path, ','), 'test',"
        " NULL, :now) FROM orders.orders WHERE id = :id",
        path=",".join(path),
        now=house.clock.now,
        id=order_id,
    )


def load(house: House) -> int:
    """Return the number of orders that all warehouses have booked."""
    return int(house.value("SELECT COALESCE(sum(orders), 0) FROM inventory.warehouse_daily_load"))


@pytest.mark.parametrize("token", [ASKS, "pm_card_chargeDeclined"], ids=["payment_processing", "payment_failed"])
def test_an_unpaid_order_is_cancelled_its_hold_released_and_its_attempt_ended(house: House, token: str) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2}, token=token)
    assert load(house) == 1
    answer = house.cancel(order_id)
    assert (answer.status, document(answer)["order"]["status"]) == (200, "cancelled")
    assert house.stock() == {"EWR": (10, 0)}
    assert (movements(house, "release"), movements(house, "return"), load(house)) == ([-2], [], 0)
    assert all(intent["status"] != "requires_action" for intent in intents(house, order_id))
    assert topics(house, order_id)[-1][1] == "order.cancelled"
    assert house.violations() == []


@pytest.mark.parametrize("on_the_way", [(), ("processing",), ("address_review",)], ids=str)
def test_a_paid_order_is_cancelled_its_goods_returned_and_its_money_refunded(
    house: House, on_the_way: tuple[str, ...]
) -> None:
    house.add_variant("TEE", stock={"EWR": 3})
    house.add_variant("MUG", stock={"RNO": 3})
    order_id = ordered(house, {"TEE": 2, "MUG": 1})
    if on_the_way:
        walk(house, order_id, *on_the_way)
    house.cancel(order_id)
    order = house.order(order_id)
    assert (order["status"], order["payment_status"]) == ("cancelled", "refunded")
    assert order["amounts"]["refunded_minor"] == order["amounts"]["total_minor"]
    assert sorted(movements(house, "return")) == [1, 2]
    assert (house.stock("TEE"), house.stock("MUG"), load(house)) == ({"EWR": (3, 0)}, {"RNO": (3, 0)}, 0)
    assert operations(house) == [("done", "customer_request")]
    assert house.violations() == []


def test_money_that_is_only_held_is_voided(house: House) -> None:
    house.sql(
        'UPDATE tenancy.organizations SET settings = \'{"currency": "USD", "capture_policy": "at_first_shipment"}\''
    )
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.cancel(order_id)
    assert last_payment(house, order_id)["status"] == "cancelled"
    assert (house.charges()["held"], house.charges()["refunded"]) == (0, 0)
    assert house.violations() == []


@pytest.mark.parametrize(
    "path",
    [
        ("processing", "partially_shipped"),
        ("processing", "shipped"),
        ("processing", "shipped", "delivered"),
        ("refunded",),
    ],
    ids=str,
)
def test_what_was_shipped_or_refunded_is_not_cancelled(house: House, path: tuple[str, ...]) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    walk(house, order_id, *path)
    with pytest.raises(TransitionRefused) as refused:
        house.cancel(order_id, key="try")
    assert refused.value.facts["current"] == path[-1]
    assert "cancelled" not in refused.value.facts["allowed"]
    assert operations(house) == []
    assert house.value("SELECT count(*) FROM orders.idempotency_keys WHERE key = 'try'") == 0
    assert house.charges()["refunded"] == 0


def test_cancelling_twice_is_cancelling_once(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2})
    first = house.cancel(order_id, key="one")
    assert house.cancel(order_id, key="one") == first
    assert document(house.cancel(order_id, key="two"))["order"]["status"] == "cancelled"
    assert house.timeline(order_id).count("cancelled") == 1
    assert movements(house, "return") == [2]
    assert len(intents(house, order_id)[0]["refunds"]) == 1
    other = ordered(house)
    with pytest.raises(IdempotencyKeyReused):
        house.cancel(other, key="one")
    assert house.violations() == []


def test_cancelling_several_times_at_once_returns_goods_and_money_once(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2})
    same = at_once(*[lambda: house.cancel(order_id, key="same")] * 3, lambda: house.cancel(order_id))
    assert same[0] == same[1] == same[2]
    house.clock.advance(minutes=5)
    resume(house)
    assert movements(house, "return") == [2]
    assert len(intents(house, order_id)[0]["refunds"]) == 1
    assert house.violations() == []


def test_a_capture_that_comes_while_the_order_is_cancelled_is_given_back(house: House) -> None:
    house.add_variant(stock=50)
    for number in range(1, 6):
        order_id = ordered(house, token=ASKS)
        authenticate(house, order_id)
        (webhook,) = house.webhooks("payment_intent.succeeded", order_id=order_id)
        house.deliver(webhook)
        at_once(lambda order_id=order_id: house.cancel(order_id), house.work)  # type: ignore[misc]
        house.clock.advance(minutes=10)
        house.work()
        resume(house)
        assert (status(house, order_id), last_payment(house, order_id)["status"]) == ("cancelled", "refunded")
        assert house.charges()["refunded"] == number * last_payment(house, order_id)["amount_minor"]
    assert house.stock() == {"EWR": (50, 0)}
    assert house.violations() == []


def test_a_cancellation_whose_refund_meets_a_gateway_that_is_down_is_resumed_and_refunds_once(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=503)
    house.stripe_behaves(match={"operation": "refunds.create"}, fault="timeout_after")
    assert house.cancel(order_id).status == 200
    assert operations(house) == [("running", "customer_request")]
    assert (house.clock.advance(seconds=30), resume(house))[1] == 0
    for _ in range(3):
        house.clock.advance(minutes=5)
        resume(house)
    assert operations(house) == [("done", "customer_request")]
    assert last_payment(house, order_id)["status"] == "refunded"
    assert len(intents(house, order_id)[0]["refunds"]) == 1
    assert house.violations() == []


def test_a_void_that_meets_a_gateway_that_is_down_is_resumed(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=ASKS)
    house.stripe_behaves(match={"operation": "payment_intents.cancel"}, fault="timeout_before")
    house.cancel(order_id)
    house.clock.advance(minutes=2)
    assert resume(house) == 1
    assert [intent["status"] for intent in intents(house, order_id)] == ["canceled"]
    assert operations(house) == [("done", "customer_request")]
    assert house.violations() == []


def test_an_order_whose_process_died_before_it_was_paid_is_cancelled_without_costing_the_shopper(house: House) -> None:
    house.add_variant(stock=10)
    order_id = killed_before_the_gateway_was_asked(house)
    house.cancel(order_id)
    assert house.timeline(order_id) == ["pending_payment", "cancelled"]
    assert house.charges()["captured"] == house.charges()["refunded"]
    assert house.violations() == []


def test_a_charge_that_may_be_on_its_way_is_waited_for_before_it_is_looked_for(house: House) -> None:
    house.add_variant(stock=10)
    order_id = killed_before_the_gateway_was_asked(house)
    house.cancel(order_id)
    assert (intents(house, order_id), operations(house)) == ([], [("running", "customer_request")])
    house.clock.advance(seconds=61)
    resume(house)
    assert operations(house) == [("done", "customer_request")]
    assert house.charges()["captured"] == house.charges()["refunded"]
    assert house.violations() == []


def test_an_attempt_nobody_knows_the_end_of_is_found_before_it_is_ended(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match={"operation": "payment_intents.create"}, fault="timeout_after")
    order_id = ordered(house)
    house.cancel(order_id)
    assert (status(house, order_id), last_payment(house, order_id)["status"]) == ("cancelled", "refunded")
    assert house.charges()["captured"] == house.charges()["refunded"]
    assert house.violations() == []


def test_an_attempt_too_old_to_be_repeated_is_left_to_a_person(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match={"operation": "payment_intents.create"}, http_status=503)
    order_id = ordered(house)
    house.clock.advance(hours=25)
    expire(house)
    house.cancel(order_id)
    assert operations(house) == [("failed", "customer_request")]
    assert house.failures() == ["ReturnMoney"]
    assert intents(house, order_id) == []
    assert check(house) == 1
    assert intents(house, order_id) == []
    assert house.violations() == []


def test_money_that_cannot_be_returned_for_hours_calls_a_person_and_is_not_forgotten(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=503, times=ATTEMPTS_MAX)
    house.cancel(order_id)
    for _ in range(ATTEMPTS_MAX):
        house.clock.advance(hours=1, seconds=1)
        resume(house)
    assert operations(house) == [("failed", "customer_request")]
    assert house.failures() == ["ReturnMoney"]
    assert house.charges()["refunded"] == 0
    assert house.violations() == []


def test_a_refund_the_gateway_refuses_calls_a_person_and_makes_room_for_the_truth(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=400)
    house.cancel(order_id)
    assert operations(house) == [("failed", "customer_request")]
    assert house.failures() == ["ReturnMoney"]
    assert house.value("SELECT refunding_amount FROM payments.payments") == 0
    assert house.violations() == []


def test_only_the_shopper_and_managers_cancel(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    with pytest.raises(NotFound):
        house.cancel(order_id, caller=Caller(house.organization_id, CallerKind.CUSTOMER, "eve", "eve@example.com"))
    with pytest.raises(Forbidden):
        house.cancel(order_id, caller=staff(house, "member"))
    assert house.cancel(order_id, caller=staff(house, "manager")).status == 200
    assert house.violations() == []
