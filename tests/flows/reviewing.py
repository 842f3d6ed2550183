"""Orders under review, and what shoppers, staff and the clock do about them."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from holdfast.flows.addresses import work_reviews
from holdfast.flows.addresses.answer_review import AnswerReview, CorrectedAddress, answer_review
from holdfast.flows.addresses.review_links import review_url
from holdfast.flows.addresses.watch_reviews import Watched, watch_reviews
from holdfast.flows.addresses.work_reviews import ReviewRequest
from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.values.caller import Caller
from holdfast.web.answers import change_answer
from tests.flows import moving
from tests.flows.moving import RENO
from tests.house import House, document
from tests.premises import DENVER

NOWHERE_NEAR: Final = replace(DENVER, postal_code="80299")
"""An address that is known to be in Denver, but no more exactly."""
FRIDAY_AT_FOUR: Final = datetime(2026, 11, 27, 23, tzinfo=UTC)
"""16:00 in Denver."""
WEDNESDAY_AT_FOUR: Final = datetime(2026, 12, 2, 23, tzinfo=UTC)
"""72 business hours later."""
TO_RENO: Final = CorrectedAddress(RENO.line1, RENO.city, RENO.postal_code, RENO.country, region=RENO.region)
ALSO_UNKNOWN: Final = CorrectedAddress("1 Nowhere", "Denver", "80298", "US", region="CO")
render = change_answer("address_review")


def reviewing_shop(house: House) -> House:
    """Prepare a house on a Friday at 16:00 of Denver's wall clock.

    Parcels from Reno cost a third of those from Newark. The tees are in Newark, and so an address in the middle of
    Denver ships from there.
    """
    house.clock.now = FRIDAY_AT_FOUR
    moving.shop(house)
    house.add_variant(stock={"EWR": 10})
    return house


def in_review(house: House, **how: Any) -> str:
    """Place a paid order whose address is not known, and return its id."""
    order = document(house.place({"TEE": 1}, **({"address": NOWHERE_NEAR} | how)))["order"]
    assert order["status"] == "address_review"
    order_id: str = order["id"]
    return order_id


def review(house: House, order_id: str) -> dict[str, Any]:
    """Return the row of the order's newest review."""
    rows = house.rows("SELECT * FROM addresses.reviews WHERE order_id = :id ORDER BY id DESC LIMIT 1", id=order_id)
    return dict(rows[0])


def steps(house: House, order_id: str) -> list[str]:
    """Return the steps of the order's reviews, in order."""
    rows = house.rows(
        "SELECT s.step FROM addresses.review_steps s JOIN addresses.reviews r ON r.id = s.review_id"
        " WHERE r.order_id = :id ORDER BY r.id, s.sequence",
        id=order_id,
    )
    return [row["step"] for row in rows]


def token(house: House, order_id: str) -> str:
    """Return the token that the link in the mail carries."""
    with house.system.database.transaction(house.organization_id, now=house.clock()) as transaction:
        url = review_url(house.system, transaction, UUID(order_id))
    assert url is not None
    return url.partition("#")[2]


def answer(
    house: House, link: str, address: CorrectedAddress | None = None, *, confirm: bool = False
) -> dict[str, Any]:
    """Correct the address as the shopper, or confirm it."""
    return answer_review(house.runtime, AnswerReview(link, address, confirm), house.clock)


def watch(house: House) -> Watched:
    """Run one tick of the review watch."""
    return watch_reviews(house.system, house.clock, lambda: 60.0)


def asked(
    house: House,
    caller: Caller,
    order_id: str,
    operation: str,
    *,
    version: int | None = None,
    key: str | None = None,
    notes: str | None = "called the shopper",
    **what: Any,
) -> dict[str, Any]:
    """Have staff work on the order's review, and return the answer they get."""
    row = review(house, order_id)
    request = ReviewRequest(
        caller,
        Claim(caller.actor, operation, key or uuid.uuid4().hex, fingerprint_of({"order": order_id} | what)),
        row["id"],
        row["version"] if version is None else version,
        notes,
    )
    if operation == "resolve_review":
        given = work_reviews.resolve_review(house.runtime, request, house.clock, render)
    elif operation == "correct_review":
        address = what.get("address", TO_RENO)
        given = work_reviews.correct_review(
            house.runtime, request, address.on, house.clock, render, is_confirmed=what.get("confirm", False)
        )
    elif operation == "extend_review":
        given = work_reviews.extend_review(house.runtime, request, what["until"], house.clock, render)
    else:
        given = work_reviews.cancel_review(house.runtime, request, house.clock, render)
    told: dict[str, Any] = document(given)["address_review"]
    return told
