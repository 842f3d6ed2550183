"""The only place that begins and commits transactions. A transaction carries its tenant, its actor and its time."""

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
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
"""Marks a connection that has had a transaction before, and so has been in the pool since."""

Result = TypeVar("Result")


class Transaction:
    """An open transaction, which runs statements and returns rows.

    It never commits by itself, except with the statement of ``execute_and_commit``.
    """

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
        """The organization that this transaction may see. Raises RuntimeError for a transaction without one."""
        if self.organization_id is None:
            raise RuntimeError("this transaction was begun without an organization")
        return self.organization_id

    def rows(self, statement: str, **parameters: Any) -> Sequence[Row[Any]]:
        """Return all rows of a statement, in which parameters are written as ``:name``."""
        return sql.rows(sql.run(self._connection, statement, parameters))

    def row(self, statement: str, **parameters: Any) -> Row[Any] | None:
        """Return the only row of a statement, or None. Raises MultipleResultsFound for more than one."""
        return sql.row(sql.run(self._connection, statement, parameters))

    def value(self, statement: str, **parameters: Any) -> Any:
        """Return the first column of a statement's only row, or None. Raises MultipleResultsFound for more than one."""
        return sql.value(sql.run(self._connection, statement, parameters))

    def execute(self, statement: str, **parameters: Any) -> int:
        """Run a statement and return how many rows it changed."""
        return int(sql.run(self._connection, statement, parameters).row_count)

    def execute_and_commit(self, statement: str, **parameters: Any) -> Any:
        """Run the transaction's last statement with the COMMIT in the same round trip, and return its value.

        If the statement fails, the COMMIT becomes a rollback. The transaction must not be used afterwards.
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
        """Open a transaction that commits at the end of the block and rolls back on any exception.

        BEGIN, tenant, actor and clock take one round trip, the COMMIT another. ``organization_id`` is None only for
        system jobs across all tenants, and for lookups before the tenant is known. With ``one_snapshot`` every
        statement sees the data as of the first one, and writing a row that changed since raises SerializationFailure.
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
                    # A connection in an unknown state must not return to the pool.
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
        """Return a connection on which the transaction has begun.

        A pooled connection may have died in the pool (a failover, an idle timeout). Nothing was done on it yet, so it
        is dropped and replaced by the next. If a connection that was just opened is lost, the error is raised.
        """
        while True:
            try:
                connection = self.engine.raw_connection()
            except Error as error:  # the login is refused, or the server is unreachable
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
        """Run ``work`` in a transaction and return its result.

        After a serialization failure or a deadlock the whole transaction is replayed, with jitter, up to
        ``REPLAY_MAX_ATTEMPTS`` attempts in all. Raises SerializationFailure after the last.
        """
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
        # In the middle of an answer, or lost: a rollback would take one answer for another, or would silently do
        # nothing because the driver believes that no transaction is open.
        connection.invalidate()
        return
    try:
        raw.rollback()
    except Exception:  # noqa: BLE001 -- whatever is wrong with it, this connection is not used again
        connection.invalidate()


def _begin(organization_id: UUID | None, actor: str, now: datetime, *, one_snapshot: bool = False) -> str:
    """Return BEGIN and the transaction's settings as statements without parameters, which take one round trip.

    The literals cannot carry SQL: they are a UUID, a timestamp, and an actor from a restricted alphabet. Raises
    ValueError for an actor of another form, or a time without time zone.
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
    """Return rows as mappings from column to value."""
    return [dict(row._mapping) for row in rows]  # noqa: SLF001 -- SQLAlchemy's public name for it


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as it appears in an answer: instants in ISO 8601, ids as text, decimals as numbers."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return str(value) if isinstance(value, UUID) else value
