"""Speaking to the database as one of its roles, and putting everything back afterwards."""

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
    """The same database, as one of the roles of the application."""
    return replace(db, user=role, password=ROLE_PASSWORD)


@contextmanager
def connected(address: Address) -> Iterator[Connection]:
    """A connection of its own."""
    connection = address.connect()
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def acting(db: Address, role: str | None = None, tenant: UUID | str | None = None) -> Iterator[Connection]:
    """A transaction that is rolled back, as a role (the address' own without one).

    ``tenant`` None leaves the setting alone, as on a connection that never had one.
    """
    with connected(db if role is None else as_role(db, role)) as connection:
        connection.run("BEGIN")
        if tenant is not None:
            connection.run("SELECT set_config('holdfast.organization_id', :t, true)", t=str(tenant))
        yield connection
        connection.run("ROLLBACK")


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Whatever happens inside is taken back, an error too; the error goes on."""
    connection.run("SAVEPOINT here")
    try:
        yield
    finally:
        connection.run("ROLLBACK TO SAVEPOINT here")


def refusal(connection: Connection, statement: str, **parameters: object) -> tuple[str, str] | None:
    """(SQLSTATE, constraint) of the error that a statement meets, or ``None``. It is taken back either way."""
    with savepoint(connection):
        try:
            connection.run(statement, **parameters)
        except DatabaseError as error:
            report = error.args[0]
            return report["C"], report.get("n", "")
    return None


def tables(connection: Connection, *kinds: str) -> list[str]:
    """Our tables by kind of relation (``r`` plain, ``p`` partitioned), partitions left out."""
    rows = connection.run(
        "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = ANY (:schemas) AND c.relkind = ANY (CAST(:kinds AS text[])) AND NOT c.relispartition"
        " ORDER BY 1",
        schemas=list(SCHEMAS),
        kinds=list(kinds or ("r", "p")),
    )
    return [row[0] for row in rows]
