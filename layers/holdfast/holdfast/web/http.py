"""The HTTP resolver every API function uses: strict input, one error table, a correlation id on everything."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from holdfast.values.errors import HoldfastError, InvalidInput
from holdfast.web.card_numbers import holds_card_number
from holdfast.web.problems import problem_response, response_for
from holdfast.web.telemetry import correlated, correlation_id

BODY_MAX_BYTES: Final = 256 * 1024
IDEMPOTENCY_KEY_PATTERN: Final = r"^[\x21-\x7e]{1,255}$"

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def make_resolver() -> APIGatewayHttpResolver:
    """A resolver with validation, and with every error told as a problem document."""
    app = APIGatewayHttpResolver(enable_validation=True)

    @app.exception_handler(HoldfastError)
    def told(error: HoldfastError) -> Response[Any]:
        return response_for(error, correlation_id())

    @app.exception_handler(RequestValidationError)
    def not_valid(error: RequestValidationError) -> Response[Any]:
        return _validation_problem(error)

    @app.not_found
    def no_route(_error: NotFoundError) -> Response[Any]:
        return problem_response("not_found", "there is nothing here", correlation_id())

    return app


def serve(app: APIGatewayHttpResolver, *, raw_body: bool = False) -> Handler:
    """The Lambda handler of an API function. ``raw_body`` functions (webhooks) check their bodies themselves."""

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        request_id = str(event.get("requestContext", {}).get("requestId", ""))
        with correlated(request_id or None):
            refusal = None if raw_body else _refuse_body(event)
            if refusal is not None:
                return _as_gateway_answer(refusal)
            return app.resolve(event, context)

    return handler


def json_response(document: Any, status: int = 200) -> Response[Any]:
    """A JSON answer."""
    return Response(status_code=status, content_type="application/json", body=json.dumps(document, default=str))


def _refuse_body(event: Mapping[str, Any]) -> Response[Any] | None:
    body = event.get("body")
    if not body:
        return None
    if event.get("isBase64Encoded"):
        return problem_response("malformed_request", "the body is not JSON in UTF-8", correlation_id())
    if len(body) > BODY_MAX_BYTES:
        return problem_response("payload_too_large", f"a body has at most {BODY_MAX_BYTES} bytes", correlation_id())
    if holds_card_number(body):
        error = InvalidInput("the request holds what looks like a card number; send the gateway's token instead")
        return response_for(error, correlation_id())
    return None


def _as_gateway_answer(response: Response[Any]) -> dict[str, Any]:
    return {
        "statusCode": response.status_code,
        "headers": {"Content-Type": response.content_type or "application/json", **response.headers},
        "body": response.body,
        "isBase64Encoded": False,
    }


def _validation_problem(error: RequestValidationError) -> Response[Any]:
    """400 for what is not JSON or lacks its key, 422 for what is well-formed and wrong; never the offending input."""
    found = error.errors()
    not_json = any(item.get("type") == "json_invalid" for item in found)
    header_missing = any(item.get("type") == "missing" and item.get("loc", ("",))[0] == "header" for item in found)
    errors = [
        {
            "field": "body" if not_json else ".".join(str(part) for part in item["loc"] if part != "body") or "body",
            "message": str(item.get("msg", "is not valid")),
        }
        for item in found
    ]
    code = "malformed_request" if not_json or header_missing else "invalid_input"
    return problem_response(code, "the request is not valid", correlation_id(), {"errors": errors})
