"""Invokes a function of a group from another process: waiting in a thread (`Invoker`) or on a loop (`SandboxPool`)."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.model import Function
from local.sandbox import HEADER, frame, read_frame

CONNECT_GRACE_SECONDS = 30.0
"""How long a client waits for a sandbox. At the start the functions are still being imported."""


class FunctionError(Exception):
    """The function did not answer: it raised, crashed or ran out of time. `kind` is Lambda's name for the error."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class FunctionTimeout(FunctionError):
    """The function's sandbox was killed at its timeout."""


class NoSandbox(FunctionError):
    """Every sandbox stayed busy, which Lambda calls throttling."""


class Invoker:
    """Up to `size` connections to a group's sandboxes, for use by threads.

    The one used last is used first, so that warm sandboxes stay warm and the others sleep. Safe to use from several
    threads.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._slots = threading.Semaphore(size)
        self._idle: list[tuple[socket.socket, int]] = []

    def invoke(self, function: Function, event: Any, request_id: str) -> Any:
        """Invokes a function and returns its answer, after waiting for a free sandbox. Raises FunctionError."""
        with self._slots:
            connection, pid = self._connection(function)
            try:
                connection.settimeout(function.timeout_seconds)
                connection.sendall(_request(function, event, request_id, function.timeout_seconds))
                answer = read_frame(connection)
            except TimeoutError:
                connection.close()
                raise _kill(pid, function, function.timeout_seconds) from None
            except (OSError, EOFError) as problem:
                connection.close()
                raise FunctionError("Runtime.ExitError", f"{function.name} ended before it answered") from problem
            self._idle.append((connection, pid))
            return _payload(answer)

    def _connection(self, function: Function) -> tuple[socket.socket, int]:
        while self._idle:
            with suppress(IndexError):  # another thread was quicker
                connection, pid = self._idle.pop()
                if not _is_over(connection):
                    return connection, pid
                connection.close()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_GRACE_SECONDS)
            connection.connect(str(self._path))
            return connection, read_frame(connection)["pid"]
        except (OSError, EOFError) as problem:
            connection.close()
            raise NoSandbox("Throttled", f"no sandbox for {function.name}: {problem}") from problem


def _is_over(connection: socket.socket) -> bool:
    """Whether the sandbox behind an idle connection is gone.

    A live one sends nothing unless asked, so a readable socket is a closed one.
    """
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable)


def _request(function: Function, event: Any, request_id: str, timeout_seconds: float) -> bytes:
    return frame(
        {"function": function.name, "event": event, "request_id": request_id, "timeout_seconds": timeout_seconds}
    )


def _payload(answer: Mapping[str, Any]) -> Any:
    if "error" in answer:
        raise FunctionError(answer["error"]["type"], answer["error"]["message"])
    return answer["payload"]


def _kill(pid: int, function: Function, seconds: float) -> FunctionTimeout:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return FunctionTimeout("Sandbox.Timedout", f"{function.name} timed out after {seconds:g} seconds")


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    pid: int


class SandboxPool:
    """Up to `size` connections to a group's sandboxes.

    The one used last is used first, so that light traffic stays warm.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._slots = asyncio.Semaphore(size)
        self._idle: list[_Connection] = []

    async def invoke(self, function: Function, event: Any, request_id: str, timeout_seconds: float) -> Any:
        """Invokes a function and returns its answer, after waiting for a free sandbox. Raises FunctionError."""
        try:
            await asyncio.wait_for(self._slots.acquire(), timeout_seconds)
        except TimeoutError:
            raise NoSandbox("Throttled", f"no sandbox was free for {timeout_seconds:g} seconds") from None
        try:
            connection = await self._connection(function)
            healthy = False
            try:
                payload = await self._converse(connection, function, event, request_id, timeout_seconds)
                healthy = True
                return _payload(payload)
            finally:
                if healthy:
                    self._idle.append(connection)
                else:
                    connection.writer.close()
        finally:
            self._slots.release()

    async def _connection(self, function: Function) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.reader.at_eof():
                return connection
            connection.writer.close()
        try:
            async with asyncio.timeout(CONNECT_GRACE_SECONDS):
                reader, writer = await asyncio.open_unix_connection(str(self._path))
                return _Connection(reader, writer, json.loads(await _read(reader))["pid"])
        except (OSError, asyncio.IncompleteReadError) as problem:
            raise NoSandbox("Throttled", f"no sandbox for {function.name}: {problem}") from problem

    async def _converse(
        self, connection: _Connection, function: Function, event: Any, request_id: str, timeout_seconds: float
    ) -> dict[str, Any]:
        connection.writer.write(_request(function, event, request_id, timeout_seconds))
        try:
            async with asyncio.timeout(timeout_seconds):
                answer: dict[str, Any] = json.loads(await _read(connection.reader))
                return answer
        except TimeoutError:
            raise _kill(connection.pid, function, timeout_seconds) from None
        except (OSError, asyncio.IncompleteReadError) as problem:
            raise FunctionError("Runtime.ExitError", f"{function.name} ended before it answered") from problem

    def close(self) -> None:
        """Closes the connections that are idle."""
        while self._idle:
            self._idle.pop().writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    (length,) = HEADER.unpack(await reader.readexactly(HEADER.size))
    return await reader.readexactly(length)
