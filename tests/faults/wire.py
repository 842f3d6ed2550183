"""The points of a process: right before each exchange over the network, and when its request is sent and not answered.

Between an answer and the next request nothing leaves the process, so "after exchange n" and "before exchange n + 1"
are one point. An exchange is a statement to PostgreSQL, a request to the gateway or a call to AWS. A statement that
commits nothing is undone with its connection, answered or not: that it was sent is a point with HOLDFAST_HEAVY=1 only.
"""

import os
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import botocore.client
import pg8000.core
import pg8000.dbapi
import urllib3.connection

from holdfast.database.driver import PipelinedConnection
from holdfast.gateways.stripe import StripeGateway
from holdfast.settings import DatabaseSettings
from tests.faults.errand import TRAPPED, Deed, Trap
from tests.faults.settings import HEAVY

GONE_WAIT_SECONDS = 5.0


class Wire:
    """Counts the points of this process and does the deed at the one of the trap. Patches the process for good."""

    def __init__(self, trap: Trap | None, database: DatabaseSettings, report: int) -> None:
        self._trap = trap
        self._database = database
        self._report = report
        self._passed = 0
        self._open: list[str] = []
        self._connection: Any = None

    def lay(self) -> None:
        """From now on every exchange is a point."""
        self._patch(PipelinedConnection, "execute_simple", _statement)
        self._patch(PipelinedConnection, "execute_unnamed", _statement)
        self._patch(StripeGateway, "_send", lambda _, method, path, *__: f"stripe {method} {path}")
        self._patch(botocore.client.BaseClient, "_make_api_call", lambda _, operation, *__: f"aws {operation}")
        # Both wait for an answer whose request is on its way.
        self._patch_wait(pg8000.core.CoreConnection, "handle_messages")
        self._patch_wait(urllib3.connection.HTTPConnection, "getresponse")

    def _patch(self, owner: Any, name: str, label: Any) -> None:
        original = getattr(owner, name)

        def watched(this: Any, *arguments: Any, **options: Any) -> Any:
            if isinstance(this, PipelinedConnection):
                self._connection = this
            with self._exchange(label(this, *arguments)):
                return original(this, *arguments, **options)

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
    def _exchange(self, label: str) -> Iterator[None]:
        self._pass(f"before {label}")
        self._open.append(label)
        try:
            yield
        finally:
            self._open.pop()

    def _pass(self, point: str) -> None:
        self._passed += 1
        here = self._trap is not None and self._trap.at == self._passed
        os.write(self._report, f"{point}{TRAPPED if here else ''}\n".encode())
        if here and self._trap is not None:
            self._do(self._trap.deed)

    def _do(self, deed: Deed) -> None:
        match deed:
            case Deed.KILL_PROCESS:
                os.kill(os.getpid(), signal.SIGKILL)
            case Deed.END_CONNECTION:
                self._end_connection()
            case Deed.CRASH_SERVER:
                os.kill(self._backend(), signal.SIGKILL)
                _wait_until_gone(self._backend())

    def _backend(self) -> int:
        pid, _secret = struct.unpack("!ii", self._connection._backend_key_data)
        return int(pid)

    def _end_connection(self) -> None:
        """From a second session of the same role, which may end its own kind."""
        settings = self._database
        # The plain driver of the second session is watched as well; it is none of the victim's exchanges.
        other = pg8000.dbapi.connect(
            settings.user,
            host=settings.host,
            port=settings.port,
            database=settings.name,
            password=settings.password,
        )
        cursor = other.cursor()
        cursor.execute(f"SELECT pg_terminate_backend({self._backend()}, {int(GONE_WAIT_SECONDS * 1000)})")
        other.close()


def _statement(connection: PipelinedConnection, statement: str, *__: Any) -> str:
    words = " ".join(statement.split())
    words = "BEGIN" if words.startswith("BEGIN") else words[:60]
    return f"sql {words} + COMMIT" if connection.commit_follows else f"sql {words}"


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + GONE_WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.005)
