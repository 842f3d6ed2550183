"""The link of a review: whose it is, what it shows, how often it may be used and for how long."""

import json
from dataclasses import replace
from uuid import UUID

import pytest

from holdfast.addresses.review_link import LinkExpired, LinkInvalid, LinkUsed, make_token, read_token
from holdfast.flows.addresses.answer_review import CorrectedAddress, show_review
from holdfast.flows.addresses.review_links import note_contact, review_url
from tests.flows import moving
from tests.flows.actions import ordered, status
from tests.flows.reviewing import (
    TO_RENO,
    WEDNESDAY_AT_FOUR,
    answer,
    in_review,
    review,
    reviewing_shop,
    steps,
    token,
    watch,
)
from tests.house import House
from tests.premises import DENVER


@pytest.fixture
def shop(house: House) -> House:
    return reviewing_shop(house)


def test_the_link_is_that_of_the_open_review_and_ends_with_its_deadline(shop: House) -> None:
    order_id = in_review(shop)
    begun = review(shop, order_id)
    read = read_token(token(shop, order_id), [shop.link_keys["current"].encode()], shop.clock())
    assert (read.review_id, read.organization_id) == (begun["id"], shop.organization_id)
    assert (read.nonce, read.expires_at) == (begun["nonce"], begun["deadline_at"])


def test_an_order_without_a_review_has_no_link(shop: House) -> None:
    order_id = UUID(ordered(shop))
    with shop.system.database.transaction(shop.organization_id, now=shop.clock()) as transaction:
        assert review_url(shop.system, transaction, order_id) is None


def test_that_the_shopper_was_written_to_is_noted_once(shop: House) -> None:
    order_id = in_review(shop)
    for _ in range(2):
        with shop.system.database.transaction(shop.organization_id, now=shop.clock()) as transaction:
            note_contact(transaction, UUID(order_id))
    contacted = review(shop, order_id)
    assert (contacted["status"], contacted["notified_at"]) == ("customer_contacted", shop.clock())
    assert steps(shop, order_id) == ["begun", "customer_contacted"]


def test_the_page_is_told_what_is_wrong_and_nothing_of_who_it_is(shop: House) -> None:
    shown = show_review(shop.runtime, token(shop, in_review(shop)), shop.clock())
    assert set(shown) == {"order_number", "status", "reason", "address", "deadline_at", "timezone"}
    assert shown["reason"] == "unknown_postal_code"
    assert set(shown["address"]) == {"line1", "line2", "city", "region", "postal_code", "country"}
    assert "Ada" not in json.dumps(shown)


def test_a_link_is_good_once(shop: House) -> None:
    order_id = in_review(shop)
    link = token(shop, order_id)
    answer(shop, link, TO_RENO)
    for use in (lambda: answer(shop, link, TO_RENO), lambda: answer(shop, link, confirm=True)):
        with pytest.raises(LinkUsed):
            use()
    with pytest.raises(LinkUsed):
        show_review(shop.runtime, link, shop.clock())


def test_a_link_ends_with_the_deadline_whether_the_clock_has_struck_or_not(shop: House) -> None:
    order_id = in_review(shop)
    link = token(shop, order_id)
    shop.clock.now = WEDNESDAY_AT_FOUR
    with pytest.raises(LinkExpired):
        answer(shop, link, TO_RENO)
    assert watch(shop).cancelled == 1
    with pytest.raises(LinkExpired):
        answer(shop, link, confirm=True)


def test_a_link_of_a_cancelled_order_is_used_up(shop: House) -> None:
    order_id = in_review(shop)
    link = token(shop, order_id)
    shop.cancel(order_id)
    with pytest.raises(LinkUsed):
        answer(shop, link, TO_RENO)


def test_a_guess_a_foreign_key_and_another_shop_come_to_nothing(shop: House) -> None:
    order_id = in_review(shop)
    row = review(shop, order_id)
    key = shop.link_keys["current"].encode()
    stranger = UUID(int=7)
    others = [
        make_token(row["id"], shop.organization_id, "0" * 32, row["deadline_at"], key),
        make_token(row["id"], stranger, row["nonce"], row["deadline_at"], key),
        make_token(stranger, shop.organization_id, row["nonce"], row["deadline_at"], key),
        make_token(row["id"], shop.organization_id, row["nonce"], row["deadline_at"], b"guess" * 8),
        token(shop, order_id)[:-1],
        "",
        "a.b",
    ]
    for other in others:
        with pytest.raises(LinkInvalid, match="there is no such link"):
            answer(shop, other, confirm=True)
        with pytest.raises(LinkInvalid, match="there is no such link"):
            show_review(shop.runtime, other, shop.clock())
    assert status(shop, order_id) == "address_review"


def test_the_link_of_one_order_settles_no_other(shop: House) -> None:
    first, second = in_review(shop), in_review(shop)
    answer(shop, token(shop, first), confirm=True)
    assert (status(shop, first), status(shop, second)) == ("confirmed", "address_review")


def test_the_link_of_an_earlier_review_is_none_of_the_next(shop: House) -> None:
    order_id = in_review(shop)
    earlier = token(shop, order_id)
    answer(shop, earlier, confirm=True)
    moving.readdress(shop, order_id, replace(DENVER, postal_code="80297"))
    assert status(shop, order_id) == "address_review"
    with pytest.raises(LinkUsed):
        answer(shop, earlier, confirm=True)
    answer(shop, token(shop, order_id), confirm=True)
    assert status(shop, order_id) == "confirmed"


def test_what_was_signed_with_the_key_before_goes_on_until_that_key_is_gone(shop: House) -> None:
    order_id = in_review(shop)
    row = review(shop, order_id)
    old = shop.link_keys["previous"].encode()
    mailed = make_token(row["id"], shop.organization_id, row["nonce"], row["deadline_at"], old)
    assert show_review(shop.runtime, mailed, shop.clock())["status"] == "pending"


def test_a_person_knows_what_a_shoppers_correction_costs_the_shop(shop: House) -> None:
    order_id = in_review(shop)
    far = CorrectedAddress(moving.BERLIN.line1, moving.BERLIN.city, moving.BERLIN.postal_code, moving.BERLIN.country)
    answer(shop, token(shop, order_id), far, confirm=True)
    assert (status(shop, order_id), shop.failures()) == ("confirmed", ["DifferenceBorne"])
    assert shop.violations() == []
