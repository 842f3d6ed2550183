"""A real PostgreSQL for the local system and for the tests.

It is the server that DATABASE_URL names, or an embedded one, which listens on a free port of 127.0.0.1 only, requires a
password (scram-sha-256) and ends with the process that started it.

The roles: `postgres` is the cluster's superuser and used for administration alone. `holdfast_master` owns databases and
may create roles, as the master user of a managed cluster does; migrations run as it.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pg8000.native

from local.launch import command
from local.postgres_cluster import (
    POLL_SECONDS,
    STOP_TIMEOUT_SECONDS,
    SUPERUSER,
    PostgresUnavailable,
    choose_identity,
    clear_stale_lock,
    find_binaries,
    initialize,
)

START_TIMEOUT_SECONDS = 30.0
PORT_ATTEMPTS = 5
MAX_CONNECTIONS = 200
LOG_MAX_LINES = 12
MASTER = "holdfast_master"
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a database and how to log in."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    may_encrypt: bool = False
    """Whether to ask for TLS. An embedded server has none, and preparing for it takes longer than everything else."""

    @property
    def url(self) -> str:
        """`postgresql://user:password@host:port/database`."""
        return (
            f"postgresql://{quote(self.user, safe='')}:{quote(self.password, safe='')}"
            f"@{self.host}:{self.port}/{quote(self.database, safe='')}"
        )

    @classmethod
    def parse(cls, url: str) -> Address:
        """Reads a `postgresql://` URL, with or without a `+driver`. Raises PostgresUnavailable for another scheme."""
        parts = urlsplit(url)
        if not parts.scheme.startswith("postgres"):
            raise PostgresUnavailable(f"DATABASE_URL must begin with postgresql://, not {parts.scheme}://")
        return cls(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 5432,
            user=unquote(parts.username or SUPERUSER),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.lstrip("/")) or SUPERUSER,
            may_encrypt=True,
        )

    def connect(self) -> pg8000.native.Connection:
        """Return a plain connection, which the caller closes."""
        return pg8000.native.Connection(
            self.user,
            host=self.host,
            port=self.port,
            database=self.database,
            password=self.password,
            timeout=30,
            ssl_context=None if self.may_encrypt else False,
        )

    def execute(self, *statements: str) -> list[list[Any]]:
        """Runs statements one by one on a connection of their own, each committed. Returns the rows of the last one."""
        connection = self.connect()
        try:
            rows: list[list[Any]] = []
            for statement in statements:
                rows = [list(row) for row in connection.run(statement) or []]
            return rows
        finally:
            connection.close()


@dataclass(slots=True)
class Server:
    """A running PostgreSQL, embedded or not. `admin` may create databases and roles."""

    admin: Address
    master: Address
    process: subprocess.Popen[bytes] | None = None
    version: str = ""
    relaunch: Callable[[], subprocess.Popen[bytes]] | None = field(default=None, repr=False)
    log: Path | None = None
    """The log file of an embedded server."""

    @property
    def is_embedded(self) -> bool:
        """Whether this process started the server and will stop it."""
        return self.process is not None

    def create_database(self, name: str, *, template: str | None = None) -> Address:
        """Creates a database, empty or as a copy of `template` (20 to 60 ms). Returns its address as the master.

        Nobody may be connected to the template meanwhile.
        """
        source = f" TEMPLATE {_identifier(template)}" if template else ""
        self.admin.execute(f"CREATE DATABASE {_identifier(name)} OWNER {_identifier(self.master.user)}{source}")
        return self.master_of(name)

    def master_of(self, database: str) -> Address:
        """Return the master's address of a database."""
        return replace(self.master, database=database)

    def drop_database(self, name: str) -> None:
        """Drops a database and disconnects whoever uses it. A missing one is fine."""
        self.admin.execute(f"DROP DATABASE IF EXISTS {_identifier(name)} WITH (FORCE)")

    def has_database(self, name: str) -> bool:
        """Whether the database exists."""
        return bool(self.admin.execute(f"SELECT 1 FROM pg_database WHERE datname = '{_identifier(name)}'"))

    def stop(self) -> None:
        """Stops an embedded server (fast shutdown: clients are disconnected, data is written).

        Leaves any other server alone.
        """
        if self.process is None or self.process.poll() is not None:
            return
        # Fast, then immediate, as `pg_ctl stop` does. Even SIGKILL, the last resort, loses nothing that was committed.
        for ending in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            self.process.send_signal(ending)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_TIMEOUT_SECONDS)
                return

    def restart(self) -> None:
        """Stops an embedded server immediately, and starts it again at the same address.

        Clients are disconnected and nothing is written, so it recovers from its WAL. Raises PostgresUnavailable for a
        server that is not embedded.
        """
        if self.process is None or self.relaunch is None:
            raise PostgresUnavailable("only an embedded server can be restarted")
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(STOP_TIMEOUT_SECONDS)
        self.process = self.relaunch()


def _identifier(name: str) -> str:
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError(f"{name!r} is not a plain SQL identifier")
    return name


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody is listening on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _settings(port: int, *, durable: bool, extra: Mapping[str, str]) -> list[str]:
    values = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": str(MAX_CONNECTIONS),
        "shared_buffers": "256MB" if durable else "128MB",
        "max_wal_size": "2GB",
        "password_encryption": "scram-sha-256",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %u@%d ",
        "dynamic_shared_memory_type": "mmap",
    }
    if not durable:
        values |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return [argument for name, value in (values | dict(extra)).items() for argument in ("-c", f"{name}={value}")]


def _start(program: list[str], admin: Address, log: Path) -> subprocess.Popen[bytes]:
    """Starts the server and waits until it answers. Raises PostgresUnavailable with the end of its log."""
    with log.open("ab") as output:
        # A session of its own, so that Ctrl-C reaches the process that stops the server in good order, not the server.
        process = subprocess.Popen(
            program, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL_SECONDS)
            break
        with suppress(Exception):
            admin.execute("SELECT 1")
            return process
    process.kill()
    process.wait()
    said = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_MAX_LINES:])
    raise PostgresUnavailable(f"PostgreSQL did not start:\n{said}\n(the whole log: {log})")


def kept_password(path: Path) -> str:
    """Return the password in a file. It is generated the first time, from letters, digits, - and _."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(24))
    return path.read_text()


def _ensure_master(admin: Address, password: str) -> Address:
    exists = admin.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{MASTER}'")
    verb = "ALTER" if exists else "CREATE"
    admin.execute(f"{verb} ROLE {MASTER} WITH LOGIN CREATEROLE CREATEDB NOSUPERUSER NOBYPASSRLS PASSWORD '{password}'")
    return replace(admin, user=MASTER)


def _start_embedded(folder: Path, *, durable: bool, extra: Mapping[str, str]) -> Server:
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    binaries = find_binaries()
    identity = choose_identity(binaries, folder)
    password = kept_password(folder / "password")
    data = folder / "data"
    if not (data / "PG_VERSION").exists():
        initialize(binaries, data, identity, password, durable=durable)
    clear_stale_lock(data)
    failure: PostgresUnavailable | None = None
    for _ in range(PORT_ATTEMPTS):
        # Each attempt uses another port, and leaves time for leftovers of a killed server to notice and go.
        admin = Address("127.0.0.1", free_port(), SUPERUSER, password, "postgres")
        program = [str(binaries / "postgres"), "-D", str(data), *_settings(admin.port, durable=durable, extra=extra)]
        launched = command(program, identity=identity, folder=folder, death_signal=signal.SIGINT)
        launch = partial(_start, launched, admin, folder / "postgres.log")
        try:
            process = launch()
        except PostgresUnavailable as problem:
            failure = problem
            if not re.search(r"could not bind|still in use|Address already in use", str(problem)):
                break
            time.sleep(0.2)
            continue
        server = Server(admin, replace(admin, user=MASTER), process, relaunch=launch, log=folder / "postgres.log")
        try:
            server.master = _ensure_master(admin, password)
            server.version = str(admin.execute("SHOW server_version")[0][0])
        except BaseException:
            server.stop()
            raise
        return server
    raise failure or PostgresUnavailable("PostgreSQL did not start")


def start(folder: Path, *, durable: bool = True, settings: Mapping[str, str] | None = None) -> Server:
    """Starts a PostgreSQL, or connects to that of DATABASE_URL if set, and returns it. The caller stops it.

    `folder` keeps the data from one start to the next. `durable=False` is for tests: no fsync. `settings` are further
    server parameters. Call it from a thread that lives as long as the server should, because Linux ends the server with
    the thread that started it. Raises PostgresUnavailable.
    """
    if url := os.environ.get("DATABASE_URL"):
        admin = Address.parse(url)
        try:
            version = str(admin.execute("SHOW server_version")[0][0])
        except Exception as problem:
            raise PostgresUnavailable(f"DATABASE_URL is set, but its server does not answer: {problem}") from problem
        return Server(admin, admin, None, version)
    return _start_embedded(folder, durable=durable, extra=settings or {})


@contextmanager
def running(folder: Path, *, durable: bool = True, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """`start` as a context manager: the server is stopped at the end."""
    server = start(folder, durable=durable, settings=settings)
    try:
        yield server
    finally:
        server.stop()
