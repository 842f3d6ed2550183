"""Parcels and their shares of the money, at each gateway: what the policy says, to the last minor unit."""

import pytest

from holdfast.flows.money.owed_operations import ATTEMPTS_MAX
from holdfast.gateways.registry import GATEWAYS
from holdfast.payments.model import RestockReason
from holdfast.values.errors import Conflict
from tests.flows.actions import last_payment, resume, status
from tests.house import document
from tests.refunding import refund, units
from tests.shipping import capture_policy, fail, reship, ship, shipments
from tests.till import Till


@pytest.fixture
def till(till: Till) -> Till:
    """A house at each gateway in turn, which captures with each parcel; ten tees in Newark and three in Reno."""
    capture_policy(till.house, "per_shipment")
    till.house.receive("TEE", "RNO", 3)
    return till


def held(till: Till, quantity: int) -> str:
    """Place an order whose money is held."""
    order_id: str = till.place(items={"TEE": quantity})["order"]["id"]
    till.deliver_until(lambda: last_payment(till.house, order_id)["status"] == "authorized")
    return order_id


def send(till: Till, order_id: str, shipment_id: str, **how: object) -> None:
    """Ship the parcel. It leaves at once, or when the gateway has reported on its money."""
    till.house.clock.advance(seconds=61)
    resume(till.house)  # the last capture waits for those before it, whose end the watchdog records
    (one,) = [found for found in shipments(till.house, order_id) if found["id"] == shipment_id]
    answer = ship(till.house, one, **how)  # type: ignore[arg-type]
    assert answer.status in (200, 202), answer.body

    def has_left() -> bool:
        return any(found["id"] == shipment_id and found["shipped_at"] for found in shipments(till.house, order_id))

    assert has_left() == (answer.status == 200)
    till.deliver_until(has_left)


def captured(till: Till, order_id: str) -> int:
    taken: int = last_payment(till.house, order_id)["captured_minor"]
    return taken


def test_each_parcel_takes_its_share_and_all_of_them_the_order(till: Till) -> None:
    house, order_id = till.house, held(till, 12)
    amounts = house.order(order_id)["amounts"]
    line = house.order(order_id)["items"][0]
    worth = line["subtotal_minor"] - line["discount_minor"] + line["tax_minor"]
    first, second = shipments(house, order_id)
    pieces = first["items"][0]["quantity"]
    send(till, order_id, first["id"])
    share = amounts["shipping_minor"] + worth * pieces // 12
    often = GATEWAYS[till.gateway].multiple_captures
    assert captured(till, order_id) == (share if often else amounts["total_minor"])
    assert status(house, order_id) == "partially_shipped"
    if often:
        with pytest.raises(Conflict, match="only held"):
            refund(house, order_id, units(house, order_id, 1))
    send(till, order_id, second["id"])
    assert captured(till, order_id) == amounts["total_minor"]
    assert status(house, order_id) == "shipped"
    assert house.failures() == []
    assert house.violations() == []


def test_a_parcel_that_is_split_takes_what_is_in_it_and_one_sent_again_takes_nothing(till: Till) -> None:
    house, order_id = till.house, held(till, 5)
    total = house.order(order_id)["amounts"]["total_minor"]
    (whole,) = shipments(house, order_id)
    send(till, order_id, whole["id"], items={"TEE": 2})
    after_first = captured(till, order_id)
    assert (after_first < total) == GATEWAYS[till.gateway].multiple_captures
    lost, rest = shipments(house, order_id)
    again = reship(house, fail(house, lost))
    send(till, order_id, again["id"])
    assert captured(till, order_id) == after_first
    send(till, order_id, rest["id"])
    assert captured(till, order_id) == total
    assert house.failures() == []
    assert house.violations() == []


def test_units_that_left_are_refunded_while_the_rest_is_held(till: Till) -> None:
    house, order_id = till.house, held(till, 5)
    (whole,) = shipments(house, order_id)
    send(till, order_id, whole["id"], items={"TEE": 2})
    refund(house, order_id, units(house, order_id, 1, RestockReason.CUSTOMER_KEPT))
    _, rest = shipments(house, order_id)
    assert rest["items"][0]["quantity"] == 3
    send(till, order_id, rest["id"])
    assert status(house, order_id) == "shipped"
    assert captured(till, order_id) == house.order(order_id)["amounts"]["total_minor"]
    assert house.violations() == []


@pytest.mark.parametrize("stage", ["adyen"], indirect=True)
def test_a_parcel_whose_capture_was_given_up_and_then_succeeds_takes_no_other_parcels_money(till: Till) -> None:
    house, order_id = till.house, held(till, 12)
    first, second = shipments(house, order_id)
    assert ship(house, first).status == 202
    for _ in range(ATTEMPTS_MAX):
        house.clock.advance(hours=1, seconds=1)
        resume(house)
    assert house.failures() == ["CaptureFailed"]
    held_back, _ = shipments(house, order_id)
    assert ship(house, held_back).status == 409, "its capture is still undecided at Adyen"
    (money,) = till.stage.control("GET", f"/payments?metadata[order_id]={order_id}")
    (capture,) = money["modifications"]
    till.deliver_until(lambda: captured(till, order_id) == capture["amount"])
    held_back, _ = shipments(house, order_id)
    assert ship(house, held_back).status == 200
    assert captured(till, order_id) == capture["amount"] < house.order(order_id)["amounts"]["total_minor"]
    send(till, order_id, second["id"])
    assert captured(till, order_id) == house.order(order_id)["amounts"]["total_minor"]
    assert house.violations() == []


def test_the_body_says_when_money_is_on_its_way(till: Till) -> None:
    house, order_id = till.house, held(till, 1)
    (one,) = shipments(house, order_id)
    answer = ship(house, one)
    shown = document(answer)["shipment"]
    assert (answer.status == 202) == (shown["leaving_since"] is not None) == (shown["status"] == "packed")
