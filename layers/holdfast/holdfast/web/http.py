"""The HTTP resolver that every API function uses: strict input, one error table, a correlation id on everything."""

import json
import logging
from collections.abc import Callable
from typing import Annotated, Any, Final

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.params import Header, Path
from pydantic import AfterValidator, StringConstraints

from holdfast.values.errors import HoldfastError, Rejected
from holdfast.web.card_numbers import holds_card_number
from holdfast.web.problems import problem_response, response_for
from holdfast.web.request_body import read_json, with_json_body
from holdfast.web.telemetry import correlated, correlation_id

ERRORS_MAX: Final = 20
FIELD_MAX_CHARACTERS: Final = 200
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Strict-Transport-Security": "max-age=63072000",
    "X-Content-Type-Options": "nosniff",
}
_logger = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def _no_card_number(key: str) -> str:
    if holds_card_number(key):
        raise ValueError("looks like a card number")
    return key


IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        description="Names this request for 24 hours: the same key with the same body gets the same answer, byte for "
        "byte, and has its effect once. A UUID is a good one; what looks like a card number is refused.",
    ),
    StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$"),
    AfterValidator(_no_card_number),
]
OrderReference = Annotated[str, Path(max_length=64, description="The order's id or its number.")]


def make_resolver() -> APIGatewayHttpResolver:
    """Return a resolver with validation that answers every error with a problem document."""
    app = APIGatewayHttpResolver(enable_validation=True, json_body_deserializer=read_json)
    app.exception_handler(HoldfastError)(_told)
    app.exception_handler(RequestValidationError)(_validation_problem)
    app.not_found(_no_route)
    return app


def serve(app: APIGatewayHttpResolver, *, takes_json: bool = True) -> Handler:
    """Return the Lambda handler of an API function. ``takes_json`` is false if none of its routes reads a JSON body."""

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        request = event.get("requestContext") or {}
        with correlated(request.get("requestId") or None):
            if takes_json and request.get("http", {}).get("method") != "GET":
                try:
                    event = with_json_body(event)
                except Rejected as refusal:
                    return _with_headers(_as_gateway_answer(_told(refusal)))
            return _with_headers(app.resolve(event, context))

    return handler


def json_response(document: Any, status: int = 200) -> Response[Any]:
    """Return a JSON response."""
    return Response(status_code=status, content_type="application/json", body=json.dumps(document, default=str))


def _told(error: HoldfastError) -> Response[Any]:
    """Return the response to an error, and log it unless it is the caller's fault."""
    if not isinstance(error, Rejected):
        _logger.warning("not done: %s: %s", type(error).__name__, error)
    return response_for(error, correlation_id())


def _no_route(_error: NotFoundError) -> Response[Any]:
    return problem_response("not_found", "there is nothing here", correlation_id())


def _as_gateway_answer(response: Response[Any]) -> dict[str, Any]:
    return {
        "statusCode": response.status_code,
        "headers": {"Content-Type": response.content_type or "application/json", **response.headers},
        "body": response.body,
        "isBase64Encoded": False,
    }


def _with_headers(answer: dict[str, Any]) -> dict[str, Any]:
    """Add the headers that keep browsers and proxies from caching and sniffing, unless the route sets its own."""
    return {**answer, "headers": {**_HEADERS, **answer.get("headers", {})}}


def _validation_problem(error: RequestValidationError) -> Response[Any]:
    """Return 400 if the body or a header is missing, 422 if the request is well-formed but wrong.

    The response never contains the offending input.
    """
    found = error.errors()
    incomplete = any(
        item.get("type") == "missing" and (item["loc"][0] == "header" or item["loc"] == ("body",)) for item in found
    )
    errors = [
        {"field": _field(item["loc"]), "message": str(item.get("msg", "is not valid"))} for item in found[:ERRORS_MAX]
    ]
    code = "malformed_request" if incomplete else "invalid_input"
    return problem_response(code, "the request is not valid", correlation_id(), {"errors": errors})


def _field(location: tuple[Any, ...]) -> str:
    """Return where in the request a field is, such as ``items[0].sku`` or ``query.limit``."""
    name = ""
    for part in location[1:] if location[0] == "body" else location:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return name[:FIELD_MAX_CHARACTERS] or "body"
