"""HTTP as a function sees it: API Gateway's payload format 2.0, in both directions."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from local.model import ACCOUNT

Headers = list[tuple[bytes, bytes]]
RESPONSE_MAX_BYTES = 6 * 1024 * 1024
"""The largest answer that Lambda passes on, in bytes."""
_TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml", "application/problem+json")
_TEXT_SUFFIXES = ("+json", "+xml")


class MalformedAnswer(ValueError):
    """API Gateway could not turn the function's answer into HTTP."""


@dataclass(frozen=True, slots=True)
class Request:
    """What came over the wire, and the route that it took."""

    method: str
    path: str
    query: str
    headers: Iterable[tuple[bytes, bytes]]
    body: bytes
    client: str
    port: int
    http_version: str
    request_id: str
    route_key: str
    path_parameters: Mapping[str, str]
    claims: Mapping[str, str] | None


def event(request: Request) -> dict[str, Any]:
    """Return the event that API Gateway would make of a request."""
    headers, cookies = _headers(request)
    now = time.time()
    context: dict[str, Any] = {
        "accountId": ACCOUNT,
        "apiId": "local",
        "domainName": headers.get("host", ""),
        "domainPrefix": "local",
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": f"HTTP/{request.http_version}",
            "sourceIp": request.client,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request.request_id,
        "routeKey": request.route_key,
        "stage": "$default",
        "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now * 1000),
    }
    if request.claims is not None:
        context["authorizer"] = {"jwt": {"claims": dict(request.claims), "scopes": None}}
    result: dict[str, Any] = {
        "version": "2.0",
        "routeKey": request.route_key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": False,
    }
    if cookies:
        result["cookies"] = cookies
    if request.query:
        result["queryStringParameters"] = _query_parameters(request.query)
    if request.path_parameters:
        result["pathParameters"] = dict(request.path_parameters)
    if request.body:
        result["body"], result["isBase64Encoded"] = _body(request.body, headers.get("content-type", ""))
    return result


def _headers(request: Request) -> tuple[dict[str, str], list[str]]:
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, raw_value in request.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "cookie":
            cookies += [cookie.strip() for cookie in value.split(";") if cookie.strip()]
        else:
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    forwarded = headers.get("x-forwarded-for")
    headers["x-forwarded-for"] = f"{forwarded}, {request.client}" if forwarded else request.client
    headers.setdefault("x-forwarded-port", str(request.port))
    headers.setdefault("x-forwarded-proto", "http")
    headers.setdefault("x-amzn-trace-id", f"Root=1-{int(time.time()):08x}-{request.request_id.replace('-', '')[:24]}")
    return headers, cookies


def _query_parameters(query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    return parameters


def _body(body: bytes, content_type: str) -> tuple[str, bool]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith(_TEXT_TYPES) or kind.endswith(_TEXT_SUFFIXES):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass  # it claims to be text and is not: as bytes it arrives unharmed
    return base64.b64encode(body).decode("ascii"), True


def response(answer: Any) -> tuple[int, Headers, bytes]:
    """Return status, headers and body of a function's answer.

    An answer without a statusCode is the body of a 200, as the payload format says. Raises MalformedAnswer.
    """
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return 200, [(b"content-type", b"application/json")], json.dumps(answer).encode()
    try:
        status = int(answer["statusCode"])
        headers = [
            (str(name).lower().encode("latin-1"), _scalar(name, value).encode("latin-1"))
            for name, value in (answer.get("headers") or {}).items()
        ]
        headers += [(b"set-cookie", str(cookie).encode("latin-1")) for cookie in answer.get("cookies") or ()]
        body = _answer_body(answer)
    except (TypeError, ValueError, AttributeError, binascii.Error) as problem:
        raise MalformedAnswer(str(problem)) from problem
    if not 100 <= status <= 599:
        raise MalformedAnswer(f"{status} is no HTTP status")
    if len(body) > RESPONSE_MAX_BYTES:
        raise MalformedAnswer(f"the body has {len(body)} bytes, more than Lambda's {RESPONSE_MAX_BYTES}")
    headers = [header for header in headers if header[0] not in (b"content-length", b"connection")]
    if not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", b"text/plain;charset=UTF-8"))
    return status, headers, body


def _scalar(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(f"the header {name} is no text")


def _answer_body(answer: Mapping[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise TypeError("the body is no text")
    return base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else body.encode()
