"""Run a statement with named parameters on a pipelined connection; the rows are SQLAlchemy's.

SQLAlchemy compiles a statement once, to find out which parameter goes where. What it would build for each execution (a
context, a cursor, a result and its metadata) serves types and an ORM that are not used here, and took longer than the
driver's own work: decision 24.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

from pg8000.core import Context
from pg8000.exceptions import Error
from sqlalchemy import Row, text
from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000
from sqlalchemy.engine import result_tuple
from sqlalchemy.exc import DBAPIError, MultipleResultsFound, ResourceClosedError

from holdfast.database.driver import PipelinedConnection, numbered

_CACHE_MAX_ENTRIES: Final = 512
_DIALECT: Final = PGDialect_pg8000()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A statement as the server takes it, and the names of its parameters by position."""

    sql: str
    names: tuple[str, ...]


@lru_cache(maxsize=_CACHE_MAX_ENTRIES)
def _prepared(statement: str) -> _Prepared:
    compiled = text(statement).compile(dialect=_DIALECT)
    # A name that is used twice becomes two parameters, because each has the type of its own place.
    names = tuple(cast(Sequence[str], getattr(compiled, "positiontup", None) or ()))
    return _Prepared(numbered(compiled.string) if names else compiled.string, names)


@lru_cache(maxsize=_CACHE_MAX_ENTRIES)
def _row_maker(names: tuple[str, ...]) -> Callable[[Sequence[Any]], Row[Any]]:
    return cast(Callable[[Sequence[Any]], Row[Any]], result_tuple(names))


def run(connection: PipelinedConnection, statement: str, parameters: Mapping[str, Any]) -> Context:
    """Run the statement and return the server's answer. Raises SQLAlchemy's DBAPIError, which hides the parameters."""
    prepared = _prepared(statement)
    try:
        if not prepared.names:
            return connection.execute_simple(prepared.sql)
        return connection.execute_unnamed(prepared.sql, vals=[parameters[name] for name in prepared.names])
    except Error as error:
        raise wrapped(error, prepared.sql) from error


def wrapped(error: Error, statement: str | None = None) -> BaseException:
    """Return SQLAlchemy's error for an error of the driver.

    It hides the parameters, because errors end up in logs and parameters contain people's addresses.
    """
    made: BaseException = DBAPIError.instance(statement, None, error, Error, hide_parameters=True, dialect=_DIALECT)
    return made


def rows(answer: Context) -> list[Row[Any]]:
    """Return all rows of an answer. Raises ResourceClosedError if the statement returns none."""
    if answer.rows is None:
        raise ResourceClosedError("the statement returns no rows")
    made = _row_maker(tuple(column["name"] for column in answer.columns))
    return [made(each) for each in answer.rows]


def row(answer: Context) -> Row[Any] | None:
    """Return the only row of an answer, or None. Raises MultipleResultsFound for more than one."""
    found = rows(answer)
    _at_most_one(found)
    return found[0] if found else None


def value(answer: Context) -> Any:
    """Return the first column of the only row of an answer, or None. Raises MultipleResultsFound for more than one."""
    if answer.rows is None:
        raise ResourceClosedError("the statement returns no rows")
    _at_most_one(answer.rows)
    return answer.rows[0][0] if answer.rows else None


def _at_most_one(found: Sequence[Any]) -> None:
    if len(found) > 1:
        raise MultipleResultsFound("the statement found more than one row")
