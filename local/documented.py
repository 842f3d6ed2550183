"""Checks that an answer is one that the committed OpenAPI document declares."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

import jsonschema  # type: ignore[import-untyped]

from local.children import ROOT

DOCUMENT: Final = ROOT / "functions" / "api_docs" / "openapi.json"


def check_documented(route: str, status: int, content_type: str, raw: str) -> None:
    """Raises AssertionError or ValidationError unless the document declares this status, content type and form of body
    for the route (`METHOD /path/{name}`)."""
    method, path = route.split(" ")
    responses = document()["paths"][path][method.lower()]["responses"]
    assert str(status) in responses, f"{route} answered {status}, which is not documented: {raw}"  # noqa: S101 (a check)
    content = responses[str(status)]["content"]
    assert content_type in content, f"{route} answered {content_type} with {status}"  # noqa: S101 (as above)
    schema = {**content[content_type]["schema"], "components": document()["components"]}
    jsonschema.Draft202012Validator(schema).validate(raw if content_type == "text/plain" else json.loads(raw))


@cache
def document() -> dict[str, Any]:
    """Return the committed OpenAPI document."""
    loaded: dict[str, Any] = json.loads(DOCUMENT.read_text())
    return loaded
