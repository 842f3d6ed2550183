"""Decodes a request body from API Gateway into a JSON object, strict about its form before its meaning is examined."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from holdfast.values.errors import InvalidInput, Rejected
from holdfast.web.card_numbers import holds_card_number

BODY_MAX_BYTES: Final = 256 * 1024
_JSON: Final = "application/json"


class MalformedRequest(Rejected):
    """The request is not JSON, not UTF-8, or lacks something that every such request needs."""

    code = "malformed_request"


class PayloadTooLarge(Rejected):
    """The body has more bytes than the route accepts."""

    code = "payload_too_large"


class UnsupportedMediaType(Rejected):
    """The body's Content-Type is something other than JSON."""

    code = "unsupported_media_type"


def raw_body_of(event: Mapping[str, Any], max_bytes: int) -> bytes:
    """Return the bytes that were sent. Raises PayloadTooLarge, or MalformedRequest for invalid base64."""
    text = event.get("body") or ""
    try:
        raw = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()
    except (binascii.Error, ValueError) as error:
        raise MalformedRequest("the body cannot be decoded") from error
    if len(raw) > max_bytes:
        raise PayloadTooLarge(f"a body has at most {max_bytes} bytes")
    return raw


def with_json_body(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event with its body decoded to text for ``read_json``.

    API Gateway encodes a body in base64 unless its Content-Type is a text type. Raises UnsupportedMediaType,
    PayloadTooLarge or MalformedRequest.
    """
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    media_type = headers.get("content-type", _JSON).partition(";")[0].strip().lower()
    if media_type != _JSON:
        raise UnsupportedMediaType(f"the body must be {_JSON}")
    try:
        body = raw_body_of(event, BODY_MAX_BYTES).decode()
    except UnicodeDecodeError as error:
        raise MalformedRequest("the body is not UTF-8") from error
    return {**event, "headers": headers | {"content-type": _JSON}, "body": body, "isBase64Encoded": False}


def read_json(text: str) -> dict[str, Any]:
    """Return a body's JSON object (RFC 8259: no NaN). Raises MalformedRequest, or InvalidInput for a card number."""
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:  # ValueError also for numbers of thousands of digits
        raise MalformedRequest("the body is not JSON") from error
    if not isinstance(document, dict):
        raise MalformedRequest("the body is not a JSON object")
    if holds_card_number(document):
        raise InvalidInput("the request holds what looks like a card number; send the gateway's token instead")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
