"""Held money and kept payment methods in the shop, at each gateway: what the adapters promise, through the flows."""

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest

from holdfast.flows.checkout.payment_methods import list_payment_methods, remove_payment_method
from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.money.capture_order import CaptureOrder, capture_order
from holdfast.values.errors import InvalidInput
from holdfast.web.answers import capture_answer
from tests.flows.actions import check, last_payment, look_after_authorizations, staff, status
from tests.gateways.paypal_stage import PayPalStage
from tests.till import Till, act


@pytest.fixture
def till(till: Till) -> Till:
    """A house with an account at each of the gateways in turn; its money is held until its goods leave."""
    till.house.sql(
        'UPDATE tenancy.organizations SET settings = settings || \'{"capture_policy": "at_first_shipment"}\''
    )
    return till


def held(till: Till) -> str:
    order_id: str = till.place()["order"]["id"]
    till.deliver_until(lambda: last_payment(till.house, order_id)["status"] == "authorized")
    return order_id


def test_held_money_is_captured_in_part_once_and_its_order_stays(till: Till) -> None:
    order_id, caller = held(till), staff(till.house)
    claim = Claim(caller.actor, "capture_order", uuid.uuid4().hex, fingerprint_of({"order": order_id}))
    command = CaptureOrder(caller, claim, order_id, 1_200)
    answer = capture_order(till.house.runtime, command, till.house.clock, capture_answer)
    assert answer.status == (202 if till.stage.settles_later else 200)
    till.deliver_until(lambda: last_payment(till.house, order_id)["status"] == "captured")
    assert last_payment(till.house, order_id)["captured_minor"] == 1_200
    assert status(till.house, order_id) == "confirmed"
    assert till.house.failures() == []
    assert till.house.violations() == []


def test_held_money_that_is_about_to_end_is_taken_or_held_anew(till: Till) -> None:
    order_id, house = held(till), till.house
    renews = isinstance(till.stage, PayPalStage)
    transaction_id = house.value(
        "SELECT gateway_transaction_id FROM payments.payments WHERE order_id = :id", id=order_id
    )
    if renews:
        till.stage.control("POST", f"/orders/{transaction_id}/age", {"days": 4})
    end = house.clock() + timedelta(hours=30)
    house.forge(
        "UPDATE payments.payments SET authorization_expires_at = :end,"
        " facts = jsonb_set(facts, '{authorization_expires_at}', to_jsonb(CAST(:text AS text))) WHERE order_id = :id",
        end=end,
        text=end.isoformat(),
        id=order_id,
    )
    assert look_after_authorizations(house) == 1
    if not renews:
        till.deliver_until(lambda: last_payment(house, order_id)["status"] == "captured")
    assert last_payment(house, order_id)["status"] == ("authorized" if renews else "captured")
    assert look_after_authorizations(house) == 0
    ends_at = house.value("SELECT authorization_expires_at FROM payments.payments WHERE order_id = :id", id=order_id)
    assert (ends_at > end + timedelta(days=20)) == renews
    assert house.failures() == []
    assert house.violations() == []


def kept(till: Till) -> list[dict[str, Any]]:
    house = till.house
    listed = list_payment_methods(house.runtime, house.customer, house.clock())
    return [dict(row) for row in listed["payment_methods"]]


def test_a_method_is_kept_pays_again_and_is_forgotten(till: Till) -> None:
    house = till.house
    wallet = isinstance(till.stage, PayPalStage)
    placed = till.place("paypal" if wallet else None, save=True)
    if wallet:
        act(till, placed)
        house.clock.advance(hours=1)
        check(house)
    till.deliver_until(lambda: status(house, placed["order"]["id"]) == "confirmed")
    (method,) = kept(till)
    assert (method["brand"], method["last_four"]) == till.stage.kept_as
    paid = json.loads(house.place(payment_method_id=method["id"]).body)
    assert paid["order"]["status"] == "confirmed", paid
    assert len(kept(till)) == 1
    remove_payment_method(house.runtime, house.customer, method["id"], house.clock)
    assert house.value("SELECT forget_at FROM tenancy.payment_methods") is None, "the gateway has heard of it"
    assert kept(till) == []
    with pytest.raises(InvalidInput):
        house.place(payment_method_id=method["id"])
    assert house.violations() == []
