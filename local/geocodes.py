"""Reference data of postal codes for the local system: what ships with the code, or a file of one's own."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from holdfast.flows.addresses.import_geocodes import import_geocodes, import_shipped_geocodes
from holdfast.runtime import Runtime
from holdfast.settings import settings_from
from local.system import ARCHIVE_BUCKET, ARCHIVE_KEY_SECRET, LocalSystem


def import_shipped(system: LocalSystem) -> None:
    """Import what ships with the code, unless it is there."""
    with system_runtime(system) as runtime:
        import_shipped_geocodes(runtime, _now)


def import_file(system: LocalSystem, path: Path, source: str | None, version: str) -> list[str]:
    """Import a CSV file; what became of it, in words. Raises ``ValueError`` for a file of another form, ``OSError``."""
    begin = time.monotonic()
    with _opened(path) as lines, system_runtime(system) as runtime:
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


@contextmanager
def system_runtime(system: LocalSystem, role_name: str = "holdfast_system") -> Iterator[Runtime]:
    """A runtime of the running system, in the role of its schedules unless another is named."""
    role = system.database_as(role_name)
    runtime = Runtime(
        settings_from(
            {
                "DATABASE_HOST": role.host,
                "DATABASE_PORT": str(role.port),
                "DATABASE_NAME": role.database,
                "DATABASE_USER": role.user,
                "DATABASE_PASSWORD": role.password or "",
                "DATABASE_AUTHENTICATION": "password",
                "DATABASE_TLS": "off",
                "ARCHIVE_KEY_SECRET": ARCHIVE_KEY_SECRET,
                "ARCHIVE_BUCKET": ARCHIVE_BUCKET,
            }
        )
    )
    try:
        yield runtime
    finally:
        runtime.database.engine.dispose()
