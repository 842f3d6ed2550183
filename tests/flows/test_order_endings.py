"""How an order that was refunded in part, partly shipped, re-shipped or lost ends: no piece vanishes, and it ends."""

from uuid import UUID

import pytest

from holdfast.flows.archive.erase_customer import erase_customer
from holdfast.flows.operations.process_names import Process
from holdfast.fulfillment.lifecycle import FailureReason
from holdfast.payments.model import RestockReason
from holdfast.payments.refund_plan import Wanted, WantedItem
from holdfast.values.errors import Conflict, TransitionRefused
from tests.flows.actions import intents, movements, ordered, resume, staff, status, topics
from tests.house import House
from tests.refunding import at_gateway, fails_later, refund, refunds_at_console, total, units
from tests.shipping import deliver, fail, only, pack, pick, reship, shipments, shipped


def partly_shipped(house: House) -> str:
    """Place an order for five of nine tees, of which two leave."""
    house.add_variant("TEE", stock=9)
    order_id = ordered(house, {"TEE": 5})
    shipped(house, only(house, order_id), items={"TEE": 2})
    return order_id


def sent(house: House, order_id: str, quantity: int) -> Wanted:
    """Ask for this many tees that had left, without saying where they are."""
    (item,) = units(house, order_id, quantity).items
    return Wanted(items=(WantedItem(item.order_item_id, quantity, None, has_left=True),))


def everything_by_amount(house: House, order_id: str) -> Wanted:
    """Ask for all of the money by its amount, and for no line."""
    return Wanted(amount_minor=total(house, order_id))


def goods(house: House, order_id: str) -> str:
    return str(house.order(order_id)["fulfillment_status"])


@pytest.mark.parametrize("by_amount", [False, True])
def test_what_never_left_of_an_order_that_is_refunded_goes_back_to_its_shelf(house: House, by_amount: bool) -> None:
    order_id = partly_shipped(house)
    refund(house, order_id, everything_by_amount(house, order_id) if by_amount else None)
    assert (status(house, order_id), house.stock()) == ("refunded", {"EWR": (7, 0)})
    assert movements(house, "return") == [3]
    assert house.violations() == []


@pytest.mark.parametrize("by_amount", [False, True])
def test_what_was_to_be_sent_again_goes_back_to_the_shelf_it_was_taken_from(house: House, by_amount: bool) -> None:
    house.add_variant("TEE", stock={"EWR": 3, "RNO": 6})
    order_id = ordered(house, {"TEE": 3})
    first = shipped(house, only(house, order_id))
    before = house.stock()
    again = reship(house, fail(house, first), "RNO")
    pack(house, again)
    refund(house, order_id, everything_by_amount(house, order_id) if by_amount else None)
    assert (status(house, order_id), house.stock()) == ("refunded", before)
    assert house.violations() == []


def test_pieces_go_back_to_the_warehouses_that_kept_them(house: House) -> None:
    house.add_variant("TEE", stock={"EWR": 7, "RNO": 9})
    order_id = ordered(house, {"TEE": 12})
    first, second = shipments(house, order_id)
    shipped(house, first, items={"TEE": 1})
    whole = {"EWR": 7, "RNO": 9}
    refund(house, order_id)
    assert house.stock() == {
        first["warehouse"]: (whole[first["warehouse"]] - 1, 0),
        second["warehouse"]: (whole[second["warehouse"]], 0),
    }
    assert house.violations() == []


@pytest.mark.parametrize("reason", [None, *RestockReason])
def test_what_a_refund_called_lost_before_it_left_does_not_come_back(
    house: House, reason: RestockReason | None
) -> None:
    order_id = partly_shipped(house)
    (item,) = units(house, order_id, 1).items
    refund(house, order_id, Wanted(items=(WantedItem(item.order_item_id, 1, reason),)))
    refund(house, order_id)
    is_gone = reason in (RestockReason.DAMAGED, RestockReason.OTHER)
    assert (status(house, order_id), house.stock()) == ("refunded", {"EWR": (6 if is_gone else 7, 0)})
    assert house.violations() == []


def test_what_the_shopper_sent_back_and_what_never_left_are_counted_apart(house: House) -> None:
    order_id = partly_shipped(house)
    (item,) = units(house, order_id, 2).items
    returned = WantedItem(item.order_item_id, 2, RestockReason.RESELLABLE, has_left=True)
    refund(house, order_id, Wanted(items=(returned,)))
    assert house.stock() == {"EWR": (6, 0)}
    refund(house, order_id)
    assert (status(house, order_id), house.stock()) == ("refunded", {"EWR": (9, 0)})
    assert house.violations() == []


def test_news_that_comes_again_brings_nothing_back_again(house: House) -> None:
    order_id = partly_shipped(house)
    house.stripe_behaves(match={"operation": "refunds.create"}, fault="timeout_after")
    refund(house, order_id)
    (webhook,) = house.webhooks("refund.created")
    for number in range(2):
        house.deliver({**webhook, "id": f"{webhook['id']}{number}"})
        house.work()
    house.clock.advance(minutes=5)
    resume(house)
    assert (at_gateway(house, order_id)[0][0], status(house, order_id)) == ("succeeded", "refunded")
    assert (house.stock(), movements(house, "return")) == ({"EWR": (7, 0)}, [3])
    assert house.violations() == []


def test_a_refund_made_at_the_gateways_console_brings_them_back_too(house: House) -> None:
    order_id = partly_shipped(house)
    house.deliver(refunds_at_console(house, order_id, total(house, order_id)))
    house.work()
    assert (status(house, order_id), house.stock()) == ("refunded", {"EWR": (7, 0)})
    assert house.violations() == []


def test_pieces_that_went_back_stay_there_when_the_refund_fails_later_and_do_not_leave(house: House) -> None:
    order_id = partly_shipped(house)
    refund(house, order_id)
    fails_later(house, order_id)
    assert (status(house, order_id), house.failures()) == ("shipped", ["RefundFailed"])
    assert (house.stock(), [one["status"] for one in shipments(house, order_id)]) == ({"EWR": (7, 0)}, ["shipped"])
    assert house.violations() == []
    other = ordered(house, {"TEE": 7})
    assert status(house, other) == "confirmed", "they are anybody's again"
    refund(house, order_id)
    assert (status(house, order_id), house.stock()) == ("refunded", {"EWR": (0, 0)})
    assert house.violations() == []


def test_what_was_sent_comes_back_beside_pieces_whose_refund_failed(house: House) -> None:
    order_id = partly_shipped(house)
    refund(house, order_id)
    fails_later(house, order_id)
    (item,) = units(house, order_id, 2).items
    returned = WantedItem(item.order_item_id, 2, RestockReason.RESELLABLE, has_left=True)
    refund(house, order_id, Wanted(items=(returned,)))
    assert house.stock() == {"EWR": (9, 0)}
    refund(house, order_id)
    assert (status(house, order_id), house.stock()) == ("refunded", {"EWR": (9, 0)})
    assert house.violations() == []


def test_a_line_gets_back_what_was_sent_again_beside_what_a_failed_refund_had_brought_back(house: House) -> None:
    house.add_variant("TEE", stock=9)
    order_id = ordered(house, {"TEE": 3})
    failed = fail(house, shipped(house, only(house, order_id)), FailureReason.RETURNED_TO_SENDER)
    (item,) = units(house, order_id, 1).items
    refund(house, order_id, Wanted(items=(WantedItem(item.order_item_id, 1, RestockReason.RESELLABLE, has_left=True),)))
    fails_later(house, order_id)
    reship(house, failed)
    assert house.stock() == {"EWR": (4, 0)}
    refund(house, order_id)
    assert (status(house, order_id), house.stock()) == ("refunded", {"EWR": (7, 0)})
    assert house.violations() == []


@pytest.fixture
def half_lost(house: House) -> str:
    """The id of an order of two parcels, one of which arrives and the other does not."""
    house.add_variant("TEE", stock={"EWR": 7, "RNO": 9})
    order_id = ordered(house, {"TEE": 12})
    planned = sorted(shipments(house, order_id), key=lambda one: int(one["items"][0]["quantity"]))
    smaller, larger = (shipped(house, one) for one in planned)
    deliver(house, larger)
    fail(house, smaller)
    return order_id


def lost_pieces(house: House, order_id: str) -> int:
    return sum(one["items"][0]["quantity"] for one in shipments(house, order_id) if one["status"] == "failed")


def test_an_order_of_which_one_parcel_arrived_and_the_other_is_refunded_ends(house: House, half_lost: str) -> None:
    assert (status(house, half_lost), goods(house, half_lost)) == ("shipped", "partially_shipped")
    lost = lost_pieces(house, half_lost)
    refund(house, half_lost, sent(house, half_lost, lost - 1))
    assert (status(house, half_lost), house.failures()) == ("shipped", ["ShipmentFailed"]), "one piece is still owed"
    refund(house, half_lost, sent(house, half_lost, 1))
    assert (status(house, half_lost), goods(house, half_lost)) == ("delivered", "delivered")
    assert house.failures() == []
    assert "order.delivered" in [topic for _, topic in topics(house, half_lost)]
    (failed,) = [one for one in shipments(house, half_lost) if one["status"] == "failed"]
    with pytest.raises(Conflict):
        reship(house, failed)
    assert house.violations() == []


def test_a_refund_that_fails_later_asks_again_for_a_person_who_looks_after_the_parcel(
    house: House, half_lost: str
) -> None:
    refund(house, half_lost, sent(house, half_lost, lost_pieces(house, half_lost)))
    fails_later(house, half_lost)
    assert (status(house, half_lost), goods(house, half_lost)) == ("delivered", "partially_shipped")
    assert sorted(house.failures()) == ["RefundFailed", "ShipmentFailed"]
    steps = house.rows(
        "SELECT h.action FROM operations.process_failure_history h JOIN operations.process_failures f"
        " ON f.id = h.process_failure_id WHERE f.process_name = 'ShipmentFailed' ORDER BY h.sequence"
    )
    assert [step["action"] for step in steps] == ["opened", "resolved", "reopened"]
    (failed,) = [one for one in shipments(house, half_lost) if one["status"] == "failed"]
    deliver(house, shipped(house, reship(house, failed)))
    assert (goods(house, half_lost), house.failures()) == ("delivered", ["RefundFailed"])
    assert house.violations() == []


def test_what_a_person_has_settled_is_not_brought_up_again(house: House, half_lost: str) -> None:
    house.sql(
        "UPDATE operations.process_failures SET status = 'resolved', resolved_at = :now, resolved_by = 'someone',"
        " resolution_notes = 'the carrier pays' WHERE process_name = :process",
        now=house.clock.now,
        process=Process.SHIPMENT_FAILED,
    )
    refund(house, half_lost, sent(house, half_lost, lost_pieces(house, half_lost)))
    fails_later(house, half_lost)
    assert house.failures() == ["RefundFailed"]


def test_the_only_parcel_that_is_lost_and_refunded_ends_its_order_too(house: House) -> None:
    house.add_variant("TEE", stock=3)
    order_id = ordered(house, {"TEE": 3})
    fail(house, shipped(house, only(house, order_id)))
    refund(house, order_id, sent(house, order_id, 3))
    assert (status(house, order_id), goods(house, order_id), house.failures()) == ("delivered", "cancelled", [])
    refund(house, order_id)
    assert status(house, order_id) == "refunded"
    assert house.violations() == []


def test_a_lost_parcel_of_an_order_that_is_refunded_needs_nobody_any_more(house: House, half_lost: str) -> None:
    refund(house, half_lost, everything_by_amount(house, half_lost))
    assert (status(house, half_lost), goods(house, half_lost), house.failures()) == ("refunded", "delivered", [])
    fails_later(house, half_lost)
    assert (status(house, half_lost), goods(house, half_lost)) == ("shipped", "partially_shipped")
    assert sorted(house.failures()) == ["RefundFailed", "ShipmentFailed"]
    assert house.violations() == []


def test_a_parcel_that_is_lost_again_waits_until_its_own_pieces_are_refunded(house: House) -> None:
    house.add_variant("TEE", stock=9)
    order_id = ordered(house, {"TEE": 3})
    failed = fail(house, shipped(house, only(house, order_id)))
    refund(house, order_id, sent(house, order_id, 2))
    again = reship(house, failed)
    fail(house, shipped(house, again))
    assert (status(house, order_id), house.failures()) == ("shipped", ["ShipmentFailed"])
    refund(house, order_id, sent(house, order_id, 1))
    assert (status(house, order_id), house.failures()) == ("delivered", [])
    assert house.violations() == []


def test_while_the_refund_is_under_way_the_order_waits(house: House) -> None:
    house.add_variant("TEE", stock=9)
    order_id = ordered(house, {"TEE": 3})
    reship(house, fail(house, shipped(house, only(house, order_id))))
    house.stripe_behaves(match={"operation": "refunds.create"}, refund_fate="pending_first", refund_delay_seconds=3600)
    refund(house, order_id, units(house, order_id, 3))
    assert (status(house, order_id), goods(house, order_id)) == ("shipped", "cancelled")
    assert house.violations() == []
    (intent,) = intents(house, order_id)
    house.stripe("POST", f"/refunds/{intent['refunds'][0]['id']}/succeed")
    (webhook,) = house.webhooks("refund.updated")
    house.deliver(webhook)
    house.work()
    assert (status(house, order_id), house.stock()) == ("delivered", {"EWR": (6, 0)})
    assert house.violations() == []


def test_an_erasure_no_longer_waits_for_a_parcel_that_was_refunded(house: House, half_lost: str) -> None:
    refund(house, half_lost, sent(house, half_lost, lost_pieces(house, half_lost)))
    assert (
        house.value("SELECT archive.is_unsettled(organization_id, id) FROM orders.orders WHERE id = :id", id=half_lost)
        is False
    )


def test_an_order_of_which_only_the_shipping_is_kept_ends_though_nothing_left(house: House) -> None:
    house.add_variant("TEE", stock=9)
    order_id = ordered(house, {"TEE": 2})
    refund(house, order_id, units(house, order_id, 2))
    assert (status(house, order_id), goods(house, order_id)) == ("delivered", "cancelled")
    assert house.stock() == {"EWR": (9, 0)}
    told = [topic for _, topic in topics(house, order_id)]
    assert told[-3:] == ["order.processing", "order.shipped", "order.delivered"]
    with pytest.raises(TransitionRefused):
        house.cancel(order_id)
    shown = house.order(order_id)
    assert shown["amounts"]["refunded_minor"] == total(house, order_id) - shown["amounts"]["shipping_minor"]
    customer_id = UUID(shown["customer_id"])
    erased = erase_customer(house.runtime, staff(house, "admin"), customer_id, reason="asked for", now=house.clock())
    assert erased["active_orders"] == 1
    assert house.violations() == []


def test_an_order_waits_for_every_refund_before_it_ends_with_nothing_to_ship(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2})
    pick(house, only(house, order_id))
    house.stripe_behaves(match={"operation": "refunds.create"}, refund_fate="pending_first", refund_delay_seconds=3600)
    refund(house, order_id, units(house, order_id, 1))
    refund(house, order_id, units(house, order_id, 1))
    assert status(house, order_id) == "processing"
    (intent,) = intents(house, order_id)
    for made in intent["refunds"]:
        if made["status"] == "pending":
            house.stripe("POST", f"/refunds/{made['id']}/succeed")
    for webhook in house.webhooks("refund.updated", count=2):
        house.deliver(webhook)
    house.work()
    assert (status(house, order_id), house.stock()) == ("delivered", {"EWR": (10, 0)})
    assert house.violations() == []
