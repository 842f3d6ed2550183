"""Merges the OpenAPI documents of all functions into the one that is committed and served.

python -m local.openapi           write functions/api_docs/openapi.json
python -m local.openapi --check   fail when the committed document is not the current one
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
DOCUMENT: Final = ROOT / "functions" / "api_docs" / "openapi.json"
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "RFC 9457 problem details. `code` is stable; further members depend on it.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "correlation_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_ANSWERS: Final[dict[str, str]] = {
    "400": "The request is malformed, or lacks its Idempotency-Key.",
    "401": "Nobody vouches for the caller.",
    "402": "The gateway declined the payment method; the order can be paid again.",
    "403": "The caller may not do this.",
    "404": "There is no such thing, or it is somebody else's.",
    "409": "Out of stock, a changed price, a refused transition, or a request in progress.",
    "413": "The body is too large.",
    "422": "The request is well-formed and wrong; nothing was written.",
    "503": "Passing trouble: the same request may succeed after Retry-After seconds.",
}


def merged() -> dict[str, Any]:
    """The document, from the resolvers of all functions that have one."""
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "version": _version(),
            "description": "A serverless order backend: checkout, reservations, payments.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": {},
        "components": {
            "schemas": {"Problem": _PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }
    for folder in sorted((ROOT / "functions").iterdir()):
        app = getattr(_load(folder), "app", None) if (folder / "app.py").exists() else None
        if app is None:
            continue
        part = json.loads(app.get_openapi_json_schema())
        document["components"]["schemas"] |= part.get("components", {}).get("schemas", {})
        for path, operations in part["paths"].items():
            for operation in operations.values():
                _tell_answers(operation)
            document["paths"].setdefault(_braces(path), {}).update(operations)
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    document["paths"] = dict(sorted(document["paths"].items()))
    return document


def _tell_answers(operation: dict[str, Any]) -> None:
    """Every operation may answer with a problem; which ones follows from what it takes."""
    public = operation.get("security") == []
    successes = {code: answer for code, answer in operation["responses"].items() if code.startswith("2")}
    takes_body = "requestBody" in operation
    relevant = {"422", "503", "404"} | (set() if public else {"401", "403"}) | ({"400", "413"} if takes_body else set())
    if not public and takes_body:
        relevant |= {"402", "409"}
        successes["201"] = next(iter(successes.values()))
    if any(parameter["in"] == "header" for parameter in operation.get("parameters", ())):
        relevant |= {"400", "401"}
        successes["201"] = next(iter(successes.values()))
    if operation.get("tags") == ["Webhooks"]:
        relevant |= {"401", "413"}
    problems = {
        code: {
            "description": _ANSWERS[code],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for code in sorted(relevant)
    }
    operation["responses"] = dict(sorted((successes | problems).items()))


def _braces(path: str) -> str:
    return path.replace("<", "{").replace(">", "}")


def _version() -> str:
    for line in (ROOT / "pyproject.toml").read_text().splitlines():
        if line.startswith("version = "):
            return line.split('"')[1]
    raise ValueError("pyproject.toml names no version")


def _load(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"openapi_of_{folder.name}", folder / "app.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {folder}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> int:
    """Write or check; the exit status says whether the committed document is current."""
    text = json.dumps(merged(), indent=2, sort_keys=False) + "\n"
    if "--check" in sys.argv[1:]:
        if not DOCUMENT.exists() or DOCUMENT.read_text() != text:
            print("functions/api_docs/openapi.json is not current: run `make openapi` and commit it", file=sys.stderr)
            return 1
        return 0
    DOCUMENT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
