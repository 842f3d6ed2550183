"""An order whose address nobody could locate: it is paid, and waits for its shopper."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast.addresses.review_link import read_token
from holdfast.flows.addresses.review_links import note_contact, review_url
from tests.flows.actions import topics
from tests.house import DENVER, House, document

NOWHERE_NEAR = replace(DENVER, postal_code="80299")
FRIDAY_AT_FOUR = datetime(2026, 11, 27, 23, tzinfo=UTC)
"""16:00 in Denver."""


def in_review(house: House, **how: Any) -> str:
    """A paid order whose address is not known; its id."""
    order = document(house.place({"TEE": 1}, **({"address": NOWHERE_NEAR} | how)))["order"]
    assert order["status"] == "address_review"
    order_id: str = order["id"]
    return order_id


def review(house: House, order_id: str) -> dict[str, Any]:
    [row] = house.rows("SELECT * FROM addresses.reviews WHERE order_id = :id", id=order_id)
    return dict(row)


def steps(house: House, order_id: str) -> list[tuple[str, str]]:
    rows = house.rows(
        "SELECT s.step, s.taken_by FROM addresses.review_steps s JOIN addresses.reviews r ON r.id = s.review_id"
        " WHERE r.order_id = :id ORDER BY s.sequence",
        id=order_id,
    )
    return [(row["step"], row["taken_by"]) for row in rows]


def link(house: House, order_id: str) -> str:
    """The link as it would be mailed."""
    with house.system.database.transaction(house.organization_id, now=house.clock()) as transaction:
        url = review_url(house.system, transaction, order_id)  # type: ignore[arg-type]
    assert url is not None
    return url


def token(house: House, order_id: str) -> str:
    return link(house, order_id).partition("#")[2]


@pytest.fixture
def shop(house: House) -> House:
    """A house with tees, on a Friday at 16:00 of Denver's wall clock."""
    house.clock.now = FRIDAY_AT_FOUR
    house.add_variant()
    return house


def test_money_takes_an_order_with_an_unknown_address_to_its_review(shop: House) -> None:
    order_id = in_review(shop)
    assert shop.timeline(order_id)[-2:] == ["payment_confirmed", "address_review"]
    begun = review(shop, order_id)
    assert begun["status"] == "pending"
    assert begun["timezone"] == "America/Denver"
    assert begun["deadline_at"] == datetime(2026, 12, 2, 23, tzinfo=UTC), "Wednesday at 16:00"
    assert begun["reminder_at"] == shop.clock() + timedelta(hours=60)
    assert [step for step, _ in steps(shop, order_id)] == ["begun"]
    assert [topic for _, topic in topics(shop, order_id)] == [
        "order.created",
        "order.paid",
        "order.address_review_needed",
    ]
    assert shop.stock() == {"EWR": (9, 0)}, "the goods are the shopper's: sold, and not yet shipped"
    assert shop.violations() == []


def test_the_link_is_that_of_the_open_review_and_ends_with_its_deadline(shop: House) -> None:
    order_id = in_review(shop)
    begun = review(shop, order_id)
    keys = [shop.link_keys["current"].encode()]
    read = read_token(token(shop, order_id), keys, shop.clock())
    assert (read.review_id, read.organization_id) == (begun["id"], shop.organization_id)
    assert (read.nonce, read.expires_at) == (begun["nonce"], begun["deadline_at"])


def test_an_order_without_a_review_has_no_link(shop: House) -> None:
    order_id = document(shop.place())["order"]["id"]
    with shop.system.database.transaction(shop.organization_id, now=shop.clock()) as transaction:
        assert review_url(shop.system, transaction, order_id) is None


def test_that_the_shopper_was_written_to_is_noted_once(shop: House) -> None:
    order_id = in_review(shop)
    for _ in range(2):
        with shop.system.database.transaction(
            shop.organization_id, now=shop.clock(), actor="system:mail"
        ) as transaction:
            note_contact(transaction, order_id)  # type: ignore[arg-type]
    contacted = review(shop, order_id)
    assert (contacted["status"], contacted["notified_at"]) == ("customer_contacted", shop.clock())
    assert [step for step, _ in steps(shop, order_id)] == ["begun", "customer_contacted"]


def test_a_calendar_that_makes_no_sense_stops_no_order_and_a_person_is_told(shop: House) -> None:
    shop.sql(
        "UPDATE tenancy.organizations SET settings = settings || CAST(:settings AS jsonb) WHERE id = :o",
        settings=json.dumps({"business_calendars": {"*": {"working_days": []}}}),
        o=shop.organization_id,
    )
    order_id = in_review(shop)
    assert review(shop, order_id)["deadline_at"] == datetime(2026, 12, 2, 23, tzinfo=UTC)
    assert shop.failures() == ["BusinessCalendar"]
