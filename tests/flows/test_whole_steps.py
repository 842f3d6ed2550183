"""Parts of a payment in a currency that its gateway takes in whole units only.

What cannot be asked for is never decided. PayPal takes forints without decimals, and a unit of these lines costs
333.50.
"""

import json
from uuid import uuid4

import pytest

from holdfast.flows.claims.idempotency import Claim
from holdfast.flows.money.capture_order import CaptureOrder, capture_order
from holdfast.payments.refund_plan import Wanted, WantedItem
from holdfast.values.errors import NotRepresentable
from holdfast.web.answers import capture_answer
from tests.flows.actions import last_payment, resume, staff
from tests.handlers.door import Door
from tests.house import document
from tests.refunding import refund, units
from tests.shipping import capture_policy, ship, shipments
from tests.till import Till

pytestmark = pytest.mark.parametrize("stage", ["paypal"], indirect=True)
UNIT_MINOR, SHIPPING_MINOR = 33_350, 10_000


@pytest.fixture
def till(till: Till) -> Till:
    """A shop that sells in forints, without taxes."""
    house = till.house
    rates = [{"preference": "standard", "country": "US", "amount_minor": SHIPPING_MINOR}]
    house.sql(
        "UPDATE tenancy.organizations SET settings = settings || CAST(:more AS jsonb) WHERE id = :o",
        more=json.dumps({"currency": "HUF", "tax_rates": [], "shipping_rates": rates}),
        o=house.organization_id,
    )
    house.sql("UPDATE catalog.variants SET currency = 'HUF', price = :price", price=UNIT_MINOR)
    return till


def ordered(till: Till, wanted_status: str) -> str:
    order_id: str = till.place(items={"TEE": 2})["order"]["id"]
    till.deliver_until(lambda: last_payment(till.house, order_id)["status"] == wanted_status)
    assert last_payment(till.house, order_id)["amount_minor"] == 2 * UNIT_MINOR + SHIPPING_MINOR
    return order_id


def test_a_share_that_is_no_whole_unit_leaves_the_rest_to_the_last_parcel(till: Till) -> None:
    house = till.house
    capture_policy(house, "per_shipment")
    order_id = ordered(till, "authorized")
    (whole,) = shipments(house, order_id)
    assert ship(house, whole, items={"TEE": 1}).status == 200
    assert last_payment(house, order_id)["captured_minor"] == SHIPPING_MINOR + 33_300
    house.clock.advance(seconds=61)
    resume(house)
    assert ship(house, shipments(house, order_id)[1]).status == 200
    assert last_payment(house, order_id)["captured_minor"] == SHIPPING_MINOR + 2 * UNIT_MINOR
    assert house.failures() == []
    assert house.violations() == []


def test_a_refund_that_is_no_whole_unit_is_refused_before_anything_is_written(till: Till) -> None:
    house, order_id = till.house, ordered(till, "captured")
    manager = staff(house)
    before = Door(house).rows_of_all_tables()
    with pytest.raises(NotRepresentable) as refused:
        refund(house, order_id, units(house, order_id, 1), caller=manager)
    assert (refused.value.facts["step_minor"], refused.value.facts["amount_minor"]) == (100, UNIT_MINOR)
    with pytest.raises(NotRepresentable):
        refund(house, order_id, Wanted(amount_minor=50), caller=manager)
    assert Door(house).rows_of_all_tables() == before
    # The answer says what can be asked for, and all that is left is always a whole amount.
    (item,) = units(house, order_id, 1).items
    refund(house, order_id, Wanted(items=(WantedItem(item.order_item_id, 1, item.restock_reason, 33_300),)))
    refund(house, order_id)
    assert last_payment(house, order_id)["refunded_minor"] == 2 * UNIT_MINOR + SHIPPING_MINOR
    assert house.failures() == []
    assert house.violations() == []


def test_a_capture_by_hand_that_is_no_whole_unit_is_refused_before_anything_is_written(till: Till) -> None:
    house = till.house
    capture_policy(house, "per_shipment")
    order_id, manager = ordered(till, "authorized"), staff(house)

    def capture(amount_minor: int | None) -> dict[str, object]:
        claim = Claim(manager.actor, "capture_order", uuid4().hex, "fingerprint")
        command = CaptureOrder(manager, claim, order_id, amount_minor)
        shown: dict[str, object] = document(capture_order(house.runtime, command, house.clock, capture_answer))
        return shown

    before = Door(house).rows_of_all_tables()
    with pytest.raises(NotRepresentable):
        capture(UNIT_MINOR)
    assert Door(house).rows_of_all_tables() == before
    capture(None)
    assert last_payment(house, order_id)["captured_minor"] == 2 * UNIT_MINOR + SHIPPING_MINOR
    assert house.violations() == []


def test_what_was_decided_and_cannot_be_asked_for_is_given_up_at_once(till: Till) -> None:
    """The decision was made by a release that did not check for whole units."""
    house = till.house
    capture_policy(house, "per_shipment")
    order_id = ordered(till, "authorized")
    (whole,) = shipments(house, order_id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("holdfast.flows.money.whole_steps.step_of", lambda payment: 1)
        patch.setattr("holdfast.flows.shipping.ship_shipment.step_of", lambda payment: 1)
        ship(house, whole, items={"TEE": 1})
    assert house.failures() == ["CaptureFailed"]
    assert house.value("SELECT state FROM orders.order_operations") == "failed"
    assert last_payment(house, order_id)["captured_minor"] == 0
    assert ship(house, shipments(house, order_id)[0]).status == 200
    assert last_payment(house, order_id)["captured_minor"] == SHIPPING_MINOR + 33_300
    assert house.violations() == []
