import json
from datetime import timedelta

import pytest

from holdfast.values.errors import CapacityExceeded, Forbidden, InvalidInput, OutOfStock
from tests.flows.actions import (
    announced,
    at_once,
    authenticate,
    check,
    guest,
    hold_ends,
    intents,
    killed_before_the_gateway_was_asked,
    last_payment,
    ordered,
    staff,
    status,
    sweep,
    topics,
)
from tests.house import House, document

WALK = ["pending_payment", "payment_processing", "payment_confirmed", "confirmed"]


def test_a_paid_checkout_ends_confirmed_with_its_stock_sold(house: House) -> None:
    house.add_variant(stock=10)
    answer = house.place({"TEE": 2})
    order = document(answer)["order"]
    assert answer.status == 201
    assert house.timeline(order["id"]) == WALK
    assert order["payments"][0]["brand"] == "visa"
    assert house.stock() == {"EWR": (8, 0)}
    assert topics(house, order["id"]) == [(1, "order.created"), (3, "order.paid"), (4, "order.confirmed")]
    assert house.violations() == []


def test_a_declined_checkout_is_answered_402_and_keeps_its_hold(house: House) -> None:
    house.add_variant(stock=10)
    answer = house.place({"TEE": 2}, token="pm_card_chargeDeclinedInsufficientFunds")
    problem = document(answer)
    assert (answer.status, problem["failure_code"]) == (402, "insufficient_funds")
    assert problem["order"]["status"] == "payment_failed"
    assert house.stock() == {"EWR": (10, 2)}
    assert house.violations() == []


def test_a_token_the_gateway_does_not_know_is_a_failed_payment(house: House) -> None:
    house.add_variant(stock=10)
    answer = house.place(token="pm_card_unheard_of")
    assert answer.status == 402
    assert document(answer)["order"]["status"] == "payment_failed"
    assert house.charges()["payment_intents"] == 0
    assert house.violations() == []


def test_three_d_secure_holds_the_stock_for_half_an_hour_and_is_confirmed_by_the_webhook(house: House) -> None:
    house.add_variant(stock=10)
    answer = house.place(token="pm_card_authenticationRequired")
    body = document(answer)
    order_id = body["order"]["id"]
    assert (answer.status, body["payment"]["status"]) == (201, "requires_action")
    assert body["payment"]["client_action"]["client_secret"]
    assert body["order"]["status"] == "payment_processing"
    assert hold_ends(house, order_id) == house.clock.now + timedelta(seconds=1800)
    authenticate(house, order_id)
    (webhook,) = house.webhooks("payment_intent.succeeded")
    house.deliver(webhook)
    assert house.work() == ["processed"]
    assert house.timeline(order_id) == WALK
    assert last_payment(house, order_id)["client_action"] is None
    assert house.violations() == []


def test_the_length_of_a_hold_is_the_shops_own_setting(house: House) -> None:
    house.add_variant(stock=10)
    house.sql(
        "UPDATE tenancy.organizations SET settings = CAST(:settings AS jsonb) WHERE id = :o",
        settings=json.dumps({"currency": "USD", "hold_seconds": 300, "payment_hold_seconds": 600}),
        o=house.organization_id,
    )
    declined = ordered(house, token="pm_card_chargeDeclined")
    assert hold_ends(house, declined) == house.clock.now + timedelta(seconds=300)
    asked = ordered(house, token="pm_card_authenticationRequired")
    assert hold_ends(house, asked) == house.clock.now + timedelta(seconds=600)
    assert house.violations() == []


def test_a_shopper_who_fails_three_d_secure_leaves_a_failed_payment_and_a_live_hold(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token="pm_card_authenticationRequired")
    authenticate(house, order_id, succeed=False)
    (webhook,) = house.webhooks("payment_intent.payment_failed")
    house.deliver(webhook)
    assert house.work() == ["processed"]
    assert status(house, order_id) == "payment_failed"
    assert last_payment(house, order_id)["failure_code"] == "payment_intent_authentication_failure"
    assert house.stock() == {"EWR": (10, 1)}
    assert house.violations() == []


@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after"])
def test_a_lost_answer_is_told_as_processing_and_the_watchdog_finds_one_charge(house: House, fault: str) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match={"operation": "payment_intents.create"}, fault=fault)
    answer = house.place()
    body = document(answer)
    assert (answer.status, body["payment"]["status"], body["order"]["status"]) == (
        201,
        "processing",
        "payment_processing",
    )
    house.clock.advance(seconds=61)
    assert check(house) == 1
    assert house.timeline(body["order"]["id"]) == WALK
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


def test_a_lost_answer_is_made_up_for_by_the_webhook(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match={"operation": "payment_intents.create"}, fault="timeout_after")
    order_id = ordered(house)
    (webhook,) = house.webhooks("payment_intent.succeeded")
    house.deliver(webhook)
    assert house.work() == ["processed"]
    assert house.timeline(order_id) == WALK
    house.clock.advance(minutes=5)
    assert check(house) == 0
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


@pytest.mark.parametrize("http_status", [500, 429, 401])
def test_a_gateway_that_answers_with_an_error_of_its_own_never_takes_the_money_twice(
    house: House, http_status: int
) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match={"operation": "payment_intents.create"}, http_status=http_status)
    answer = house.place()
    order_id = document(answer)["order"]["id"]
    expected = (402, "payment_failed") if http_status == 401 else (201, "payment_processing")
    assert (answer.status, status(house, order_id)) == expected
    house.clock.advance(seconds=61)
    check(house)
    paid = 0 if http_status == 401 else 1
    assert house.charges()["charges_captured"] == paid
    assert status(house, order_id) == ("confirmed" if paid else "payment_failed")
    assert house.violations() == []


def test_a_webhook_that_is_faster_than_the_answer_confirms_and_the_answer_shows_it(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match={"operation": "payment_intents.create"}, webhooks={"before_answer": True})
    house.receiver.let_through.clear()

    def webhook_comes() -> list[object]:
        (webhook,) = house.webhooks("payment_intent.created")
        house.receiver.let_through.set()
        (webhook,) = house.webhooks("payment_intent.succeeded")
        house.receiver.let_through.clear()
        house.deliver(webhook)
        done: list[object] = list(house.work())
        house.receiver.let_through.set()
        return done

    answer, processed = at_once(house.place, webhook_comes)
    assert processed == ["processed"]
    body = document(answer)  # type: ignore[arg-type]
    assert body["order"]["status"] == "confirmed"
    assert [step["to"] for step in body["order"]["timeline"]] == WALK
    assert house.violations() == []


def test_everything_short_is_named_and_nothing_is_written(house: House) -> None:
    house.add_variant("TEE", stock=1)
    house.add_variant("MUG", stock=0)
    house.add_variant("CAP", stock=5)
    with pytest.raises(OutOfStock) as refused:
        house.place({"TEE": 2, "MUG": 1, "CAP": 1})
    assert {(item["sku"], item["requested"], item["available"]) for item in refused.value.facts["items"]} == {
        ("TEE", 2, 1),
        ("MUG", 1, 0),
    }
    assert house.value("SELECT count(*) FROM orders.orders") == 0
    assert house.value("SELECT count(*) FROM orders.idempotency_keys") == 0
    assert house.violations() == []


def test_an_order_no_single_warehouse_can_serve_ships_from_two(house: House) -> None:
    house.add_variant("TEE", stock={"EWR": 3})
    house.add_variant("MUG", stock={"RNO": 3})
    order = document(house.place({"TEE": 2, "MUG": 1}))["order"]
    assert order["is_split_shipment"] is True
    assert {row["warehouse"] for row in order["allocations"]} == {"EWR", "RNO"}
    assert (house.stock("TEE"), house.stock("MUG")) == ({"EWR": (1, 0)}, {"RNO": (2, 0)})
    assert house.violations() == []


def test_without_overflow_a_full_warehouse_takes_no_order_and_an_override_makes_room(house: House) -> None:
    house.add_warehouse("FULL", 39.0, -105.0, priority=1, capacity=1)
    house.add_variant(stock={"FULL": 10})
    ordered(house, allow_capacity_overflow=False)
    with pytest.raises(CapacityExceeded):
        house.place(allow_capacity_overflow=False)
    house.sql(
        "INSERT INTO inventory.capacity_overrides (organization_id, id, warehouse_id, starts_on, ends_on,"
        " hard_capacity_limit, reason, created_by, created_at) VALUES (:o, gen_random_uuid(), :w, :from, :to, 2,"
        " 'sale', 'test', :now)",
        o=house.organization_id,
        w=house.warehouses["FULL"],
        **{"from": house.clock.now.date() - timedelta(days=1), "to": house.clock.now.date() + timedelta(days=1)},
        now=house.clock.now,
    )
    ordered(house, allow_capacity_overflow=False)
    with pytest.raises(CapacityExceeded):
        house.place(allow_capacity_overflow=False)
    assert document(house.place())["order"]["status"] == "confirmed"
    assert house.violations() == []


def test_the_last_unit_goes_to_one_of_many_and_the_others_are_told_so(house: House) -> None:
    house.add_variant(stock=1)

    def buy() -> int | str:
        try:
            return house.place().status
        except OutOfStock as refused:
            return refused.code

    assert sorted(map(str, at_once(*[buy] * 6))) == ["201"] + ["out_of_stock"] * 5
    assert house.stock() == {"EWR": (0, 0)}
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


def test_a_guest_needs_an_address_to_write_to_and_becomes_a_customer_with_the_first_order(house: House) -> None:
    house.add_variant(stock=10)
    shopper = guest(house)
    first = document(house.place(caller=shopper))["order"]
    second = document(house.place(caller=shopper))["order"]
    assert first["customer_id"] == second["customer_id"] == str(shopper.guest_id)
    assert house.value("SELECT count(*) FROM tenancy.customers") == 1
    assert house.violations() == []


def test_staff_and_gateways_that_are_not_offered_are_refused_before_anything_is_written(house: House) -> None:
    house.add_variant(stock=10)
    with pytest.raises(Forbidden):
        house.place(caller=staff(house))
    house.sql("UPDATE tenancy.gateway_accounts SET status = 'disabled'")
    with pytest.raises(InvalidInput):
        house.place()
    assert house.value("SELECT count(*) FROM orders.orders") == 0


def test_a_shop_that_is_suspended_takes_no_orders(house: House) -> None:
    house.add_variant(stock=10)
    house.sql("UPDATE tenancy.organizations SET status = 'suspended' WHERE id = :o", o=house.organization_id)
    with pytest.raises(Forbidden):
        house.place()


def test_an_order_whose_process_dies_before_the_gateway_is_asked_is_paid_by_the_watchdog(house: House) -> None:
    house.add_variant(stock=10)
    order_id = killed_before_the_gateway_was_asked(house)
    assert status(house, order_id) == "pending_payment"
    house.clock.advance(seconds=61)
    assert check(house) == 1
    assert status(house, order_id) == "confirmed"
    assert len(intents(house, order_id)) == 1
    assert house.violations() == []


def test_a_checkout_rings_for_no_event_that_is_already_settled(house: House) -> None:
    house.add_variant(stock=10)
    ordered(house)
    house.clock.advance(minutes=2)
    assert sweep(house) == 0
    assert announced(house) == []
