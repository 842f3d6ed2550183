"""A database as the flows see it, and small things to do in a transaction."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy.exc import DBAPIError

from holdfast.database.engine import make_engine
from holdfast.database.transaction import Database, Transaction
from holdfast.runtime import Runtime
from holdfast.settings import settings_from
from local.postgres import Address
from tests.database.acting import APP, connected
from tests.premises import ROLE_PASSWORD

NOW = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
NOTE = "INSERT INTO public.notes (text) VALUES (:text)"
COMMITTING_NOTE = "INSERT INTO public.notes (text) VALUES (:text) RETURNING id"


def open_database(address: Address, *, connections: int = 1) -> Database:
    """Return a database as the application opens it."""
    settings = runtime_of(address, APP).settings.database
    return Database(make_engine(replace(settings, pool_max_connections=connections)))


def runtime_of(db: Address, role: str) -> Runtime:
    """Return the runtime of a function that logs in as the role."""
    return Runtime(
        settings_from(
            {
                "DATABASE_HOST": db.host,
                "DATABASE_PORT": str(db.port),
                "DATABASE_NAME": db.database,
                "DATABASE_USER": role,
                "DATABASE_PASSWORD": ROLE_PASSWORD,
                "DATABASE_AUTHENTICATION": "password",
                "DATABASE_TLS": "off",
            }
        )
    )


def notes(db: Address) -> list[str]:
    """Return the committed notes, in order."""
    with connected(db) as owner:
        return [row[0] for row in owner.run("SELECT text FROM public.notes ORDER BY id")]


def attempt(database: Database, *steps: Callable[[Transaction], object]) -> None:
    """Run the steps in one transaction, which each of them receives."""
    with database.transaction(None, now=NOW) as transaction:
        for step in steps:
            step(transaction)


def note(text: str) -> Callable[[Transaction], object]:
    return lambda transaction: transaction.execute(NOTE, text=text)


def note_and_commit(text: str) -> Callable[[Transaction], object]:
    return lambda transaction: transaction.execute_and_commit(COMMITTING_NOTE, text=text)


def give_up(_transaction: Transaction) -> None:
    raise LookupError


def divide_by_zero(transaction: Transaction) -> None:
    transaction.execute("SELECT 1 / CAST(:zero AS integer)", zero=0)


def swallow_an_error(transaction: Transaction) -> None:
    with suppress(DBAPIError):
        divide_by_zero(transaction)


def run_over_time(transaction: Transaction) -> None:
    transaction.execute("SET LOCAL statement_timeout = '50ms'")
    transaction.value("SELECT pg_sleep(:seconds)", seconds=5)


def backend(database: Database) -> int:
    with database.transaction(None, now=NOW) as transaction:
        return int(transaction.value("SELECT pg_backend_pid()"))


def raising(state: str, constraint: str = "") -> str:
    """Return a statement that fails with the SQLSTATE and, if one is given, names the constraint."""
    named = f", CONSTRAINT = '{constraint}'" if constraint else ""
    return f"DO $$ BEGIN RAISE EXCEPTION 'told' USING ERRCODE = '{state}'{named}; END $$"
