"""One sandbox of a function group: a process that handles one event at a time, as a Lambda sandbox does.

This is more than a likeness. Code written for Lambda may keep its current event in module and class variables
(Powertools' resolver does), so two events in one process at once would see each other.

The wire: a client connects, reads `{"pid"}`, and then sends requests and reads answers in turn. Each is a JSON text
preceded by its length in four bytes. Request: function, event, request_id, timeout_seconds. Answer: either `payload`,
or `error` with type and message.
"""

from __future__ import annotations

import importlib.util
import json
import os
import select
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.model import Function
from local.permissions import Guard

HEADER = struct.Struct("!I")
FRAME_MAX_BYTES = 64 * 1024 * 1024

GUARD = Guard()
"""Refuses what the role of the function that is working does not allow."""

Handler = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """What Lambda passes to a handler besides the event; the names are AWS's."""

    function_name: str
    memory_limit_in_mb: int
    invoked_function_arn: str
    aws_request_id: str
    log_group_name: str
    log_stream_name: str
    deadline: float
    """On the monotonic clock, in seconds."""
    function_version: str = "$LATEST"
    identity: None = None
    client_context: None = None

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the function is ended."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


@dataclass(slots=True)
class LoadedFunction:
    """A function's handler, or the reason why it could not be imported, and where its output goes."""

    function: Function
    handler: Handler | None
    problem: str
    log: int

    @classmethod
    def load(cls, function: Function, logs: Path) -> LoadedFunction:
        """Imports `functions/<name>/app.py` under a module name of its own. Never raises."""
        log = os.open(logs / f"{function.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            return cls(function, _import_handler(function), "", log)
        except Exception as problem:  # noqa: BLE001 (whatever the import raises is that function's own failure)
            os.write(log, traceback.format_exc().encode())
            return cls(function, None, f"{type(problem).__name__}: {problem}", log)


def _import_handler(function: Function) -> Handler:
    file_name, attribute = function.handler.rsplit(".", 1)
    name = f"functions_{function.name}_{file_name}"
    spec = importlib.util.spec_from_file_location(name, Path(function.folder) / f"{file_name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"{function.handler} of {function.name} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    handler: Handler = getattr(module, attribute)
    return handler


def frame(message: Mapping[str, Any]) -> bytes:
    """Return a message as it travels. Raises TypeError or ValueError when it has no JSON form."""
    body = json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
    return HEADER.pack(len(body)) + body


def read_frame(connection: socket.socket) -> dict[str, Any]:
    """Waits for a whole message. Raises EOFError when the other side is gone."""
    (length,) = HEADER.unpack(_read(connection, HEADER.size))
    if length > FRAME_MAX_BYTES:
        raise EOFError(f"a message of {length} bytes is none of ours")
    message: dict[str, Any] = json.loads(_read(connection, length))
    return message


def _read(connection: socket.socket, length: int) -> bytes:
    chunks = []
    while length:
        chunk = connection.recv(min(length, 1 << 20))
        if not chunk:
            raise EOFError("the connection was closed")
        chunks.append(chunk)
        length -= len(chunk)
    return b"".join(chunks)


def serve(listener: socket.socket, lifeline: int, functions: Mapping[str, LoadedFunction]) -> None:
    """Serves one client after another until the host's end of the lifeline closes."""
    listener.setblocking(False)
    waiting: list[socket.socket | int] = [listener, lifeline]
    while True:
        ready, _, _ = select.select(waiting, [], [])
        if lifeline in ready:
            return
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            continue  # another sandbox was quicker
        with connection, suppress(EOFError, ConnectionError):
            connection.setblocking(True)
            connection.sendall(frame({"pid": os.getpid()}))
            while True:
                connection.sendall(_answer(read_frame(connection), functions))


def _answer(request: Mapping[str, Any], functions: Mapping[str, LoadedFunction]) -> bytes:
    loaded = functions[request["function"]]
    if loaded.handler is None:
        return frame({"error": {"type": "Runtime.ImportModuleError", "message": loaded.problem}})
    os.dup2(loaded.log, sys.stdout.fileno())
    os.dup2(loaded.log, sys.stderr.fileno())
    GUARD.function = loaded.function
    begin = time.monotonic()
    try:
        payload = loaded.handler(request["event"], _context(loaded.function, request))
        return frame({"payload": payload})
    except Exception as problem:  # noqa: BLE001 (an unhandled error is an answer here, as it is in Lambda)
        traceback.print_exc()
        return frame({"error": {"type": type(problem).__name__, "message": str(problem)}})
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        milliseconds = (time.monotonic() - begin) * 1000
        os.write(loaded.log, f"REPORT RequestId: {request['request_id']}\tDuration: {milliseconds:.2f} ms\n".encode())


def _context(function: Function, request: Mapping[str, Any]) -> LambdaContext:
    return LambdaContext(
        function_name=function.logical_id,
        memory_limit_in_mb=function.memory_mb,
        invoked_function_arn=function.arn,
        aws_request_id=request["request_id"],
        log_group_name=f"/holdfast/local/{function.name}",
        log_stream_name=str(os.getpid()),
        deadline=time.monotonic() + float(request["timeout_seconds"]),
    )
