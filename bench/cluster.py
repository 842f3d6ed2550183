"""A PostgreSQL of the benchmark's own: durable (fsync on), with pg_stat_statements, and gone at the end."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from holdfast.database.migrations.run import upgrade
from local import postgres
from local.postgres import Address, Server
from local.postgres_cluster import find_binaries

ROLE_PASSWORD: Final = "only-for-benchmarks"
APP_ROLE: Final = "holdfast_app"
SYSTEM_ROLE: Final = "holdfast_system"
SETTINGS: Final = {
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "top",
    "pg_stat_statements.track_planning": "on",
    "track_io_timing": "off",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
}
"""Settings that avoid checkpoints: one in the middle of one side of a comparison would be charged to that side."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running server and what is needed to work with it."""

    server: Server
    binaries: Path

    def create(self, name: str, template: str | None = None) -> Address:
        """Create a database, with the current schema or as a copy of ``template``.

        Return its address as the superuser.
        """
        owner = self.server.create_database(name, template=template)
        admin = replace(self.server.admin, database=name)
        if template is None:
            upgrade(owner.url, role_password=ROLE_PASSWORD)
            first = datetime.now(UTC).date() - timedelta(days=31)
            admin.execute(f"SELECT operations.make_partitions('{first}', 4)", "CREATE EXTENSION pg_stat_statements")
        return admin

    def drop(self, name: str) -> None:
        """Drop a database and disconnect whoever uses it."""
        self.server.drop_database(name)

    def backend_cpu_seconds(self) -> float:
        """Return the CPU seconds of all backends that have ended.

        The postmaster waits for them, so the kernel adds them up.
        """
        if self.server.process is None:
            return 0.0
        fields = Path(f"/proc/{self.server.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def end_in_good_order() -> None:
    """Let SIGTERM end this process as Ctrl-C does: through every ``finally``, so that nothing is left behind."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@contextmanager
def cluster(**settings: str) -> Iterator[Cluster]:
    """Run a durable throw-away server. DATABASE_URL is ignored, so that nobody's own database is measured."""
    os.environ.pop("DATABASE_URL", None)
    end_in_good_order()
    folder = Path(tempfile.mkdtemp(prefix="holdfast-bench-"))
    try:
        with postgres.running(folder, durable=True, settings=SETTINGS | settings) as server:
            yield Cluster(server, find_binaries())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def connected(admin: Address) -> Iterator[Engine]:
    """Open an engine in autocommit, for what the benchmark itself asks of a database."""
    url = URL.create("postgresql+pg8000", admin.user, admin.password, admin.host, admin.port, admin.database)
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        yield engine
    finally:
        engine.dispose()


def run_sql(engine: Engine, statement: str, **parameters: object) -> None:
    """Run one statement as superuser."""
    with engine.connect() as connection:
        connection.execute(text(statement), parameters)


def run_statements(engine: Engine, statements: str) -> None:
    """Run a file of statements without parameters as superuser."""
    with engine.connect() as connection:
        connection.exec_driver_sql(statements)
