"""Renders docs/api.md from the OpenAPI document: every route by its area, who may call it, what it takes and answers.

python -m generate.api_page           write docs/api.md
python -m generate.api_page --check   fail when the committed page is not the current one
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from local.children import ROOT
from local.documented import DOCUMENT

PAGE: Final = ROOT / "docs" / "api.md"
INTRODUCTION: Final = ROOT / "generate" / "api-introduction.md"
DEPTH_MAX: Final = 3
"""The depth to which fields are listed; the OpenAPI document has the rest."""
EVERYWHERE: Final = frozenset({"401", "403", "429", "503"})
"""Statuses that the introduction describes once for all routes."""

KEY: Final = "Idempotency-Key"

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Book:
    """All schemas by name, and the names of those that have a section of their own."""

    schemas: Mapping[str, Schema]
    sections: frozenset[str]


def page(document: Mapping[str, Any], introduction: str) -> str:
    """Return the page as it is committed."""
    book = Book(document["components"]["schemas"], frozenset(_shared(document) | _answered(document)))
    areas: dict[str, list[str]] = {}
    for path, method, operation in _operations(document):
        areas.setdefault(operation["tags"][0], []).append(_route(book, path, method, operation))
    shapes = _shapes(book)
    contents = "\n".join(f"- [{area}](#{_anchor(area)}): {len(routes)}" for area, routes in sorted(areas.items()))
    parts = [introduction.strip(), "## Areas\n\n" + contents]
    parts += [f"## {area}\n\n" + "\n\n".join(routes) for area, routes in sorted(areas.items())]
    parts.append("## Shapes\n\nWhat answers are made of, and what several routes take.\n\n" + "\n\n".join(shapes))
    return "\n\n".join(parts) + "\n"


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method.upper(), operation


def _route(book: Book, path: str, method: str, operation: Mapping[str, Any]) -> str:
    lines = [f"### {method} {path}", "", f"**{operation['summary']}.** {_words(operation.get('description', ''))}"]
    rows = [
        f"| `{parameter['name']}` ({parameter['in']}{'' if parameter.get('required') else ', optional'}) "
        f"| {_type(book, parameter['schema'])} | {_cell(parameter.get('description', ''))} |"
        for parameter in operation.get("parameters", ())
        if parameter["name"] != KEY
    ]
    if any(parameter["name"] == KEY for parameter in operation.get("parameters", ())):
        rows.insert(0, f"| `{KEY}` (header) | string (1..255) | |")
    body = _content(operation.get("requestBody"))
    if body:
        rows += _body_rows(book, body)
    if rows:
        lines += ["", "| takes | type | |", "|---|---|---|", *rows]
    lines += ["", _answers(book, operation)]
    return "\n".join(lines)


def _answers(book: Book, operation: Mapping[str, Any]) -> str:
    told, refused = [], []
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            schema = _content(answer)
            told.append(f"{status} {_type(book, schema)}" if schema else status)
        elif status not in EVERYWHERE:
            refused.append(f"{status} {_codes(answer)}".strip())
    text = f"Answers {', '.join(told)}."
    return text + (f" Refuses with {'; '.join(refused)}." if refused else "")


def _codes(answer: Mapping[str, Any]) -> str:
    return ", ".join(f"`{code}`" for code in answer["description"].split(", "))


def _body_rows(book: Book, schema: Schema) -> list[str]:
    """Return one line for each field of the body. A shape that several routes share is a link."""
    return [
        f"| `{name}`{'' if is_required else ' (optional)'} | {_type(book, field)} "
        f"| {_cell(field.get('description', ''))} |"
        for name, field, is_required in _fields(book, schema, "", 1)
    ]


def _fields(book: Book, schema: Schema, before: str, depth: int) -> Iterator[tuple[str, Schema, bool]]:
    found = _resolved(book, schema)
    for name, field in found.get("properties", {}).items():
        yield before + name, field, name in found.get("required", ())
        inner, mark = _inner(field)
        if depth < DEPTH_MAX and inner is not None and _name(inner) not in book.sections:
            yield from _fields(book, inner, f"{before}{name}{mark}.", depth + 1)


def _inner(field: Schema) -> tuple[Schema | None, str]:
    """Return the object inside a field, and how its path is written."""
    for choice in (field, *field.get("anyOf", ())):
        if "$ref" in choice:
            return choice, ""
        if choice.get("type") == "array" and "$ref" in choice.get("items", {}):
            return choice["items"], "[]"
    return None, ""


def _shapes(book: Book) -> list[str]:
    shapes = []
    for name in sorted(book.sections):
        schema = book.schemas[name]
        rows = [
            f"| `{path}` | {_type(book, field)} | {_cell(field.get('description', ''))} |"
            for path, field, _ in _fields(book, schema, "", DEPTH_MAX)
        ]
        if rows:
            table = "\n".join(["| field | type | |", "|---|---|---|", *rows])
            shapes.append(
                f"### {name}\n\n{_words(schema.get('description', ''))}\n\n{table}".replace("\n\n\n\n", "\n\n")
            )
    return shapes


def _answered(document: Mapping[str, Any]) -> set[str]:
    """Return the name of every object that an answer is or contains."""
    schemas = document["components"]["schemas"]
    found: set[str] = set()
    waiting = [
        _content(answer)
        for _, _, operation in _operations(document)
        for status, answer in operation["responses"].items()
        if status.startswith("2")
    ]
    while waiting:
        for name in re.findall(r"#/components/schemas/(\w+)", json.dumps(waiting.pop())):
            if name not in found:
                found.add(name)
                waiting.append(schemas[name])
    return {name for name in found if "properties" in schemas[name]}


def _shared(document: Mapping[str, Any]) -> set[str]:
    """Return the names of the objects that more than one schema refers to."""
    counted = Counter(re.findall(r"#/components/schemas/(\w+)", json.dumps(document["components"]["schemas"])))
    schemas = document["components"]["schemas"]
    return {name for name, times in counted.items() if times > 1 and "properties" in schemas[name]}


def _resolved(book: Book, schema: Schema) -> Schema:
    name = _name(schema)
    found: Schema = book.schemas[name] if name else schema
    return found


def _name(schema: Schema) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _content(part: Mapping[str, Any] | None) -> Schema:
    media = (part or {}).get("content", {})
    found: Schema = media.get("application/json", {}).get("schema", {})
    return found


def _type(book: Book, schema: Schema) -> str:
    """Return a type in a few words with its bounds. An object that has a section of its own is given by its name."""
    if "$ref" in schema:
        found = _resolved(book, schema)
        if "properties" not in found:
            return _type(book, found)
        name = _name(schema)
        has_section = name in book.sections
        return f"[{name}](#{_anchor(name)})" if has_section else "object"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(book, choice) for choice in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return " \\| ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(book, schema.get('items', {}))}{_bounds(schema, 'minItems', 'maxItems')}"
    kind = str(schema.get("format") or schema.get("type") or "any")
    return kind + (_bounds(schema, "minimum", "maximum") or _bounds(schema, "minLength", "maxLength"))


def _bounds(schema: Schema, low: str, high: str) -> str:
    least, most = schema.get(low), schema.get(high)
    if least is None and most is None:
        return ""
    return f" ({_figure(least)}..{_figure(most)})"


def _figure(bound: float | None) -> str:
    return "" if bound is None else f"{bound:.0f}" if bound == int(bound) else str(bound)


def _anchor(text: str) -> str:
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def _words(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Write or check the page. The exit status says whether the committed page is current."""
    current = page(json.loads(DOCUMENT.read_text()), INTRODUCTION.read_text())
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text() != current:
            print("docs/api.md is not current: run `make api-docs` and commit it", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(current)
    return 0


if __name__ == "__main__":
    sys.exit(main())
