"""Merges the OpenAPI documents of all functions into the one that is committed and served.

python -m generate.openapi           write functions/api_docs/openapi.json
python -m generate.openapi --check   fail when the committed document is not the current one

Answers are declared beside each route (holdfast.web.routes) by the name of a model of holdfast.web.views. Here those
models become schemas, so that no function has to carry them.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from holdfast.web.views import ANSWERS
from local.children import ROOT
from local.documented import DOCUMENT

_REF: Final = "#/components/schemas/{model}"
# Powertools adds these to every document, but holdfast.web reports errors in a form of its own.
_FOREIGN: Final = ("HTTPValidationError", "ValidationError", "ResponseValidationError")


def merged() -> dict[str, Any]:
    """Return the document, merged from every function that has a resolver.

    Raises ValueError for two schemas of the same name.
    """
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "version": tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"],
            "description": "A serverless order backend: checkout, reservations, payments.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": {},
        "components": {
            "schemas": _answers(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }
    for folder in sorted((ROOT / "functions").iterdir()):
        app = getattr(_load(folder), "app", None) if (folder / "app.py").exists() else None
        if app is None:
            continue
        part = json.loads(app.get_openapi_json_schema())
        _add_schemas(document["components"]["schemas"], part.get("components", {}).get("schemas", {}))
        for path, operations in part["paths"].items():
            for operation in operations.values():
                _tidy(operation)
            document["paths"].setdefault(path, {}).update(operations)
    document["paths"] = dict(sorted(document["paths"].items()))
    document["components"]["schemas"] = dict(sorted(document["components"]["schemas"].items()))
    return document


def _answers() -> dict[str, Any]:
    _, schemas = models_json_schema([(model, "serialization") for model in ANSWERS], ref_template=_REF)
    found: dict[str, Any] = schemas["$defs"]
    return found


def _add_schemas(known: dict[str, Any], more: dict[str, Any]) -> None:
    for name, schema in more.items():
        if name not in _FOREIGN and known.setdefault(name, schema) != schema:
            raise ValueError(f"two schemas are called {name}")


def _tidy(operation: dict[str, Any]) -> None:
    """Remove what Powertools assumes and the function never answers, and spell header names as they are sent."""
    operation["responses"] = {
        status: answer
        for status, answer in sorted(operation["responses"].items())
        if not any(foreign in json.dumps(answer) for foreign in _FOREIGN)
    }
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "header":
            parameter["name"] = parameter["schema"]["title"]


def _load(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"openapi_of_{folder.name}", folder / "app.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {folder}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text() -> str:
    """Return the document as it is committed."""
    return json.dumps(merged(), indent=2) + "\n"


def main() -> int:
    """Write or check the document. The exit status says whether the committed document is current."""
    current = text()
    if "--check" in sys.argv[1:]:
        if not DOCUMENT.exists() or DOCUMENT.read_text() != current:
            print("functions/api_docs/openapi.json is not current: run `make api-docs` and commit it", file=sys.stderr)
            return 1
        return 0
    DOCUMENT.write_text(current)
    return 0


if __name__ == "__main__":
    sys.exit(main())
