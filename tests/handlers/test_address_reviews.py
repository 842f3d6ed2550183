"""The API behind the correction page and the staff's queue, driven as API Gateway and the schedule drive it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.addresses.review_link import make_token
from holdfast.flows.addresses.review_links import review_url
from tests.flows import moving
from tests.handlers.door import ADDRESS, PROBLEM, Door, Reply, checkout_body
from tests.handlers.stock_room import StockRoom
from tests.handlers.test_fuzz import ANYTHING, FUZZ, TEXTS
from tests.handlers.test_workers import metrics

SHOW: Final = "GET /v1/address-reviews/{token}"
ANSWER: Final = "POST /v1/address-reviews/{token}"
QUEUE: Final = "GET /v1/ops/address-reviews"
SAMPLE_REVIEW: Final = "01930000-0000-7000-8000-0000000000c1"
UNKNOWN: Final = ADDRESS | {"postal_code": "80299"}
TO_RENO: Final = {"line1": "7 Virginia Street", "city": "Reno", "region": "NV", "postal_code": "89501", "country": "US"}
ELSEWHERE: Final = TO_RENO | {"postal_code": "80298"}
NOBODY: Final[Mapping[str, str]] = {}


@pytest.fixture
def shop(door: Door) -> Door:
    """Return a door into a house that sells tees and knows where Reno is."""
    door.house.add_variant(stock=20)
    moving.shop(door.house)
    return door


@pytest.fixture
def staff(shop: Door) -> StockRoom:
    """Return a manager of the house."""
    return StockRoom(shop)


def in_review(shop: Door) -> str:
    reply = shop.ask("POST /v1/checkout", checkout_body(shipping_address=UNKNOWN))
    assert reply.body["order"]["status"] == "address_review", reply.raw
    order_id: str = reply.body["order"]["id"]
    return order_id


def token(shop: Door, order_id: str) -> str:
    with shop.house.system.database.transaction(shop.house.organization_id, now=shop.house.clock()) as transaction:
        url = review_url(shop.house.system, transaction, UUID(order_id))
    assert url is not None
    return url.partition("#")[2]


def review_id(shop: Door, order_id: str) -> str:
    return str(shop.house.value("SELECT id FROM addresses.reviews WHERE order_id = :id", id=order_id))


def end(shop: Door) -> None:
    """Backdate every review by nine days so that it is due now; the functions use the machine's clock."""
    shop.house.sql(
        "UPDATE addresses.reviews SET created_at = now() - interval '9 days', reminder_at = now() - interval '1 day',"
        " first_deadline_at = now() - interval '1 second', deadline_at = now() - interval '1 second'"
    )


def show(shop: Door, link: str) -> Reply:
    return shop.ask(SHOW, who=NOBODY, token=link)


def answer(shop: Door, link: str, body: Any) -> Reply:
    return shop.ask(ANSWER, body, who=NOBODY, key=None, token=link)


def sample(shop: Door, name: str, link: str) -> Reply:
    """Send a sample of the shopper's routes, with a valid link."""
    event = shop.sample(name)
    text = json.dumps(event).replace(event["pathParameters"]["token"], link)
    return shop.send(json.loads(text))


# --- the shopper -----------------------------------------------------------------------------------------------------


def test_the_samples_show_correct_and_confirm(shop: Door) -> None:
    first, second = in_review(shop), in_review(shop)
    shown = sample(shop, "address_reviews/show", token(shop, first))
    assert (shown.status, shown.body["address_review"]["status"]) == (200, "pending")
    assert shown.headers["cache-control"] == "no-store"
    corrected = sample(shop, "address_reviews/correct", token(shop, first))
    assert (corrected.status, corrected.body["address_review"]["status"]) == (200, "corrected")
    confirmed = sample(shop, "address_reviews/confirm", token(shop, second))
    assert (confirmed.status, confirmed.body["address_review"]["status"]) == (200, "resolved")
    assert [shop.house.order(order)["status"] for order in (first, second)] == ["confirmed", "confirmed"]
    assert shop.house.violations() == []


def test_the_shopper_needs_no_token_but_the_link(shop: Door) -> None:
    order_id = in_review(shop)
    assert show(shop, token(shop, order_id)).body["address_review"]["order_number"]
    foreign = make_token(
        UUID(review_id(shop, order_id)),
        shop.house.organization_id,
        "0" * 32,
        datetime.now(UTC) + timedelta(days=1),
        b"some other key of the same length" * 2,
    )
    for reply in (show(shop, foreign), answer(shop, foreign, {"confirm": True})):
        assert (reply.status, reply.content_type, reply.body["code"]) == (404, PROBLEM, "link_invalid")


def test_a_link_that_was_used_is_gone(shop: Door) -> None:
    link = token(shop, in_review(shop))
    answer(shop, link, {"confirm": True})
    for reply in (show(shop, link), answer(shop, link, {"confirm": True})):
        assert (reply.status, reply.body["code"]) == (410, "link_used")


def test_a_link_past_its_deadline_is_gone(shop: Door) -> None:
    order_id = in_review(shop)
    link = token(shop, order_id)
    end(shop)
    for reply in (show(shop, link), answer(shop, link, {"confirm": True})):
        assert (reply.status, reply.body["code"]) == (410, "link_expired")


def test_a_correction_that_is_not_found_is_told_with_its_reason(shop: Door) -> None:
    link = token(shop, in_review(shop))
    refused = answer(shop, link, {"address": ELSEWHERE})
    assert (refused.status, refused.body["code"], refused.body["reason"]) == (
        409,
        "address_not_found",
        "unknown_postal_code",
    )
    assert answer(shop, link, {"address": ELSEWHERE, "confirm": True}).status == 200


BAD_ANSWERS: Final[Mapping[str, tuple[Any, int]]] = {
    "nothing said": ({}, 422),
    "not confirmed": ({"confirm": False}, 422),
    "a word for true": ({"confirm": "true"}, 422),
    "an address of null": ({"address": None}, 422),
    "an unknown field": ({"confirm": True, "status": "confirmed"}, 422),
    "an address without a street": ({"address": {k: v for k, v in TO_RENO.items() if k != "line1"}}, 422),
    "a country in words": ({"address": TO_RENO | {"country": "USA"}}, 422),
    "a street with a NUL": ({"address": TO_RENO | {"line1": "a\x00"}}, 422),
    "an endless city": ({"address": TO_RENO | {"city": "a" * 101}}, 422),
    "a list": ([{"confirm": True}], 400),
    "half a document": ('{"confirm": tr', 400),
    "no body": (None, 400),
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_a_bad_answer_is_told_why_and_changes_nothing(shop: Door, case: str) -> None:
    body, status = BAD_ANSWERS[case]
    order_id = in_review(shop)
    reply = answer(shop, token(shop, order_id), body)
    assert (reply.status, reply.content_type) == (status, PROBLEM), reply.raw
    assert shop.house.order(order_id)["status"] == "address_review"


@FUZZ
@given(text=TEXTS.filter(lambda text: text and "/" not in text), body=ANYTHING)
def test_any_token_is_told_that_there_is_no_such_link(shared_door: Door, text: str, body: Any) -> None:
    shown = show(shared_door, text)
    assert (shown.status, shown.body["code"]) in {(404, "link_invalid"), (404, "not_found"), (422, "invalid_input")}
    assert 400 <= answer(shared_door, text, json.dumps(body)).status < 500


@FUZZ
@given(st.data())
def test_a_token_with_a_few_bytes_changed_opens_nothing(shared_door: Door, data: st.DataObject) -> None:
    link = make_token(
        uuid4(),
        shared_door.house.organization_id,
        "0" * 32,
        datetime.now(UTC) + timedelta(days=1),
        shared_door.house.link_keys["current"].encode(),
    )
    at = data.draw(st.integers(0, len(link) - 1))
    letter = data.draw(st.sampled_from("ABCabc019-_."))
    spoiled = link[:at] + letter + link[at + 1 :]
    assert show(shared_door, spoiled).body["code"] == "link_invalid"


def test_the_link_and_the_address_are_in_no_log(shop: Door, capfd: pytest.CaptureFixture[str]) -> None:
    order_id = in_review(shop)
    link = token(shop, order_id)
    show(shop, link)
    show(shop, link[:-1])
    answer(shop, link, {"address": ELSEWHERE})
    answer(shop, link, {"address": TO_RENO})
    shop.invoke("address_review_watch", shop.sample("address_review_watch/tick"))
    written = "".join(capfd.readouterr())
    for secret in (link, link.partition(".")[2], "Virginia", "Analytical"):
        assert secret not in written


# --- the staff -------------------------------------------------------------------------------------------------------


def test_the_samples_of_the_queue_do_what_they_say(shop: Door, staff: StockRoom) -> None:
    resolved, corrected, cancelled = (in_review(shop) for _ in range(3))

    def ask(name: str, order_id: str, **more: str) -> Reply:
        return staff.sample(name, **{SAMPLE_REVIEW: review_id(shop, order_id)}, **more)

    listed = staff.sample("address_review_queue/list")
    assert len(listed.body["address_reviews"]) == 3
    found = staff.sample("address_review_queue/find", **{SAMPLE_REVIEW: review_id(shop, resolved)})
    assert [step["step"] for step in found.body["address_review"]["steps"]] == ["begun"]
    later = (datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%dT%H:%M:%SZ")
    extended = ask("address_review_queue/extend", resolved, **{"2030-01-01T12:00:00Z": later})
    assert (extended.status, extended.body["address_review"]["version"]) == (201, 2)
    stale = ask("address_review_queue/resolve", resolved)
    assert (stale.status, stale.body["code"]) == (409, "conflict")
    again = ask(
        "address_review_queue/resolve", resolved, **{'\\"version\\":1': '\\"version\\":2', "review-1": "review-2"}
    )
    assert (again.status, again.body["address_review"]["status"]) == (201, "resolved")
    assert ask("address_review_queue/correct", corrected).body["address_review"]["status"] == "corrected"
    assert ask("address_review_queue/cancel", cancelled).body["address_review"]["status"] == "cancelled"
    statuses = [shop.house.order(order_id)["status"] for order_id in (resolved, corrected, cancelled)]
    assert statuses == ["confirmed", "confirmed", "cancelled"]
    assert shop.house.violations() == []


def test_an_extension_beyond_the_bound_is_told_the_bound(shop: Door, staff: StockRoom) -> None:
    reply = staff.sample("address_review_queue/extend", **{SAMPLE_REVIEW: review_id(shop, in_review(shop))})
    assert (reply.status, reply.body["code"]) == (409, "conflict")
    assert datetime.fromisoformat(reply.body["latest_at"]) > datetime.now(UTC)


def test_the_queue_of_one_shop_is_not_anothers(shop: Door) -> None:
    order_id = in_review(shop)
    stranger = UUID(int=7)
    shop.house.sql(
        "INSERT INTO tenancy.organizations (id, name, slug, publishable_key, created_at)"
        " VALUES (:id, 'Other', 'other', 'pk_0123456789abcdefg', now())",
        id=stranger,
    )
    theirs = shop.staff("owner", organization_id=stranger)
    assert shop.ask(QUEUE, who=theirs).body["address_reviews"] == []
    found = shop.ask("GET /v1/ops/address-reviews/{review_id}", who=theirs, review_id=review_id(shop, order_id))
    assert (found.status, found.body["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "query", [{"status": "open"}, {"limit": "0"}, {"limit": "101"}, {"after": "x"}, {"due_before": "soon"}]
)
def test_a_wrong_question_to_the_queue_is_refused(staff: StockRoom, query: dict[str, str]) -> None:
    reply = staff.ask(QUEUE, query=query)
    assert (reply.status, reply.body["code"]) == (422, "invalid_input")


@pytest.mark.parametrize("region", [None, "New Vada"])
def test_a_correction_without_a_region_that_tax_depends_on_names_the_field(
    shop: Door, staff: StockRoom, region: str | None
) -> None:
    order_id = in_review(shop)
    corrected = {"address": TO_RENO | {"region": region}}
    by_staff = staff.ask(
        "POST /v1/ops/address-reviews/{review_id}/correct",
        corrected | {"version": 1},
        review_id=review_id(shop, order_id),
    )
    for reply in (answer(shop, token(shop, order_id), corrected), by_staff):
        assert (reply.status, reply.body["code"]) == (422, "invalid_input"), reply.raw
        assert [error["field"] for error in reply.body["errors"]] == ["address.region"]
    assert shop.house.order(order_id)["status"] == "address_review"


# --- the clock -------------------------------------------------------------------------------------------------------


def test_the_sample_tick_cancels_what_is_due_and_counts_it(shop: Door, capsys: pytest.CaptureFixture[str]) -> None:
    order_id = in_review(shop)
    end(shop)
    tick = shop.sample("address_review_watch/tick")
    assert shop.invoke("address_review_watch", tick) == {"reminded": 0, "cancelled": 1, "failed": 0}
    assert shop.house.order(order_id)["status"] == "cancelled"
    told = [(name, value) for name, value, _ in metrics(capsys) if name.startswith("AddressReviews")]
    assert told == [("AddressReviews", 0), ("AddressReviews", 1), ("AddressReviewsNotEnded", 0)]
