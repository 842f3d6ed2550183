"""The queue of address reviews: staff see it by deadline, settle, correct, extend and cancel, each step on record."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from holdfast.addresses.model import AddressReviewStatus
from holdfast.addresses.review_link import LinkExpired
from holdfast.flows.addresses.read_reviews import find_review, list_reviews
from holdfast.flows.addresses.settle_address import AddressNotFound
from holdfast.flows.orders.order_timeline import order_timeline
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, Forbidden, NotFound
from holdfast.values.shipping import ShippingPreference
from tests.flows import moving
from tests.flows.actions import staff, status, topics
from tests.flows.reviewing import (
    ALSO_UNKNOWN,
    FRIDAY_AT_FOUR,
    TO_RENO,
    WEDNESDAY_AT_FOUR,
    answer,
    asked,
    in_review,
    review,
    steps,
    token,
    watch,
)
from tests.house import House

LATER = WEDNESDAY_AT_FOUR + timedelta(days=3)


@pytest.fixture
def shop(house: House) -> House:
    """A house on a Friday at 16:00 of Denver's wall clock."""
    house.clock.now = FRIDAY_AT_FOUR
    moving.shop(house)
    house.add_variant(stock={"EWR": 20})
    return house


@pytest.fixture
def manager(shop: House) -> Caller:
    """The member of staff who works on the queue."""
    return staff(shop)


def listed(house: House, caller: Caller, **how: object) -> list[str]:
    page = list_reviews(
        house.runtime,
        caller,
        **({"status": None, "due_before": None, "after": None, "limit": 100, "now": house.clock()} | how),  # type: ignore[arg-type]
    )
    return [row["order_id"] for row in page["address_reviews"]]


def test_the_queue_is_by_deadline_and_holds_what_is_open(shop: House, manager: Caller) -> None:
    economy = in_review(shop, preference=ShippingPreference.ECONOMY)
    standard = in_review(shop)
    expedited = in_review(shop, preference=ShippingPreference.EXPEDITED)
    settled = in_review(shop)
    answer(shop, token(shop, settled), confirm=True)
    assert listed(shop, manager) == [expedited, standard, economy]
    assert listed(shop, manager, due_before=WEDNESDAY_AT_FOUR) == [expedited]
    assert listed(shop, manager, status=AddressReviewStatus.RESOLVED) == [settled]
    assert listed(shop, manager, status=AddressReviewStatus.CANCELLED) == []


def test_the_queue_is_read_page_by_page(shop: House, manager: Caller) -> None:
    orders = [in_review(shop) for _ in range(5)]
    seen: list[str] = []
    after = None
    while True:
        page = list_reviews(shop.runtime, manager, status=None, due_before=None, after=after, limit=2, now=shop.clock())
        seen += [row["order_id"] for row in page["address_reviews"]]
        if page["next_after"] is None:
            break
        after = UUID(page["next_after"])
    assert sorted(seen) == sorted(orders)
    with pytest.raises(NotFound):
        listed(shop, manager, after=UUID(int=1))


def test_a_review_is_shown_with_who_did_what_and_when(shop: House, manager: Caller) -> None:
    order_id = in_review(shop)
    asked(shop, manager, order_id, "extend_review", until=LATER)
    found = find_review(shop.runtime, manager, review(shop, order_id)["id"], shop.clock())
    assert (found["order_id"], found["reason"], found["fallback"]) == (order_id, "unknown_postal_code", "postal_area")
    assert found["address"]["name"] == "Ada Lovelace"
    assert [(step["step"], step["taken_by"]) for step in found["steps"]] == [
        ("begun", "customer:ada"),
        ("extended", manager.actor),
    ]
    assert found["steps"][1]["notes"] == "called the shopper"
    assert found["steps"][1]["details"] == {"from": WEDNESDAY_AT_FOUR.isoformat(), "to": LATER.isoformat()}


def test_staff_say_that_an_address_is_right(shop: House, manager: Caller) -> None:
    order_id = in_review(shop)
    told = asked(shop, manager, order_id, "resolve_review")
    assert (told["status"], told["resolved_by"]) == ("resolved", manager.actor)
    assert status(shop, order_id) == "confirmed"
    assert shop.violations() == []


def test_staff_correct_an_address_on_the_shoppers_behalf(shop: House, manager: Caller) -> None:
    shop.receive("TEE", "RNO", 10)
    order_id = in_review(shop, address=replace(moving.NEWARK, postal_code="07999"))
    told = asked(shop, manager, order_id, "correct_review")
    assert (told["status"], told["address"]["city"]) == ("corrected", "Reno")
    assert told["steps"][-1]["details"]["reallocation"]["applied"] is True
    assert (status(shop, order_id), shop.stock()["RNO"]) == ("confirmed", (9, 0))
    assert shop.violations() == []


def test_a_correction_by_staff_that_is_not_found_either_needs_their_word(shop: House, manager: Caller) -> None:
    order_id = in_review(shop)
    with pytest.raises(AddressNotFound):
        asked(shop, manager, order_id, "correct_review", address=ALSO_UNKNOWN)
    assert steps(shop, order_id) == ["begun"]
    asked(shop, manager, order_id, "correct_review", address=ALSO_UNKNOWN, confirm=True)
    assert status(shop, order_id) == "confirmed"


def test_an_extension_moves_the_deadline_and_the_reminder_and_the_shopper_gets_a_new_link(
    shop: House, manager: Caller
) -> None:
    order_id = in_review(shop)
    mailed = token(shop, order_id)
    shop.clock.now = review(shop, order_id)["reminder_at"]
    watch(shop)
    asked(shop, manager, order_id, "extend_review", until=LATER)
    extended = review(shop, order_id)
    assert extended["deadline_at"] == LATER
    assert extended["reminder_at"] == shop.clock() + (LATER - shop.clock()) / 2
    assert [topic for _, topic in topics(shop, order_id)].count("order.address_review_needed") == 2
    again = token(shop, order_id)
    shop.clock.now = WEDNESDAY_AT_FOUR
    assert watch(shop).cancelled == 0, "the old deadline is none any more"
    with pytest.raises(LinkExpired):
        answer(shop, mailed, TO_RENO)
    shop.clock.now = extended["reminder_at"]
    assert [watch(shop).reminded for _ in range(2)] == [1, 0]
    answer(shop, again, TO_RENO)
    assert steps(shop, order_id) == ["begun", "reminded", "extended", "reminded", "corrected"]
    assert shop.violations() == []


def test_an_extension_ends_too(shop: House, manager: Caller) -> None:
    order_id = in_review(shop)
    asked(shop, manager, order_id, "extend_review", until=LATER)
    shop.clock.now = LATER
    assert watch(shop).cancelled == 1
    assert status(shop, order_id) == "cancelled"


@pytest.mark.parametrize("beyond", [timedelta(0), -timedelta(hours=1), timedelta(hours=336, microseconds=1)])
def test_an_extension_is_bounded(shop: House, manager: Caller, beyond: timedelta) -> None:
    order_id = in_review(shop)
    with pytest.raises(Conflict, match="put off"):
        asked(shop, manager, order_id, "extend_review", until=WEDNESDAY_AT_FOUR + beyond)
    assert review(shop, order_id)["deadline_at"] == WEDNESDAY_AT_FOUR


def test_extensions_are_bounded_together(shop: House, manager: Caller) -> None:
    order_id = in_review(shop)
    latest = WEDNESDAY_AT_FOUR + timedelta(hours=336)
    asked(shop, manager, order_id, "extend_review", until=LATER)
    asked(shop, manager, order_id, "extend_review", until=latest)
    with pytest.raises(Conflict):
        asked(shop, manager, order_id, "extend_review", until=latest + timedelta(seconds=1))


def test_staff_call_a_review_off_and_the_money_goes_back(shop: House, manager: Caller) -> None:
    order_id = in_review(shop)
    taken = shop.charges()["captured"]
    told = asked(shop, manager, order_id, "cancel_review", notes="nobody lives there")
    assert (told["status"], told["steps"][-1]["notes"]) == ("cancelled", "nobody lives there")
    assert (status(shop, order_id), shop.charges()["refunded"]) == ("cancelled", taken)
    assert shop.stock()["EWR"] == (20, 0)
    assert shop.violations() == []


@pytest.mark.parametrize("operation", ["resolve_review", "correct_review", "extend_review", "cancel_review"])
def test_a_step_is_for_managers_as_of_the_version_they_saw_and_once(
    shop: House, manager: Caller, operation: str
) -> None:
    order_id = in_review(shop)
    for caller in (staff(shop, "member"), shop.customer):
        with pytest.raises(Forbidden):
            asked(shop, caller, order_id, operation, until=LATER)
    with pytest.raises(Conflict, match="somebody else changed"):
        asked(shop, manager, order_id, operation, version=2, until=LATER)
    assert steps(shop, order_id) == ["begun"]
    first = asked(shop, manager, order_id, operation, version=1, key="once", until=LATER)
    assert asked(shop, manager, order_id, operation, version=1, key="once", until=LATER) == first
    assert len(steps(shop, order_id)) == 2


def test_a_review_that_is_over_takes_no_step(shop: House, manager: Caller) -> None:
    order_id = in_review(shop)
    answer(shop, token(shop, order_id), confirm=True)
    for operation in ("resolve_review", "correct_review", "extend_review", "cancel_review"):
        with pytest.raises(Conflict, match="is over"):
            asked(shop, manager, order_id, operation, until=LATER)


def test_past_the_deadline_nobody_is_faster_than_the_clock(shop: House, manager: Caller) -> None:
    order_id = in_review(shop)
    shop.clock.now = WEDNESDAY_AT_FOUR
    for operation in ("resolve_review", "correct_review", "extend_review", "cancel_review"):
        with pytest.raises(Conflict, match="deadline has passed"):
            asked(shop, manager, order_id, operation, until=LATER)


def test_the_steps_stand_in_the_timeline_of_the_order(shop: House, manager: Caller) -> None:
    order_id = in_review(shop)
    shop.clock.advance(hours=1)
    asked(shop, manager, order_id, "extend_review", until=LATER)
    shop.clock.advance(hours=1)
    answer(shop, token(shop, order_id), confirm=True)
    entries = order_timeline(shop.runtime, manager, order_id, shop.clock())["entries"]
    told = [(entry["what"], entry["data"]["taken_by"]) for entry in entries if entry["kind"] == "address_review"]
    assert told == [
        ("address review begun", "customer:ada"),
        ("address review extended", manager.actor),
        ("address review resolved", "customer:address_review_link"),
    ]
