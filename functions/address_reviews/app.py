"""The API behind the page on which a shopper checks an address. The link in the mail is the only authentication."""

from typing import Any

from aws_lambda_powertools.event_handler import Response

from holdfast.flows.addresses.answer_review import AnswerReview, answer_review, show_review
from holdfast.runtime import runtime
from holdfast.web.address_models import AnswerAddressReviewBody, LinkToken
from holdfast.web.clock import utc_now
from holdfast.web.http import json_response, make_resolver, serve
from holdfast.web.routes import DATABASE, JSON_BODY, route
from holdfast.web.telemetry import count, count_lookups

app = make_resolver()
handler = serve(app)

_LINK = (*DATABASE, "not_found", "link_invalid", "link_expired", "link_used")


@route(
    app,
    "GET /v1/address-reviews/{token}",
    "See which address was not found",
    returns={200: "AddressCheckAnswer"},
    refuses=("invalid_input", *_LINK),
)
def address_review(token: LinkToken) -> Response[Any]:
    """What is wrong, the address as it was given, and until when it can be corrected; nothing of who lives there."""
    return _told(show_review(runtime(), token, utc_now()))


@route(
    app,
    "POST /v1/address-reviews/{token}",
    "Correct an address, or confirm it",
    returns={200: "AddressCheckAnswer"},
    refuses=(*JSON_BODY, *_LINK, "address_not_found", "conflict"),
)
def answer_address_review(token: LinkToken, body: AnswerAddressReviewBody) -> Response[Any]:
    """Confirms the order; the link is good for this once. A correction that is not found either changes nothing unless
    it is confirmed (409, `address_not_found`)."""
    answer = AnswerReview(token, body.address.to_address() if body.address else None, body.confirm)
    settled = answer_review(runtime(), answer, utc_now)
    count("AddressReviews", Step=settled["status"])
    count_lookups(runtime().lookup_tally)
    return _told(settled)


def _told(review: dict[str, Any]) -> Response[Any]:
    return json_response({"address_review": review})
