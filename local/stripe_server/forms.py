"""Stripe's request encoding: form fields whose names carry the structure (``metadata[order_id]``, ``expand[]``)."""

import re
from typing import Any, Final
from urllib.parse import parse_qsl

from local.stripe_server.errors import invalid_request

Params = dict[str, Any]

_NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART: Final = re.compile(r"\[([^\[\]]*)\]")
_FIELDS_MAX: Final = 500


def decode(raw: bytes) -> Params:
    """Return nested dictionaries and lists from a form body or query string.

    Raises ``StripeError`` if it is malformed.
    """
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, strict_parsing=bool(raw), max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise invalid_request("Invalid request: the body is not form-encoded.") from None
    params: Params = {}
    for name, value in pairs:
        _put(params, name, value)
    return {name: _lists(value) for name, value in params.items()}


def _put(params: Params, name: str, value: str) -> None:
    matched = _NAME.fullmatch(name)
    if not matched:
        raise invalid_request(f"Invalid parameter name: {name}", param=name)
    path = [matched[1], *_PART.findall(matched[2])]
    node = params
    for part in path[:-1]:
        node = node.setdefault(part or str(len(node)), {})
        if not isinstance(node, dict):
            raise invalid_request(f"Invalid hash: {name}", param=name)
    node[path[-1] or str(len(node))] = value


def _lists(value: Any) -> Any:
    """Turn hashes whose keys are 0, 1, 2... into lists."""
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(item) for name, item in value.items()}
    if inner and list(inner) == [str(place) for place in range(len(inner))]:
        return list(inner.values())
    return inner


def integer(params: Params, name: str, *, required: bool = False) -> int | None:
    """Return a whole number, or None if it is absent."""
    value = params.get(name)
    if value is None:
        if required:
            raise invalid_request(f"Missing required param: {name}.", code="parameter_missing", param=name)
        return None
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,18}", value):
        raise invalid_request(f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)
    return int(value)


def boolean(params: Params, name: str) -> bool:
    """Return ``true`` or ``false`` as a boolean. Absent means false."""
    value = params.get(name, "false")
    if value not in {"true", "false"}:
        raise invalid_request(f"Invalid boolean: {value}", param=name)
    return bool(value == "true")


def text(params: Params, name: str, *, required: bool = False) -> str | None:
    """Return a string, or None if it is absent or empty."""
    value = params.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid_request(f"Invalid string: {value}", param=name)
    if not value and required:
        raise invalid_request(f"Missing required param: {name}.", code="parameter_missing", param=name)
    return value or None


def texts(params: Params, name: str) -> list[str]:
    """Return a list of strings, empty if absent."""
    value = params.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise invalid_request("Invalid array", param=name)
    return value


def metadata(params: Params) -> dict[str, str]:
    """Return up to 50 pairs, with names of up to 40 characters and values of up to 500. Empty values are left out."""
    value = params.get("metadata", {})
    if value == "":
        return {}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise invalid_request("Invalid hash", param="metadata")
    if len(value) > 50:
        raise invalid_request("You can only set up to 50 metadata keys on an object", param="metadata")
    for name, item in value.items():
        if len(name) > 40:
            raise invalid_request("Metadata keys can have up to 40 characters", param=f"metadata[{name}]")
        if len(item) > 500:
            raise invalid_request("Metadata values can have up to 500 characters", param=f"metadata[{name}]")
    return {name: item for name, item in value.items() if item}


def refuse_unknown(params: Params, known: frozenset[str]) -> None:
    """Raise ``StripeError`` for a parameter that Stripe does not have. Stripe refuses it instead of ignoring it."""
    unknown = sorted(params.keys() - known)
    if unknown:
        names = ", ".join(unknown)
        plural = "s" if len(unknown) > 1 else ""
        raise invalid_request(
            f"Received unknown parameter{plural}: {names}", code="parameter_unknown", param=unknown[0]
        )
