"""Routes as the OpenAPI document shows them: each route declares its own responses.

A route is named by its key in template.yaml. This module adds its token, the responses to a caller without the right
token, and the responses that every function may give. A handler declares only what is specific to it.
"""

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from holdfast.tenancy.access import WHO_MAY, Access
from holdfast.web.access import OPERATION_OF_ROUTE
from holdfast.web.problems import CONTENT_TYPE, RETRY_AFTER_SECONDS, STATUS_OF_CODE

JSON_BODY: Final = ("malformed_request", "payload_too_large", "unsupported_media_type", "invalid_input")
"""The problems that a route may find with a JSON body."""
IDEMPOTENT: Final = ("malformed_request", "invalid_input", "idempotency_key_reused", "request_in_progress")
"""The problems that a route may find with an Idempotency-Key."""
DATABASE: Final = ("unavailable",)
"""The problems of every route that uses the database."""

_CALLER: Final = ("unauthenticated", "forbidden")
# Responses that API Gateway gives by itself, in its own form, before or instead of a function.
_GATEWAY_ALWAYS: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_WITH_BODY: Final = ("POST", "PUT")
_GATEWAY_BODY: Final = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
_GATEWAY_TOKEN: Final = HTTPStatus.UNAUTHORIZED

Function = TypeVar("Function", bound=Callable[..., Any])


def route(
    app: APIGatewayHttpResolver,
    key: str,
    summary: str,
    *,
    returns: Mapping[int, str],
    returns_text: int | None = None,
    refuses: Iterable[str] = (),
    tag: str | None = None,
) -> Callable[[Function], Function]:
    """Return a decorator that registers a handler for ``key``, a key of the access table ("POST /v1/checkout").

    ``returns`` names the schema of each success (a model of ``web.views``), ``refuses`` the codes of its problems.
    ``returns_text`` is the status of the success that is also available as plain text, if the caller asks for it. The
    ``tag`` is taken from the path if none is given. Raises KeyError for a route or a code that no table contains.
    """
    operation = OPERATION_OF_ROUTE[key]
    method, path = key.split(" ")
    access = None if operation is None else WHO_MAY[operation]
    codes = (*refuses, *(() if access is None else _CALLER))
    gateway = {
        *_GATEWAY_ALWAYS,
        *({_GATEWAY_BODY} if method in _WITH_BODY else ()),
        *({_GATEWAY_TOKEN} if access else ()),
    }

    def register(function: Function) -> Function:
        registered: Function = app.route(
            path.replace("{", "<").replace("}", ">"),
            method,
            summary=summary,
            description=_description(function.__doc__ or "", access),
            operation_id=function.__name__,
            tags=[tag or path.split("/")[2].replace("-", " ").capitalize()],
            responses=_responses(returns, returns_text, codes, gateway),
            openapi_extensions={"security": []} if access is None else {},
        )(function)
        return registered

    return register


def _description(doc: str, access: Access | None) -> str:
    text = doc.strip()
    if access is None:
        return f"{text}\n\nPublic."
    who = [f"{kind}s" for kind in sorted(access.shoppers)]
    if access.staff is not None:
        who.append(f"staff from the role {access.staff} up")
    return f"{text}\n\nFor {', '.join(who)}."


def _responses(
    returns: Mapping[int, str], returns_text: int | None, codes: Iterable[str], gateway: set[HTTPStatus]
) -> dict[int, Any]:
    codes_of: dict[int, list[str]] = {int(status): [] for status in gateway}
    for code in dict.fromkeys(codes):
        codes_of.setdefault(int(STATUS_OF_CODE[code]), []).append(code)
    successes: dict[int, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, "content": {"application/json": {"schema": _ref(schema)}}}
        for status, schema in returns.items()
    }
    if returns_text is not None:
        successes[returns_text]["content"]["text/plain"] = {"schema": {"type": "string"}}
    return successes | {status: _refusal(status, codes_of[status], status in gateway) for status in sorted(codes_of)}


def _refusal(status: int, codes: list[str], from_gateway: bool) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if codes:
        problem = {"allOf": [_ref("Problem")], "properties": {"code": {"enum": codes}}}
        content[CONTENT_TYPE] = {"schema": problem}
    if from_gateway:
        content["application/json"] = {"schema": _ref("GatewayMessage")}
    response: dict[str, Any] = {"description": ", ".join(codes) or HTTPStatus(status).phrase, "content": content}
    if any(code == "unavailable" or code in RETRY_AFTER_SECONDS for code in codes):
        response["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return response


def _ref(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}
