"""Mails to shoppers: list them, send one again. Suppressed addresses: list them, lift a suppression."""

from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.notifications import work_messages as flow
from holdfast.notifications.model import MessageStatus
from holdfast.runtime import runtime
from holdfast.web.answers import change_answer
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.fields import Body, EmailAddress
from holdfast.web.http import IdempotencyKey, json_response, make_resolver, serve
from holdfast.web.mail_models import LiftBody
from holdfast.web.problems import stored_response
from holdfast.web.routes import DATABASE, IDEMPOTENT, JSON_BODY, route

app = make_resolver()
handler = serve(app)

_CHANGE = (*JSON_BODY, *IDEMPOTENT, *DATABASE, "not_found", "conflict")
_LIST = ("invalid_input", *DATABASE)


@route(app, "GET /v1/ops/mails", "List mails to shoppers", returns={200: "MailPage"}, refuses=_LIST)
def mails(
    order_id: Annotated[UUID | None, Query()] = None,
    status: Annotated[MessageStatus | None, Query()] = None,
    before: Annotated[UUID | None, Query(description="Only mails older than this one: `next_before`.")] = None,
    limit: Annotated[int, Query(ge=1, le=flow.PAGE_MAX_ROWS)] = 20,
) -> Response[Any]:
    """Of an order, of a status, or all; newest first. `next_before` is the cursor of the next page."""
    caller = caller_from(app.current_event.raw_event)
    page = flow.list_messages(
        runtime(), caller, order_id=order_id, status=status, before=before, limit=limit, now=utc_now()
    )
    return json_response(page)


@route(app, "POST /v1/ops/mails/{mail_id}/resend", "Send a mail again", returns={201: "MailAnswer"}, refuses=_CHANGE)
def resend(mail_id: UUID, body: Body, idempotency_key: IdempotencyKey) -> Response[Any]:
    """Written anew from the order as it is, within a minute. 409 while it waits anyway, or its address takes none."""
    request = _request("resend_mail", idempotency_key, mail_id, body)
    return stored_response(flow.resend_message(runtime(), request, mail_id, utc_now(), change_answer("mail")))


@route(
    app,
    "GET /v1/ops/mail-suppressions",
    "List addresses that take no mail",
    returns={200: "MailSuppressionPage"},
    refuses=_LIST,
)
def suppressions(
    address: Annotated[EmailAddress | None, Query()] = None,
    before: Annotated[UUID | None, Query(description="Only those older than this one: `next_before`.")] = None,
    limit: Annotated[int, Query(ge=1, le=flow.PAGE_MAX_ROWS)] = 20,
) -> Response[Any]:
    """Newest first, lifted ones included; `next_before` is the cursor of the next page."""
    caller = caller_from(app.current_event.raw_event)
    page = flow.list_suppressions(runtime(), caller, address=address, before=before, limit=limit, now=utc_now())
    return json_response(page)


@route(
    app,
    "POST /v1/ops/mail-suppressions/{suppression_id}/lift",
    "Let an address have mail again",
    returns={201: "MailSuppressionAnswer"},
    refuses=_CHANGE,
)
def lift(suppression_id: UUID, body: LiftBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """With a word on why, which is kept. Mails that were suppressed meanwhile are sent again one by one."""
    request = _request("lift_mail_suppression", idempotency_key, suppression_id, body)
    render = change_answer("suppression")
    return stored_response(flow.lift_suppression(runtime(), request, suppression_id, body.reason, utc_now(), render))


def _request(operation: str, key: str, subject_id: UUID, body: Body) -> flow.Request:
    caller = caller_from(app.current_event.raw_event)
    fingerprint = fingerprint_of({"subject": subject_id} | body.model_dump(mode="json"))
    return flow.Request(caller, Claim(caller.actor, operation, key, fingerprint))
