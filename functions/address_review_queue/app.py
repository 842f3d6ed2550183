"""Address reviews for the staff: list them by deadline, and resolve, correct, extend or cancel them."""

from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import AwareDatetime

from holdfast.addresses.model import AddressReviewStatus
from holdfast.flows.addresses import work_reviews as flow
from holdfast.flows.addresses.read_reviews import PAGE_MAX_ROWS, find_review, list_reviews
from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.runtime import runtime
from holdfast.web.address_models import (
    CancelAddressReviewBody,
    CorrectAddressReviewBody,
    ExtendAddressReviewBody,
    ResolveAddressReviewBody,
)
from holdfast.web.answers import change_answer
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import IdempotencyKey, json_response, make_resolver, serve
from holdfast.web.problems import stored_response
from holdfast.web.routes import DATABASE, IDEMPOTENT, JSON_BODY, route
from holdfast.web.telemetry import count_lookups

app = make_resolver()
handler = serve(app)

_DONE = {201: "AddressReviewAnswer"}
_STEP = (*JSON_BODY, *IDEMPOTENT, *DATABASE, "not_found", "conflict", "transition_refused")
_REVIEW = "/v1/ops/address-reviews/{review_id}"
_TAG = "Address reviews"
_render = change_answer("address_review")


@route(
    app,
    "GET /v1/ops/address-reviews",
    "List address reviews, the nearest deadline first",
    returns={200: "AddressReviewPage"},
    refuses=("invalid_input", "not_found", *DATABASE),
    tag=_TAG,
)
def address_reviews(
    status: Annotated[AddressReviewStatus | None, Query(description="Of this status; else all that are open.")] = None,
    due_before: Annotated[AwareDatetime | None, Query(description="Only those due before this instant.")] = None,
    after: Annotated[UUID | None, Query(description="Only those after this one: `next_after`.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX_ROWS)] = 20,
) -> Response[Any]:
    """The open ones, or those of one status."""
    caller = caller_from(app.current_event.raw_event)
    page = list_reviews(
        runtime(), caller, status=status, due_before=due_before, after=after, limit=limit, now=utc_now()
    )
    return json_response(page)


@route(
    app,
    f"GET {_REVIEW}",
    "Find an address review",
    returns={200: "AddressReviewAnswer"},
    refuses=("invalid_input", "not_found", *DATABASE),
    tag=_TAG,
)
def find_address_review(review_id: UUID) -> Response[Any]:
    """With everything that was done about it."""
    found = find_review(runtime(), caller_from(app.current_event.raw_event), review_id, utc_now())
    return json_response({"address_review": found})


@route(app, f"POST {_REVIEW}/resolve", "The address is right as it is", returns=_DONE, refuses=_STEP, tag=_TAG)
def resolve_address_review(
    review_id: UUID, body: ResolveAddressReviewBody, idempotency_key: IdempotencyKey
) -> Response[Any]:
    """Confirms the order."""
    request = _request("resolve_address_review", idempotency_key, review_id, body, body.notes)
    return stored_response(flow.resolve_review(runtime(), request, utc_now, _render))


@route(
    app,
    f"POST {_REVIEW}/correct",
    "Correct an address on the shopper's behalf",
    returns=_DONE,
    refuses=(*_STEP, "address_not_found"),
    tag=_TAG,
)
def correct_address_review(
    review_id: UUID, body: CorrectAddressReviewBody, idempotency_key: IdempotencyKey
) -> Response[Any]:
    """Ships from where that is best, and confirms the order. 409 for an address that is not found either, unless it is
    confirmed."""
    request = _request("correct_address_review", idempotency_key, review_id, body, body.notes)
    whole = body.address.to_address().on
    answer = flow.correct_review(runtime(), request, whole, utc_now, _render, is_confirmed=body.confirm)
    count_lookups(runtime().lookup_tally)
    return stored_response(answer)


@route(app, f"POST {_REVIEW}/extend", "Give the shopper more time", returns=_DONE, refuses=_STEP, tag=_TAG)
def extend_address_review(
    review_id: UUID, body: ExtendAddressReviewBody, idempotency_key: IdempotencyKey
) -> Response[Any]:
    """Moves deadline and reminder, at most to `extendable_until_at`; the shopper gets a link that lasts as long."""
    request = _request("extend_address_review", idempotency_key, review_id, body, body.notes)
    return stored_response(flow.extend_review(runtime(), request, body.deadline_at, utc_now, _render))


@route(app, f"POST {_REVIEW}/cancel", "Cancel the order of a review", returns=_DONE, refuses=_STEP, tag=_TAG)
def cancel_address_review(
    review_id: UUID, body: CancelAddressReviewBody, idempotency_key: IdempotencyKey
) -> Response[Any]:
    """Returns the money and the goods."""
    request = _request("cancel_address_review", idempotency_key, review_id, body, body.reason)
    return stored_response(flow.cancel_review(runtime(), request, utc_now, _render))


def _request(
    operation: str,
    key: str,
    review_id: UUID,
    body: ResolveAddressReviewBody | CorrectAddressReviewBody | ExtendAddressReviewBody | CancelAddressReviewBody,
    notes: str | None,
) -> flow.ReviewRequest:
    caller = caller_from(app.current_event.raw_event)
    fingerprint = fingerprint_of({"review": review_id} | body.model_dump(mode="json"))
    return flow.ReviewRequest(caller, Claim(caller.actor, operation, key, fingerprint), review_id, body.version, notes)
