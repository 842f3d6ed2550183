"""What a built function may weigh and import. A breach fails the run; times are reported and never fail it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

MEGABYTE: Final = 1_000_000
UNZIPPED_MAX_MB: Final = 76
"""The size of a function with its layers; a fourth of it is bytecode. Lambda's own limit is 250 MB, but loading from a
cold disk takes time long before that."""
UNZIPPED_MAX_MB_OF: Final = {"cold_export": 200, "migrate": 86}

_ARCHIVE: Final = frozenset({"archival", "archive_verification", "archive_operations", "cold_export", "customer_data"})
_SEAL: Final = _ARCHIVE | {"orders", "dead_letters", "dlq_retries", "payment_events", "payment_webhooks"}

IMPORTED_BY: Final[dict[str, frozenset[str]]] = {
    "alembic": frozenset({"migrate"}),
    "cryptography": _SEAL,
    "duckdb": frozenset(),
    "jinja2": frozenset({"notifications"}),
    "local": frozenset(),
    "moto": frozenset(),
    "numpy": frozenset({"cold_export"}),
    "pandas": frozenset(),
    "pyarrow": frozenset({"cold_export"}),
    "pytest": frozenset(),
    "sqlalchemy.orm": frozenset(),
}
"""Packages that only these functions may import, at any time."""

IMPORTED_AT_INIT_BY: Final[dict[str, frozenset[str]]] = {
    "boto3": frozenset({"migrate"}),
    "botocore.client": frozenset({"migrate"}),
    "cryptography": frozenset(),
    "holdfast.web.views": frozenset(),
    "holidays": frozenset(),
    "jinja2": frozenset(),
    "pyarrow": frozenset({"cold_export"}),
}
"""Packages that only these functions may import before their first event, because every cold start pays for them."""


def breaches(function: str, size_bytes: int, at_init: Collection[str], ever: Collection[str]) -> Iterator[str]:
    """Yield what is over budget, one sentence each."""
    limit = UNZIPPED_MAX_MB_OF.get(function, UNZIPPED_MAX_MB)
    if size_bytes > limit * MEGABYTE:
        yield f"{function} unzips to {size_bytes / MEGABYTE:.0f} MB with its layers; {limit} MB are allowed"
    for when, table, imported in (("", IMPORTED_BY, ever), (" at its start", IMPORTED_AT_INIT_BY, at_init)):
        for package, allowed in table.items():
            if function not in allowed and package in imported:
                yield f"{function} imports {package}{when}"
