"""Guest sessions: exchange a shop's publishable key for a short-lived token."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header

from holdfast.flows.checkout.start_guest_session import start_guest_session
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.http import json_response, make_resolver, serve
from holdfast.web.routes import DATABASE, route

app = make_resolver()
handler = serve(app, takes_json=False)

PublishableKey = Annotated[str, Header(alias="X-Publishable-Key", max_length=80, description="Says which shop it is.")]


@route(
    app,
    "POST /v1/guest-sessions",
    "Start a guest session",
    returns={201: "GuestSession"},
    refuses=("malformed_request", "invalid_input", "unauthenticated", *DATABASE),
)
def guest_session(publishable_key: PublishableKey) -> Response[Any]:
    """A token that lets a guest check out and see that guest's own orders."""
    session = start_guest_session(runtime(), publishable_key, utc_now())
    document = {
        "token": session.token.token,
        "token_type": "Bearer",
        "expires_in_seconds": session.token.expires_in_seconds,
        "customer_id": str(session.customer_id),
    }
    return json_response(document, 201)
