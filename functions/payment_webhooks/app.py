"""Webhooks of payment gateways: verify the signature over the raw bytes, store the event once, answer."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path

from holdfast.flows.money.receive_webhook import BODY_MAX_BYTES, receive_webhook
from holdfast.runtime import runtime
from holdfast.values.errors import Rejected, SignatureInvalid
from holdfast.web.clock import utc_now
from holdfast.web.http import make_resolver, serve
from holdfast.web.request_body import raw_body_of
from holdfast.web.routes import DATABASE, route
from holdfast.web.telemetry import correlation_id, count

app = make_resolver()
handler = serve(app, takes_json=False)

Gateway = Annotated[str, Path(pattern=r"^[a-z]{2,20}$")]
_REFUSES = (*DATABASE, "malformed_request", "invalid_input", "signature_invalid", "not_found", "payload_too_large")


@route(
    app,
    "POST /v1/webhooks/{gateway}",
    "Receive a gateway's webhook",
    returns={200: "WebhookReceived"},
    returns_text=200,
    refuses=_REFUSES,
)
def webhook(gateway: Gateway) -> Response[Any]:
    """The endpoint of a deployment with one account per gateway: its endpoint key is `default-<gateway>`."""
    return _receive(gateway, f"default-{gateway}")


@route(
    app,
    "POST /v1/webhooks/{gateway}/{endpoint_key}",
    "Receive a gateway's webhook for one organization",
    returns={200: "WebhookReceived"},
    returns_text=200,
    refuses=_REFUSES,
)
def webhook_of_organization(gateway: Gateway, endpoint_key: Annotated[str, Path(max_length=64)]) -> Response[Any]:
    """The endpoint of one organization's account."""
    return _receive(gateway, endpoint_key)


def _receive(gateway: str, endpoint_key: str) -> Response[Any]:
    event = app.current_event.raw_event
    answer = runtime().gateways.wiring(gateway).webhook_answer
    headers = {name.lower(): value for name, value in event.get("headers", {}).items()}
    try:
        raw_body = raw_body_of(event, BODY_MAX_BYTES)
        fresh = receive_webhook(
            runtime(), gateway, endpoint_key, headers, raw_body, utc_now(), correlation_id() or "webhook"
        )
    except Rejected as refusal:
        count("WebhooksRefused")  # the alarm watches this one: a single figure for all gateways
        count("WebhooksRefusedBy", Gateway=gateway, Reason=refusal.code)
        if isinstance(refusal, SignatureInvalid):
            count("WebhookSignatureInvalid", Gateway=gateway)
        raise
    count("WebhookEventsStored", fresh, Gateway=gateway)
    return Response(status_code=200, content_type=answer.content_type, body=answer.body)
