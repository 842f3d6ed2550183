"""The canonical text of a document by a second opinion: in Python, without PostgreSQL."""

import json
from collections.abc import Mapping
from typing import Any


def canonical_text(value: Any) -> str:
    """Return the canonical text of a document.

    Keys are sorted by length and then by bytes, separators are ``", "`` and ``": "``, and characters beyond ASCII are
    not escaped. This reproduces the text of PostgreSQL's jsonb, so that a document can be checked without a database.
    """
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return (
            "{"
            + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {canonical_text(value[key])}" for key in keys)
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(canonical_text(item) for item in value) + "]"
    if isinstance(value, _Number):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


class _Number(str):
    """A number with its original spelling: 1.50 is not 1.5."""

    __slots__ = ()


def parse_exactly(text: str) -> Any:
    """Parse a document and keep the spelling of its numbers."""
    return json.loads(text, parse_float=_Number)
