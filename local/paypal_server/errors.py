"""PayPal's errors (https://developer.paypal.com/api/rest/responses/ and /api/rest/reference/orders/v2/errors/)."""

from typing import Any, Final

from local.gateway_server.model import Json, Refusal, random_text

DOCUMENTATION: Final = "https://developer.paypal.com/docs/api/orders/v2/#error-"

_MESSAGES: Final = {
    "INVALID_REQUEST": "Request is not well-formed, syntactically incorrect, or violates schema.",
    "AUTHENTICATION_FAILURE": (
        "Authentication failed due to missing authorization header, or invalid authentication credentials."
    ),
    "RESOURCE_NOT_FOUND": "The specified resource does not exist.",
    "RESOURCE_CONFLICT": "The server has detected a conflict while processing this request.",
    "UNPROCESSABLE_ENTITY": (
        "The requested action could not be performed, semantically incorrect, or failed business validation."
    ),
    "RATE_LIMIT_REACHED": "Too many requests. Blocked due to rate limiting.",
    "INTERNAL_SERVER_ERROR": "An internal server error occurred.",
    "SERVICE_UNAVAILABLE": "Service Unavailable.",
}
_NAMES: Final = {
    400: "INVALID_REQUEST",
    401: "AUTHENTICATION_FAILURE",
    404: "RESOURCE_NOT_FOUND",
    409: "RESOURCE_CONFLICT",
    422: "UNPROCESSABLE_ENTITY",
    429: "RATE_LIMIT_REACHED",
    503: "SERVICE_UNAVAILABLE",
}


def problem(status: int, issue: str = "", description: str = "", *, field: str | None = None, **more: Any) -> Json:
    """Return an error with at most one detail."""
    name = _NAMES.get(status, "INTERNAL_SERVER_ERROR")
    body: Json = {"name": name, "message": _MESSAGES[name], "debug_id": random_text(13).lower()}
    if issue:
        detail = {"issue": issue, "description": description}
        body["details"] = [{**detail, "field": field, "location": "body"} if field else detail]
    links = [*more.get("links", ()), {"href": f"{DOCUMENTATION}{issue or name}", "rel": "information_link"}]
    return {**body, "links": links}


def invalid(issue: str, description: str, field: str) -> Refusal:
    """Return a 400: the request is malformed."""
    return Refusal(400, problem(400, issue, description, field=field))


def unprocessable(issue: str, description: str, **more: Any) -> Refusal:
    """Return a 422: the request is well-formed but cannot be done.

    No request id keeps it: a repetition is judged anew.
    """
    return Refusal(422, problem(422, issue, description, **more))


def missing() -> Refusal:
    """Return a 404."""
    description = "Specified resource ID does not exist. Please check the resource ID and try again."
    return Refusal(404, problem(404, "INVALID_RESOURCE_ID", description))


def unauthorized() -> Refusal:
    """Return a 401: there is no token, or it is not valid."""
    return Refusal(
        401, {"error": "invalid_token", "error_description": "The token passed in was not found in the system"}
    )


def unknown_client() -> Refusal:
    """Return the 401 of the token endpoint."""
    return Refusal(401, {"error": "invalid_client", "error_description": "Client Authentication failed"})
