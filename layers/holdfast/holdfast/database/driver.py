"""pg8000 with one network round trip for each statement, instead of three.

pg8000 sends Parse, waits, sends Describe, waits, sends Bind and Execute, waits. The protocol allows sending all of them
together, ended by one Sync, and a plain COMMIT right behind the Sync
(https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING). If the statement fails, the
server skips to the Sync and turns the COMMIT into a rollback, so sending both at once is as safe as two round trips.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from struct import pack
from typing import Any, Final

from pg8000.converters import timestamptz_in
from pg8000.core import Context, make_params
from pg8000.dbapi import Connection, Cursor, convert_paramstyle
from pg8000.exceptions import InterfaceError

_SYNC: Final = b"S\x00\x00\x00\x04"
_DESCRIBE_UNNAMED_PORTAL: Final = b"D\x00\x00\x00\x06P\x00"
_EXECUTE_UNNAMED_PORTAL: Final = b"E\x00\x00\x00\x09\x00\x00\x00\x00\x00"
_COMMIT: Final = b"Q\x00\x00\x00\x0bCOMMIT\x00"
_STATEMENT_CACHE_MAX_ENTRIES: Final = 512
_TIMESTAMPTZ: Final = 1184


@lru_cache(maxsize=_STATEMENT_CACHE_MAX_ENTRIES)
def numbered(operation: str) -> str:
    """Return the statement with its ``%s`` placeholders replaced by ``$1, $2 ...``.

    The conversion scans character by character, so the result is cached.
    """
    return str(convert_paramstyle("format", operation, ())[0])


@lru_cache(maxsize=_STATEMENT_CACHE_MAX_ENTRIES)
def _parse_message(statement: str, oids: Sequence[int], encoding: str) -> bytes:
    """Return the Parse message of a statement. ``oids`` are the types of its first parameters, -1 for unknown."""
    body = b"\x00" + statement.encode(encoding) + b"\x00" + pack("!h", len(oids))
    body += b"".join(pack("!i", 0 if oid == -1 else oid) for oid in oids)
    return b"P" + pack("!i", len(body) + 4) + body


def _instant(text: str) -> Any:
    """Return the value of a timestamptz. pg8000 would use ``strptime``, which takes a hundred times as long."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # infinity, and years that Python does not have
        return timestamptz_in(text)


class PipelinedCursor(Cursor):  # type: ignore[misc]
    """A DB-API cursor whose parameterized statements take one round trip each."""

    _input_oids: Any
    input_types: Any

    def execute(self, operation: str, args: Any = (), stream: Any = None) -> "PipelinedCursor":
        if not args or stream is not None:
            super().execute(operation, args, stream=stream)
            return self
        connection = self._c
        if connection is None:
            raise InterfaceError("Cursor closed")
        if not connection._in_transaction and not connection.autocommit:  # noqa: SLF001 -- as the parent class does
            connection.execute_simple("begin transaction")
        oids, self._input_oids = self._input_oids, ()
        self._context = connection.execute_unnamed(numbered(operation), vals=args, oids=oids)
        self._row_iter = None if self._context.rows is None else iter(self._context.rows)
        self.input_types = []
        return self


class PipelinedConnection(Connection):  # type: ignore[misc]
    """A pg8000 connection that pipelines. ``round_trips`` counts every wait for the server since it was created."""

    round_trips: int = 0
    commit_follows: bool = False
    """Set before the last statement of a transaction, so that the COMMIT is sent with it."""
    answers_due: int = 0
    """How many answers of the server were requested but not read to their end. If it is above zero while nothing is
    being read, the next answer would be taken for that of another statement: such a connection can only be closed."""

    def __init__(self, **parameters: Any) -> None:
        self._descriptions: dict[bytes, tuple[Any, Any]] = {}
        super().__init__(**parameters)
        self.register_in_adapter(_TIMESTAMPTZ, _instant)

    def cursor(self) -> PipelinedCursor:
        return PipelinedCursor(self)

    def close(self) -> None:
        """End the session. The socket is closed even if the server is gone and cannot be told."""
        stream = self._sock
        try:
            with suppress(InterfaceError):  # its user has been told already that the connection is lost
                super().close()
        finally:
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def handle_ROW_DESCRIPTION(self, data: bytes, context: Context) -> None:  # noqa: N802 -- the name is pg8000's
        known = self._descriptions.get(data)
        if known is None:
            super().handle_ROW_DESCRIPTION(data, context)
            if len(self._descriptions) < _STATEMENT_CACHE_MAX_ENTRIES:
                self._descriptions[data] = context.columns, context.input_funcs
            return
        context.columns, context.input_funcs = known
        if context.rows is None:
            context.rows = []

    def execute_simple(self, statement: str) -> Context:
        self.round_trips += 1
        self.answers_due += 1
        return super().execute_simple(statement)

    def handle_READY_FOR_QUERY(self, data: bytes, context: Context) -> None:  # noqa: N802 -- the name is pg8000's
        super().handle_READY_FOR_QUERY(data, context)
        self.answers_due = max(0, self.answers_due - 1)

    def handle_ERROR_RESPONSE(self, data: bytes, context: Context) -> None:  # noqa: N802 -- the name is pg8000's
        super().handle_ERROR_RESPONSE(data, context)
        # An error's detail quotes rows ("Key (email)=(...) already exists"), and errors end up in logs.
        context.error.args[0].pop("D", None)

    def execute_unnamed(self, statement: str, vals: Any = (), oids: Any = (), stream: Any = None) -> Context:
        if stream is not None:
            return super().execute_unnamed(statement, vals=vals, oids=oids, stream=stream)
        committing, self.commit_follows = self.commit_follows, False
        self.round_trips += 1
        self._send(statement, vals, oids, committing)
        context = Context(statement)
        if not committing:
            self.handle_messages(context)
            return context
        commit = Context("COMMIT")
        try:
            self.handle_messages(context)
        finally:
            if self._sock is not None:
                self._finish_commit(commit, failed=context.error is not None)
        return context

    def _finish_commit(self, commit: Context, *, failed: bool) -> None:
        try:
            self.handle_messages(commit)
        except InterfaceError:
            # pg8000 reports "in failed transaction block" for a COMMIT that became a rollback. The statement's own
            # error is already being raised.
            if not failed:
                raise

    def _send(self, statement: str, vals: Any, oids: Any, committing: bool) -> None:
        encoding = self._client_encoding
        params = make_params(self.py_types, vals)
        bind = bytearray(b"\x00\x00\x00\x00" + pack("!H", len(params)))
        for value in params:
            if value is None:
                bind += pack("!i", -1)
            else:
                encoded = value.encode(encoding)
                bind += pack("!i", len(encoded)) + encoded
        bind += b"\x00\x00"
        message = b"".join(
            (
                _parse_message(statement, tuple(oids), encoding),
                b"B" + pack("!i", len(bind) + 4) + bytes(bind),
                _DESCRIBE_UNNAMED_PORTAL,
                _EXECUTE_UNNAMED_PORTAL,
                _SYNC,
                _COMMIT if committing else b"",
            )
        )
        self.answers_due += 2 if committing else 1
        try:
            self._sock.write(message)
            self._sock.flush()
        except (AttributeError, ValueError) as error:
            raise InterfaceError("connection is closed") from error
        except OSError as error:
            raise InterfaceError("network error") from error


def connect(**parameters: Any) -> PipelinedConnection:
    """Open a connection; the parameters are those of ``pg8000.dbapi.connect``."""
    return PipelinedConnection(**parameters)
