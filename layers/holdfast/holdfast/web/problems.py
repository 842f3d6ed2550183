"""The one error format (RFC 9457 problem details), and the one table that maps errors to HTTP statuses."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from aws_lambda_powertools.event_handler import Response

from holdfast.flows.claims.idempotency import Answer
from holdfast.values.errors import HoldfastError, Rejected, Transient

CONTENT_TYPE: Final = "application/problem+json"

STATUS_OF_CODE: Final[Mapping[str, HTTPStatus]] = {
    "rejected": HTTPStatus.BAD_REQUEST,
    "malformed_request": HTTPStatus.BAD_REQUEST,
    "invalid_input": HTTPStatus.UNPROCESSABLE_ENTITY,
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
    "signature_invalid": HTTPStatus.UNAUTHORIZED,
    "payment_declined": HTTPStatus.PAYMENT_REQUIRED,
    "forbidden": HTTPStatus.FORBIDDEN,
    "not_found": HTTPStatus.NOT_FOUND,
    "link_invalid": HTTPStatus.NOT_FOUND,
    "link_expired": HTTPStatus.GONE,
    "link_used": HTTPStatus.GONE,
    "address_not_found": HTTPStatus.CONFLICT,
    "conflict": HTTPStatus.CONFLICT,
    "out_of_stock": HTTPStatus.CONFLICT,
    "stock_contended": HTTPStatus.CONFLICT,
    "capacity_exceeded": HTTPStatus.CONFLICT,
    "price_changed": HTTPStatus.CONFLICT,
    "transition_refused": HTTPStatus.CONFLICT,
    "request_in_progress": HTTPStatus.CONFLICT,
    "attempt_too_old": HTTPStatus.CONFLICT,
    "refund_failed": HTTPStatus.CONFLICT,
    "capture_failed": HTTPStatus.CONFLICT,
    "refund_exceeds": HTTPStatus.CONFLICT,
    "refund_too_old": HTTPStatus.CONFLICT,
    "idempotency_key_reused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "not_representable": HTTPStatus.UNPROCESSABLE_ENTITY,
    "gateway_refused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "payload_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "unsupported_media_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
}

RETRY_AFTER_SECONDS: Final[Mapping[str, int]] = {
    "stock_contended": 1,
    "request_in_progress": 2,
    "capacity_exceeded": 3600,
}


def problem(
    code: str, detail: str, correlation_id: str | None, facts: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a problem document. ``facts`` (``errors``, ``items`` ...) become further members and replace none.

    Raises KeyError for a code that ``STATUS_OF_CODE`` does not contain.
    """
    status = STATUS_OF_CODE[code]
    document: dict[str, Any] = {
        "type": f"urn:holdfast:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": int(status),
        "detail": detail,
        "code": code,
    }
    if correlation_id is not None:
        document["correlation_id"] = correlation_id
    return document | {name: fact for name, fact in (facts or {}).items() if name not in document}


def problem_response(
    code: str,
    detail: str,
    correlation_id: str | None,
    facts: Mapping[str, Any] | None = None,
    *,
    retry_after_seconds: int | None = None,
) -> Response[Any]:
    """Return a problem as a Powertools response.

    It has a ``Retry-After`` header if seconds are given or ``RETRY_AFTER_SECONDS`` has the code.
    """
    document = problem(code, detail, correlation_id, facts)
    seconds = retry_after_seconds if retry_after_seconds is not None else RETRY_AFTER_SECONDS.get(code)
    return Response(
        status_code=document["status"],
        content_type=CONTENT_TYPE,
        body=json.dumps(document, default=str),
        headers={"Retry-After": str(seconds)} if seconds is not None else {},
    )


def response_for(error: HoldfastError, correlation_id: str | None) -> Response[Any]:
    """Return the response to an error. An error that is neither Rejected nor Transient is a bug and is raised again."""
    if isinstance(error, Transient):
        return problem_response(
            "unavailable",
            "the service cannot do this at the moment; the same request may succeed a little later",
            correlation_id,
            retry_after_seconds=error.retry_after_seconds,
        )
    if isinstance(error, Rejected):
        return problem_response(error.code, error.detail, correlation_id, error.facts)
    raise error


def stored_response(answer: Answer) -> Response[Any]:
    """Return a stored answer, byte for byte."""
    is_problem = answer.status >= HTTPStatus.BAD_REQUEST
    return Response(
        status_code=answer.status,
        content_type=CONTENT_TYPE if is_problem else "application/json",
        body=answer.body,
    )
