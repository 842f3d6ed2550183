"""The only place that begins and commits. A transaction carries its tenant, its actor and its instant."""

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from pg8000.exceptions import Error
from sqlalchemy import Engine, PoolProxiedConnection, Row

from holdfast.database import statement as sql
from holdfast.database.driver import PipelinedConnection
from holdfast.database.errors import ConnectionLost, SerializationFailure, translate

REPLAY_MAX_ATTEMPTS: Final = 4
REPLAY_BASE_DELAY_SECONDS: Final = 0.02
_ACTOR_FORM: Final = re.compile(r"[A-Za-z0-9:_.@|-]{1,200}")
_HAS_SERVED: Final = "holdfast.has_served"
"""A mark on a connection that was begun on before: it has lain in the pool since."""

Result = TypeVar("Result")


class Transaction:
    """An open transaction: runs statements, hands back rows. It never commits by itself, but for the last statement
    of ``execute_and_commit``."""

    def __init__(
        self, connection: PipelinedConnection, now: datetime, organization_id: UUID | None, actor: str
    ) -> None:
        self._connection = connection
        self._committed = False
        self.now = now
        self.organization_id = organization_id
        self.actor = actor

    @property
    def tenant(self) -> UUID:
        """The organization this transaction may see. A transaction without one has no business asking."""
        if self.organization_id is None:
            raise RuntimeError("this transaction was begun without an organization")
        return self.organization_id

    def rows(self, statement: str, **parameters: Any) -> Sequence[Row[Any]]:
        """All rows of a statement; parameters are named ``:name`` in it."""
        return sql.rows(sql.run(self._connection, statement, parameters))

    def row(self, statement: str, **parameters: Any) -> Row[Any] | None:
        """The one row of a statement, or ``None``."""
        return sql.row(sql.run(self._connection, statement, parameters))

    def value(self, statement: str, **parameters: Any) -> Any:
        """The first column of the one row of a statement, or ``None``."""
        return sql.value(sql.run(self._connection, statement, parameters))

    def execute(self, statement: str, **parameters: Any) -> int:
        """How many rows a statement changed."""
        return int(sql.run(self._connection, statement, parameters).row_count)

    def execute_and_commit(self, statement: str, **parameters: Any) -> Any:
        """The value of the transaction's last statement, whose COMMIT travels with it in one round trip.

        If the statement fails, the COMMIT is a rollback. Nothing may be asked of the transaction afterwards.
        """
        self._connection.commit_follows = True
        self._committed = True
        return sql.value(sql.run(self._connection, statement, parameters))

    @property
    def committed(self) -> bool:
        """Whether the COMMIT was sent with the last statement."""
        return self._committed


class Database:
    """An engine, and the ways to run a transaction on it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def transaction(
        self, organization_id: UUID | None, *, now: datetime, actor: str = "system", one_snapshot: bool = False
    ) -> Iterator[Transaction]:
        """A transaction that commits at the end of the block and rolls back on any exception.

        Begin, tenant, actor and clock are one round trip; the commit is another. ``organization_id`` is ``None`` only
        for system jobs that look over all tenants and for the lookups before a tenant is known. ``one_snapshot``: every
        statement sees what was there at the first one, and a row that changed since makes it a SerializationFailure.
        Raises the errors of ``database.errors``.
        """
        try:
            connection = self._begun(_begin(organization_id, actor, now, one_snapshot=one_snapshot))
            try:
                raw = _raw(connection)
                transaction = Transaction(raw, now, organization_id, actor)
                try:
                    yield transaction
                    if not transaction.committed:
                        raw.execute_simple("COMMIT")
                except BaseException as error:
                    # A connection in an unknown state is not given back to the pool.
                    _roll_back(connection, raw, error)
                    raise
            finally:
                connection.close()
        except Exception as error:
            translated = translate(error)
            if translated is error:
                raise
            raise translated from error

    def _begun(self, begin: str) -> PoolProxiedConnection:
        """A connection with the transaction begun on it.

        One from the pool may have died while it lay there (a failover, an idle timeout). Nothing was asked of it yet,
        so it is dropped and the next takes its place; one that was just opened and is lost is the caller's news.
        """
        while True:
            try:
                connection = self.engine.raw_connection()
            except Error as error:  # nobody can log in like this, or nobody can at all
                raise sql.wrapped(error) from error
            has_served = _HAS_SERVED in connection.info
            try:
                _raw(connection).execute_simple(begin)
            except BaseException as error:
                connection.invalidate()
                connection.close()
                if has_served and isinstance(translate(error), ConnectionLost):
                    continue
                raise
            connection.info[_HAS_SERVED] = True
            return connection

    def transact(
        self,
        organization_id: UUID | None,
        work: Callable[[Transaction], Result],
        *,
        now: datetime,
        actor: str = "system",
        one_snapshot: bool = False,
    ) -> Result:
        """Run ``work`` in a transaction; replay it whole, with jitter, after a serialization failure or a deadlock."""
        for attempt in range(1, REPLAY_MAX_ATTEMPTS + 1):
            try:
                with self.transaction(organization_id, now=now, actor=actor, one_snapshot=one_snapshot) as transaction:
                    return work(transaction)
            except SerializationFailure:
                if attempt == REPLAY_MAX_ATTEMPTS:
                    raise
                time.sleep(random.uniform(0, REPLAY_BASE_DELAY_SECONDS * 2**attempt))  # noqa: S311 -- jitter, not a secret
        raise AssertionError("unreachable: the last attempt returns or raises")


def _raw(connection: PoolProxiedConnection) -> PipelinedConnection:
    raw = connection.dbapi_connection
    if not isinstance(raw, PipelinedConnection):
        raise ConnectionLost("the connection is gone")
    return raw


def _roll_back(connection: PoolProxiedConnection, raw: PipelinedConnection, error: BaseException) -> None:
    raw.commit_follows = False
    if raw.answers_due or isinstance(translate(error), ConnectionLost):
        # Left in the middle of an answer, or lost: rolling back would take one answer for another, or succeed without
        # a word where the driver believes that no transaction is open.
        connection.invalidate()
        return
    try:
        raw.rollback()
    except Exception:  # noqa: BLE001 -- whatever is wrong with it, this connection is not used again
        connection.invalidate()


def _begin(organization_id: UUID | None, actor: str, now: datetime, *, one_snapshot: bool = False) -> str:
    """BEGIN and the transaction's settings as one statement without parameters: one round trip.

    The literals cannot carry SQL: a UUID, an instant and an actor of a closed alphabet.
    """
    if not _ACTOR_FORM.fullmatch(actor):
        raise ValueError(f"not an actor: {actor!r}")
    if now.tzinfo is None:
        raise ValueError("now has no timezone")
    tenant = "" if organization_id is None else str(UUID(str(organization_id)))
    return (
        f"BEGIN{' ISOLATION LEVEL REPEATABLE READ' if one_snapshot else ''};"
        f" SELECT set_config('holdfast.organization_id', '{tenant}', true), "
        f"set_config('holdfast.actor', '{actor}', true), set_config('holdfast.now', '{now.isoformat()}', true)"
    )


def records(rows: Sequence[Row[Any]]) -> list[Mapping[str, Any]]:
    """Rows as mappings from column to value."""
    return [dict(row._mapping) for row in rows]  # noqa: SLF001 -- SQLAlchemy's public name for it
