"""The points of a process: immediately before each exchange over the network, and when its request was just sent.

Between an answer and the next request nothing leaves the process, so "after exchange n" and "before exchange n + 1" are
one point. An exchange is a statement to PostgreSQL, a request to the gateway or a call to AWS. A statement that commits
nothing is rolled back with its connection, answered or not, so the point after sending it counts only with
HOLDFAST_HEAVY=1.
"""

import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import botocore.client
import pg8000.core
import pg8000.dbapi
import pg8000.exceptions
import urllib3.connection

from holdfast.database.driver import PipelinedConnection
from holdfast.gateways.stripe import StripeGateway
from holdfast.settings import DatabaseSettings
from prove.trap import TRAPPED, Among, Deed, Trap

GONE_WAIT_SECONDS: Final = 5.0
HEAVY: Final = os.environ.get("HOLDFAST_HEAVY") == "1"
_CODES: Final = {Deed.REFUSE_40001: "40001", Deed.REFUSE_40P01: "40P01"}


class Wire:
    """Counts the points of this process and does the deed at the point of the trap. Patches the process for good.

    ``note`` is told every point as text; ``stand_still`` returns when the process may go on.
    """

    def __init__(
        self,
        database: DatabaseSettings,
        note: Callable[[str], object],
        stand_still: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._note = note
        self._stand_still = stand_still
        self._trap: Trap | None = None
        self._passed = 0
        self._is_after = False
        self._open: list[str] = []
        self._connection: Any = None

    def arm(self, trap: Trap | None, database: DatabaseSettings | None = None) -> None:
        """Start counting anew.

        The deed is done once, at the trap's point. ``database`` says which database and role the process uses from now
        on, if they changed.
        """
        self._trap = trap
        self._passed = 0
        self._is_after = trap is None or not trap.after
        self._database = database or self._database

    def lay(self) -> None:
        """Make every exchange a point from now on."""
        self._patch(PipelinedConnection, "execute_simple", _statement)
        self._patch(PipelinedConnection, "execute_unnamed", _statement)
        self._patch(StripeGateway, "_send", lambda _, method, path, *__: f"stripe {method} {path}")
        self._patch(botocore.client.BaseClient, "_make_api_call", lambda _, operation, *__: f"aws {operation}")
        # Both wait for the answer to a request that has been sent.
        self._patch_wait(pg8000.core.CoreConnection, "handle_messages")
        self._patch_wait(urllib3.connection.HTTPConnection, "getresponse")

    def _patch(self, owner: Any, name: str, label: Any) -> None:
        original = getattr(owner, name)

        def watched(this: Any, *arguments: Any, **options: Any) -> Any:
            is_statement = isinstance(this, PipelinedConnection)
            if is_statement:
                self._connection = this
            with self._exchange(label(this, *arguments)) as deed:
                if is_statement and deed in _CODES:
                    _refuse(this, _CODES[deed])
                answer = original(this, *arguments, **options)
                if is_statement and deed is Deed.LOSE_ANSWER:
                    _break_off(this)
                return answer

        setattr(owner, name, watched)

    def _patch_wait(self, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def watched(this: Any, *arguments: Any, **options: Any) -> Any:
            if self._open and self._open[-1]:
                label, self._open[-1] = self._open[-1], ""
                if HEAVY or not label.startswith("sql ") or label.endswith("COMMIT"):
                    self._pass(f"{label}, sent")
            return original(this, *arguments, **options)

        setattr(owner, name, watched)

    @contextmanager
    def _exchange(self, label: str) -> Iterator[Deed | None]:
        deed = self._pass(f"before {label}")
        self._open.append(label)
        try:
            yield deed
        finally:
            self._open.pop()

    def _pass(self, point: str) -> Deed | None:
        """Pass a point.

        Return the deed that is due here, if any; the caller does those that concern the exchange alone.
        """
        trap = self._trap
        if trap is not None and not self._is_after:
            self._is_after = trap.after in point
            trap = None
        if trap is None or not _counts(point, trap.among) or trap.saying not in point:
            self._note(point)
            return None
        self._passed += 1
        here = trap.at == self._passed
        self._note(f"{point}{TRAPPED if here else ''}")
        return self._do(trap.deed) if here else None

    def _do(self, deed: Deed) -> Deed | None:
        self._trap = None
        match deed:
            case Deed.KILL_PROCESS:
                os.kill(os.getpid(), signal.SIGKILL)
            case Deed.PAUSE:
                self._stand_still()
            case Deed.END_CONNECTION if self._connection is not None:
                self._end_connection()
            case Deed.CRASH_SERVER if self._connection is not None:
                os.kill(self._backend(), signal.SIGKILL)
                _wait_until_gone(self._backend())
        return deed

    def _backend(self) -> int:
        pid, _secret = struct.unpack("!ii", self._connection._backend_key_data)
        return int(pid)

    def _end_connection(self) -> None:
        """End the connection from a second session of the same role, which may end sessions of its role."""
        settings = self._database
        # The second session's plain driver is watched as well, but none of its exchanges is one of the process's.
        other = pg8000.dbapi.connect(
            settings.user,
            host=settings.host,
            port=settings.port,
            database=settings.name,
            password=settings.password,
            ssl_context=None if settings.verify_tls else False,
        )
        cursor = other.cursor()
        cursor.execute(f"SELECT pg_terminate_backend({self._backend()}, {int(GONE_WAIT_SECONDS * 1000)})")
        other.close()


def _counts(point: str, among: Among) -> bool:
    match among:
        case Among.ALL:
            return True
        case Among.STATEMENTS:
            return point.startswith("before sql ") and not point.startswith("before sql BEGIN")
        case Among.COMMITS:
            return point.startswith("before sql ") and point.endswith("COMMIT")
        case Among.CALLS:
            return point.startswith(("before stripe ", "before aws "))


def _statement(connection: PipelinedConnection, statement: str, *__: Any) -> str:
    words = " ".join(statement.split())
    words = "BEGIN" if words.startswith("BEGIN") else words[:60]
    return f"sql {words} + COMMIT" if connection.commit_follows else f"sql {words}"


def _refuse(connection: PipelinedConnection, code: str) -> None:
    """Have the server itself refuse, in place of the statement, so that the transaction is aborted as it would be."""
    connection.commit_follows = False
    pg8000.core.CoreConnection.execute_simple(
        connection, f"DO $$ BEGIN RAISE EXCEPTION 'refused on command' USING ERRCODE = '{code}'; END $$"
    )


def _break_off(connection: PipelinedConnection) -> None:
    with suppress(OSError):
        connection._usock.shutdown(socket.SHUT_RDWR)
    raise pg8000.exceptions.InterfaceError("the network broke before the answer was read")


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + GONE_WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.005)
