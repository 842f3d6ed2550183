"""Talking to the database as one of its roles, and undoing everything afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

from local.postgres import Address
from tests.premises import ROLE_PASSWORD

APP = "holdfast_app"
SYSTEM = "holdfast_system"
SCHEMAS = (
    "tenancy",
    "operations",
    "catalog",
    "inventory",
    "orders",
    "payments",
    "checkout",
    "addresses",
    "fulfillment",
    "notifications",
    "archive",
)

INSUFFICIENT_PRIVILEGE = "42501"
CHECK_VIOLATION = "23514"
FOREIGN_KEY_VIOLATION = "23503"
UNIQUE_VIOLATION = "23505"
EXCLUSION_VIOLATION = "23P01"


def as_role(db: Address, role: str) -> Address:
    """Return the address of the same database for one of the application's roles."""
    return replace(db, user=role, password=ROLE_PASSWORD)


@contextmanager
def connected(address: Address) -> Iterator[Connection]:
    """Yield a new connection, and close it afterwards."""
    connection = address.connect()
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def acting(db: Address, role: str | None = None, tenant: UUID | str | None = None) -> Iterator[Connection]:
    """Yield a connection inside a transaction that is rolled back, as ``role`` or else as the address's own user.

    Without a ``tenant`` the tenant setting is left alone, as on a connection that never had one.
    """
    with connected(db if role is None else as_role(db, role)) as connection:
        connection.run("BEGIN")
        if tenant is not None:
            connection.run("SELECT set_config('holdfast.organization_id', :t, true)", t=str(tenant))
        yield connection
        connection.run("ROLLBACK")


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Undo whatever happens inside. An error is undone as well, and then propagates."""
    connection.run("SAVEPOINT here")
    try:
        yield
    finally:
        connection.run("ROLLBACK TO SAVEPOINT here")


def refusal(connection: Connection, statement: str, **parameters: object) -> tuple[str, str] | None:
    """Return (SQLSTATE, constraint) of the error that a statement raises, or ``None``. It is undone either way."""
    with savepoint(connection):
        try:
            connection.run(statement, **parameters)
        except DatabaseError as error:
            report = error.args[0]
            return report["C"], report.get("n", "")
    return None


def tables(connection: Connection, *kinds: str) -> list[str]:
    """Return our tables of these kinds of relation (``r`` plain, ``p`` partitioned), without partitions."""
    rows = connection.run(
        "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = ANY (:schemas) AND c.relkind = ANY (CAST(:kinds AS text[])) AND NOT c.relispartition"
        " ORDER BY 1",
        schemas=list(SCHEMAS),
        kinds=list(kinds or ("r", "p")),
    )
    return [row[0] for row in rows]
