"""A count is compared with what should lie in the warehouse: the book, and what is sold and has not left."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from holdfast.flows.stock import import_stock as flow
from holdfast.fulfillment.lifecycle import FailureReason
from holdfast.payments.model import RestockReason
from holdfast.payments.refund_plan import Wanted, WantedItem
from holdfast.values.errors import Conflict, InvalidInput, OutOfStock
from tests.counting import counted, level
from tests.flows.actions import ordered, resume, status
from tests.flows.reviewing import NOWHERE_NEAR
from tests.house import House
from tests.refunding import refund, units
from tests.shipping import call_off, deliver, fail, only, pack, pick, reship, shipments, shipped

EWR = ("EWR", "TEE")


@pytest.fixture
def shop(house: House) -> House:
    """Ten tees in Newark."""
    house.add_variant(stock=10)
    return house


def found(house: House, pieces: int, code: str = "EWR") -> None:
    """Count this many tees where they lie; that must change nothing that can be sold."""
    before = house.stock()
    assert counted(house, {(code, "TEE"): pieces}, dry_run=True)["differences"] == []
    assert counted(house, {(code, "TEE"): pieces})["changed_levels"] == 0
    assert house.stock() == before
    assert house.violations() == []
    house.clock.advance(seconds=1)


# --- what lies beside the book ---------------------------------------------------------------------------------------


def test_a_count_of_what_is_there_does_not_sell_what_is_sold(shop: House) -> None:
    ordered(shop, {"TEE": 3})
    found(shop, 10)
    assert level(shop) == (7, 0, 3)
    with pytest.raises(OutOfStock):
        ordered(shop, {"TEE": 8})


def test_it_stays_counted_until_it_leaves(shop: House) -> None:
    order_id = ordered(shop, {"TEE": 3})
    pick(shop, only(shop, order_id))
    found(shop, 10)
    pack(shop, only(shop, order_id))
    found(shop, 10)
    call_off(shop, only(shop, order_id))
    found(shop, 10)
    shipped(shop, only(shop, order_id), items={"TEE": 1})
    found(shop, 9)
    assert level(shop) == (7, 0, 2)
    last = shipped(shop, next(one for one in shipments(shop, order_id) if one["status"] == "pending"))
    found(shop, 7)
    deliver(shop, last)
    found(shop, 7)
    assert level(shop) == (7, 0, 0)


def test_what_is_only_held_is_in_the_book(shop: House) -> None:
    ordered(shop, {"TEE": 3}, token="pm_card_visa_chargeDeclined")
    found(shop, 10)
    assert level(shop) == (10, 3, 0)


def test_an_order_whose_address_is_looked_at_has_its_goods_on_the_shelf(shop: House) -> None:
    order_id = ordered(shop, {"TEE": 3}, address=NOWHERE_NEAR)
    assert status(shop, order_id) == "address_review"
    assert shipments(shop, order_id) == []
    assert level(shop) == (7, 0, 3)
    found(shop, 10)
    shop.cancel(order_id)
    assert level(shop) == (10, 0, 0)
    found(shop, 10)


def test_a_cancelled_order_is_in_the_book_again(shop: House) -> None:
    order_id = ordered(shop, {"TEE": 3})
    shop.cancel(order_id)
    assert level(shop) == (10, 0, 0)
    found(shop, 10)


def test_each_warehouse_has_what_leaves_from_it(house: House) -> None:
    house.add_variant(stock={"EWR": 7, "RNO": 9})
    order_id = ordered(house, {"TEE": 12})
    parts = {one["warehouse"]: one["items"][0]["quantity"] for one in shipments(house, order_id)}
    assert level(house, code="EWR")[2] == parts["EWR"]
    found(house, 7)
    shipped(house, only(house, order_id, "EWR"))
    found(house, 7 - parts["EWR"])
    found(house, 9, "RNO")


def test_what_is_sent_again_was_taken_out_of_the_book_by_its_shipment(shop: House) -> None:
    order_id = ordered(shop, {"TEE": 3})
    lost = fail(shop, shipped(shop, only(shop, order_id)), FailureReason.LOST)
    found(shop, 7)
    again = reship(shop, lost)
    assert level(shop) == (4, 0, 3)
    found(shop, 7)
    shipped(shop, again)
    assert level(shop) == (4, 0, 0)
    found(shop, 4)


# --- refunds ---------------------------------------------------------------------------------------------------------


def test_goods_refunded_before_they_left_are_counted_until_they_are_back_in_the_book(shop: House) -> None:
    order_id = ordered(shop, {"TEE": 3})
    shop.stripe_behaves(match={"operation": "refunds.create"}, http_status=503)
    refund(shop, order_id, units(shop, order_id, 1))
    assert level(shop) == (7, 0, 3)
    found(shop, 10)
    shop.clock.advance(hours=1)
    resume(shop)
    assert level(shop) == (8, 0, 2)
    found(shop, 10)


def test_goods_that_are_damaged_are_counted_by_nobody(shop: House) -> None:
    order_id = ordered(shop, {"TEE": 3})
    refund(shop, order_id, units(shop, order_id, 1, RestockReason.DAMAGED))
    assert level(shop) == (7, 0, 2)
    found(shop, 9)


def test_goods_nobody_told_of_are_not_found_by_a_count_for_a_cancellation_returns_them(shop: House) -> None:
    order_id = ordered(shop, {"TEE": 3})
    (item,) = shop.order(order_id)["items"]
    refund(shop, order_id, Wanted(items=(WantedItem(UUID(item["id"]), 1, None),)))
    assert level(shop) == (7, 0, 3)
    found(shop, 10)
    shop.cancel(order_id)
    assert level(shop) == (10, 0, 0)
    found(shop, 10)


def test_what_came_back_from_a_shopper_takes_nothing_from_what_has_not_left(shop: House) -> None:
    """Of one allocation, one piece came back, one was refunded with no word of where it is, others have not left."""
    order_id = ordered(shop, {"TEE": 5})
    deliver(shop, shipped(shop, only(shop, order_id), items={"TEE": 3}))
    (item,) = shop.order(order_id)["items"]
    refund(shop, order_id, Wanted(items=(WantedItem(UUID(item["id"]), 1, RestockReason.RESELLABLE, has_left=True),)))
    assert level(shop) == (6, 0, 2)
    refund(shop, order_id, Wanted(items=(WantedItem(UUID(item["id"]), 1, None),)))
    assert level(shop) == (6, 0, 2)
    found(shop, 8)


def test_what_stayed_of_an_order_that_was_refunded_whole_is_still_there(shop: House) -> None:
    order_id = ordered(shop, {"TEE": 5})
    shipped(shop, only(shop, order_id), items={"TEE": 3})
    refund(shop, order_id)
    assert status(shop, order_id) == "refunded"
    assert level(shop)[0] + level(shop)[2] == 7
    found(shop, 7)


# --- the file --------------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_what_a_count_is_held_against(shop: House) -> None:
    ordered(shop, {"TEE": 3})
    looked = counted(shop, {EWR: 9, ("RNO", "TEE"): 2}, dry_run=True)
    names = ("row", "warehouse", "sku", "counted", "on_hand", "sold_unshipped", "change")
    assert [tuple(one[name] for name in names) for one in looked["differences"]] == [
        (2, "EWR", "TEE", 9, 7, 3, -1),
        (3, "RNO", "TEE", 2, 0, 0, 2),
    ]
    assert looked["changed_levels"] == 2
    assert counted(shop, {EWR: 9, ("RNO", "TEE"): 2})["differences"] == []
    assert shop.stock() == {"EWR": (6, 0), "RNO": (2, 0)}


def test_a_count_below_what_is_promised_says_what_is(shop: House) -> None:
    ordered(shop, {"TEE": 3})
    ordered(shop, {"TEE": 2}, token="pm_card_visa_chargeDeclined")
    with pytest.raises(InvalidInput) as refused:
        counted(shop, {EWR: 4})
    assert refused.value.facts["errors"] == [
        {
            "field": "row 2, quantity",
            "message": "4 were counted, but 2 are reserved and 3 are sold and have not left",
        }
    ]
    assert shop.stock() == {"EWR": (7, 2)}


def looked_through_while(house: House, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Any]) -> None:
    """Let something happen while the next file is looked through, before anything of it is recorded."""
    look = flow._look

    def slow(*given: Any) -> Any:
        findings = look(*given)
        house.clock.advance(seconds=5)
        happens()
        house.clock.advance(seconds=5)
        return findings

    monkeypatch.setattr(flow, "_look", slow)


def test_what_leaves_while_the_file_is_looked_through_is_no_difference(
    shop: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = ordered(shop, {"TEE": 1})
    looked_through_while(shop, monkeypatch, lambda: shipped(shop, only(shop, order_id)))
    assert counted(shop, {EWR: 10})["changed_levels"] == 0
    assert level(shop) == (9, 0, 0)


def test_goods_booked_while_the_file_is_looked_through_refuse_their_row(
    shop: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_through_while(shop, monkeypatch, lambda: shop.receive("TEE", "EWR", 5))
    with pytest.raises(Conflict, match="moved while"):
        counted(shop, {EWR: 10})
    assert level(shop) == (15, 0, 0)


def begun(
    house: House, monkeypatch: pytest.MonkeyPatch, shelves: Mapping[tuple[str, str], int]
) -> Callable[[], Mapping[str, Any]]:
    """Begin a count whose time runs out after its first level; the function that is returned sends it again."""
    monkeypatch.setattr(flow, "BATCH_MAX_ROWS", 1)
    left: Iterator[float] = iter([60.0])
    first = counted(house, shelves, note="Monday", time_left_seconds=lambda: next(left, 0.0))
    assert (first["status"], first["applied_rows"]) == ("running", 1)
    house.clock.advance(minutes=10)
    return partial(counted, house, shelves, note="Monday")


@pytest.fixture
def two(shop: House) -> House:
    """The ten tees, and four caps beside them."""
    shop.add_variant("CAP", stock=4)
    return shop


def test_what_is_sold_and_what_leaves_while_a_count_waits_is_no_difference(
    two: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ordered(two, {"TEE": 2})
    go_on = begun(two, monkeypatch, {("EWR", "CAP"): 4, EWR: 10})
    since = ordered(two, {"TEE": 3})
    shipped(two, only(two, before))
    shipped(two, only(two, since))
    ordered(two, {"TEE": 1})
    done = go_on()
    assert (done["status"], done["changed_levels"]) == ("applied", 0)
    assert level(two) == (4, 0, 1)
    assert two.violations() == []


def test_goods_booked_while_a_count_waits_refuse_their_row(two: House, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = begun(two, monkeypatch, {("EWR", "CAP"): 4, EWR: 10})
    two.receive("TEE", "EWR", 5)
    with pytest.raises(Conflict) as refused:
        go_on()
    assert [error["field"] for error in refused.value.facts["errors"]] == ["row 3, quantity"]
    assert two.stock() == {"EWR": (15, 0)}
    found(two, 15)


def test_an_order_called_off_while_a_count_waits_moves_no_goods(two: House, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = ordered(two, {"TEE": 3})
    go_on = begun(two, monkeypatch, {("EWR", "CAP"): 4, EWR: 10})
    two.cancel(order_id)
    assert go_on()["changed_levels"] == 0
    assert two.stock() == {"EWR": (10, 0)}


def test_what_a_shopper_sends_back_while_a_count_waits_refuses_its_row(
    two: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = ordered(two, {"TEE": 3})
    deliver(two, shipped(two, only(two, order_id)))
    go_on = begun(two, monkeypatch, {("EWR", "CAP"): 4, EWR: 7})
    refund(two, order_id, units(two, order_id, 1))
    with pytest.raises(Conflict, match="moved while"):
        go_on()
    assert two.stock() == {"EWR": (8, 0)}


def test_an_old_count_is_not_gone_on_with(two: House, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = begun(two, monkeypatch, {("EWR", "CAP"): 3, EWR: 9})
    two.clock.advance(seconds=flow.COUNT_AGE_MAX_SECONDS)
    with pytest.raises(Conflict, match="count what is left of it anew"):
        go_on()
    assert two.stock() == {"EWR": (10, 0)}
    assert two.stock("CAP") == {"EWR": (3, 0)}
