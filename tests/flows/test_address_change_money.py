"""A change of address never raises what an order costs, and what was paid beyond the new price is refunded once."""

import uuid

import pytest

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.money.capture_order import CaptureOrder, capture_order
from holdfast.values.errors import InvalidInput
from holdfast.web.answers import capture_answer
from tests.flows.actions import authenticate, guest, last_payment, operations, ordered, resume, staff, status
from tests.flows.moving import BERLIN, NEWARK, PORTLAND, RENO, readdress, refunds, settings, shop
from tests.house import House

ASKS = "pm_card_authenticationRequired"


def capture(house: House, order_id: str, amount_minor: int | None = None) -> None:
    caller = staff(house)
    claim = Claim(caller.actor, "capture_order", uuid.uuid4().hex, fingerprint_of({"amount": amount_minor}))
    capture_order(house.runtime, CaptureOrder(caller, claim, order_id, amount_minor), house.clock, capture_answer)


def test_the_price_falls_with_the_tax_and_the_difference_is_refunded(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, {"TEE": 2}, address=NEWARK)
    answer = readdress(house, order_id, PORTLAND)
    assert answer["price"] == {
        "currency": "USD",
        "agreed_minor": 5064,
        "asked_minor": 4799,
        "total_minor": 4799,
        "difference_minor": 265,
        "settled_by": "refund",
    }
    order = house.order(order_id)
    assert order["amounts"] == {
        "subtotal_minor": 4000,
        "tax_minor": 0,
        "shipping_minor": 799,
        "discount_minor": 0,
        "total_minor": 4799,
        "refunded_minor": 0,
    }
    assert [line["tax_minor"] for line in order["items"]] == [0]
    assert refunds(house, order_id) == [("price_difference", 265, "succeeded")]
    assert operations(house) == [("done", "price_difference")]
    assert house.charges()["refunded"] == 265
    assert status(house, order_id) == "confirmed"
    for webhook in house.webhooks():
        house.deliver(webhook)
    house.work()
    house.clock.advance(hours=2)
    resume(house)
    assert house.charges()["refunded"] == 265
    assert house.violations() == []
    house.cancel(order_id)
    assert house.charges()["refunded"] == 5064
    assert house.violations() == []


def test_the_price_never_rises_and_comes_back_only_once(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, {"TEE": 2}, address=PORTLAND)
    answer = readdress(house, order_id, NEWARK)["price"]
    assert (answer["agreed_minor"], answer["asked_minor"], answer["total_minor"]) == (4799, 5064, 4799)
    assert answer["settled_by"] == "nothing"
    (row,) = house.rows("SELECT total, total_anew, total_after FROM orders.order_address_versions")
    assert dict(row) == {"total": 4799, "total_anew": 5064, "total_after": 4799}
    for address in (PORTLAND, NEWARK, PORTLAND):
        assert readdress(house, order_id, address)["price"]["total_minor"] == 4799
    assert refunds(house, order_id) == []
    assert house.violations() == []


@pytest.mark.parametrize("who", ["customer", "guest"])
def test_a_person_knows_once_what_a_shoppers_wish_costs_the_shop(house: House, who: str) -> None:
    """An untaxed address first, and then home: the price stays, and somebody is told."""
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    shopper = guest(house) if who == "guest" else house.customer
    order_id = ordered(house, {"TEE": 2}, address=PORTLAND, caller=shopper)
    assert readdress(house, order_id, NEWARK, caller=shopper)["price"]["total_minor"] == 4799
    (failure,) = house.rows("SELECT process_name, related_id, details, payload FROM operations.process_failures")
    assert (failure["process_name"], str(failure["related_id"])) == ("DifferenceBorne", order_id)
    assert "50.64 USD" in failure["details"]
    assert failure["payload"] == {"asked_minor": 5064, "agreed_minor": 4799, "currency": "USD"}
    for address in (PORTLAND, BERLIN):
        readdress(house, order_id, address, caller=shopper)
    assert house.failures() == ["DifferenceBorne"]
    assert house.violations() == []


def test_little_that_the_shop_bears_and_what_the_staff_change_call_nobody(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, {"TEE": 2}, address=NEWARK)
    price = readdress(house, order_id, RENO)["price"]
    assert price["asked_minor"] > price["agreed_minor"]
    assert readdress(house, order_id, BERLIN, caller=staff(house))["price"]["asked_minor"] > 5500
    assert house.failures() == []
    assert house.violations() == []


def test_an_unpaid_order_is_charged_the_lower_price_when_it_is_paid(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, {"TEE": 2}, address=NEWARK, token="pm_card_chargeDeclined")
    assert readdress(house, order_id, PORTLAND)["price"]["settled_by"] == "charging_less"
    house.pay_again(order_id)
    assert (last_payment(house, order_id)["amount_minor"], status(house, order_id)) == (4799, "confirmed")
    assert refunds(house, order_id) == []
    assert house.violations() == []


def test_what_an_open_payment_brings_beyond_the_price_goes_back_when_it_comes(house: House) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, {"TEE": 2}, address=NEWARK, token=ASKS)
    assert readdress(house, order_id, PORTLAND)["price"]["settled_by"] == "refund_once_paid"
    assert refunds(house, order_id) == []
    authenticate(house, order_id)
    (webhook,) = house.webhooks("payment_intent.succeeded", order_id=order_id)
    house.deliver(webhook)
    house.work()
    assert status(house, order_id) == "confirmed"
    assert refunds(house, order_id) == [("price_difference", 265, "succeeded")]
    for again in house.webhooks():
        house.deliver(again)
    house.work()
    assert house.charges()["refunded"] == 265
    assert house.violations() == []


def test_of_held_money_no_more_is_taken_than_the_order_costs(house: House) -> None:
    settings(house, capture_policy="at_first_shipment")
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, {"TEE": 2}, address=NEWARK)
    assert last_payment(house, order_id)["status"] == "authorized"
    assert readdress(house, order_id, PORTLAND)["price"]["settled_by"] == "capturing_less"
    with pytest.raises(InvalidInput):
        capture(house, order_id, 4800)
    capture(house, order_id)
    assert last_payment(house, order_id)["captured_minor"] == 4799
    assert refunds(house, order_id) == []
    assert house.violations() == []


def test_a_shop_that_does_not_ship_there_refuses_and_nothing_changes(house: House) -> None:
    rates = [{"preference": "standard", "amount_minor": 799, "country": "US"}]
    settings(house, shipping_rates=rates)
    shop(house)
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    order_id = ordered(house, address=NEWARK)
    with pytest.raises(InvalidInput, match="no standard shipping to DE"):
        readdress(house, order_id, BERLIN)
    assert house.order(order_id)["shipping_address"]["city"] == "Newark"
    assert house.rows("SELECT 1 FROM addresses.geocode_failures") == []
    assert house.violations() == []
