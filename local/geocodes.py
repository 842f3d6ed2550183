"""Reference data of postal codes for the local system: what ships with the code, or a file of one's own."""

from __future__ import annotations

import gzip
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from holdfast.flows.addresses.import_geocodes import import_geocodes, import_shipped_geocodes
from local.runtimes import runtime_of
from local.system import LocalSystem


def import_shipped(system: LocalSystem) -> None:
    """Import the data that ships with the code, unless it is there already."""
    with runtime_of(system) as runtime:
        import_shipped_geocodes(runtime, _now)


def import_file(system: LocalSystem, path: Path, source: str | None, version: str) -> list[str]:
    """Import a CSV file and return a report, one line each.

    Raises ``ValueError`` for a file of another format, and ``OSError``.
    """
    begin = time.monotonic()
    with _opened(path) as lines, runtime_of(system) as runtime:
        told = import_geocodes(runtime, lines, _now, data_source=source or path.name, dataset_version=version)
    summary = (
        f"{told.rows} rows in {time.monotonic() - begin:.1f} s: {told.added} added, {told.changed} changed, "
        f"{told.unchanged} as they were, {told.repeated} named twice, {told.bad} bad"
    )
    return [summary, *(f"line {bad.line}: {bad.problem}" for bad in told.bad_rows)]


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _now() -> datetime:
    return datetime.now(UTC)
