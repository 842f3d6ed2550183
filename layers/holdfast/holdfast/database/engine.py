"""The database engine of a function: a small pool of pipelined connections that never pin a session of RDS Proxy."""

import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import QueuePool

from holdfast.database.driver import PipelinedConnection, connect
from holdfast.settings import DatabaseAuthentication, DatabaseSettings

CONNECT_TIMEOUT_SECONDS: Final = 5
POOL_WAIT_MAX_SECONDS: Final = 10
CONNECTION_MAX_AGE_SECONDS: Final = 900
SILENCE_MAX_SECONDS: Final = 25
"""How long a server may vanish without a trace before its connection counts as lost. A statement may take longer: the
bound is on the network, where keepalive probes are answered while the server works."""


@lru_cache(maxsize=4)
def _verifying_tls(ca_file: str | None) -> ssl.SSLContext:
    """Return a TLS context that verifies the server, which pg8000's own default would not.

    It is cached, because building one reads every root certificate.
    """
    return ssl.create_default_context(cafile=ca_file)


def make_engine(database: DatabaseSettings) -> Engine:
    """Return an engine in autocommit mode. Only ``Database.transaction`` begins and commits, by explicit statements."""
    password = _password_source(database)
    # False, not None: None would try TLS without verifying the server, at the cost of one more round trip.
    tls = _verifying_tls(database.ca_file) if database.verify_tls else False

    def open_connection() -> PipelinedConnection:
        connection = connect(
            user=database.user,
            password=password(),
            host=database.host,
            port=database.port,
            database=database.name,
            timeout=CONNECT_TIMEOUT_SECONDS,
            ssl_context=tls,
            tcp_keepalive=True,
            application_name="holdfast",
        )
        _notice_silence(connection._usock)  # noqa: SLF001 -- pg8000 has no other way to its socket
        connection.autocommit = True
        return connection

    return create_engine(
        "postgresql+pg8000://",
        creator=open_connection,
        isolation_level="AUTOCOMMIT",
        poolclass=QueuePool,
        pool_size=database.pool_max_connections,
        max_overflow=0,
        pool_timeout=POOL_WAIT_MAX_SECONDS,
        pool_recycle=CONNECTION_MAX_AGE_SECONDS,
        pool_use_lifo=True,
        query_cache_size=500,
        hide_parameters=True,  # errors end up in logs, and parameters contain people's addresses
    )


def _notice_silence(sock: socket.socket) -> None:
    """Let the socket notice a dead peer. Waiting for an answer is not bounded here; ``statement_timeout`` bounds it."""
    sock.settimeout(None)
    for option, value in (
        ("TCP_KEEPIDLE", SILENCE_MAX_SECONDS - 15),
        ("TCP_KEEPINTVL", 5),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", SILENCE_MAX_SECONDS * 1000),
    ):
        if hasattr(socket, option):  # macOS has other names for some
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _password_source(database: DatabaseSettings) -> Callable[[], str | None]:
    if database.authentication is DatabaseAuthentication.PASSWORD:
        return lambda: database.password

    import boto3  # noqa: PLC0415 -- costs 90 ms that a password login does not need

    client = boto3.client("rds")  # created once: it reads the service's model, and every connection needs a token

    def iam_token() -> str:
        # A token is valid for 15 minutes and only needed while connecting, so one is made for each connection.
        return str(
            client.generate_db_auth_token(DBHostname=database.host, Port=database.port, DBUsername=database.user)
        )

    return iam_token
