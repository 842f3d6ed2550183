"""Runs the functions of one group: imports them once, then keeps a number of sandboxes (forks) alive.

`python -m local.lambda_host --plan FILE --group NAME --socket PATH --sandboxes N --logs FOLDER`, started with the
group's environment. A sandbox that crashed or was killed after a timeout is replaced.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from local.launch import die_with_parent
from local.model import Plan
from local.sandbox import GUARD, LoadedFunction, serve

BACKLOG = 256
PRELOADED = ("boto3", "jinja2", "pg8000", "sqlalchemy.dialects.postgresql.pg8000", "urllib3", "holdfast.runtime")
"""Modules that nearly every sandbox would import at its first event. Imported before the forks, they cost only once."""
DESCRIBED_SERVICES = ("sqs", "secretsmanager", "events", "sesv2")
"""AWS services that the functions call. Reading botocore's descriptions of them takes longer than an order does."""


class Host:
    """The parent of a group's sandboxes."""

    def __init__(self, listener: socket.socket, functions: Mapping[str, LoadedFunction], sandboxes: int) -> None:
        self._listener = listener
        self._functions = functions
        self._count = sandboxes
        self._running: set[int] = set()
        # Sandboxes watch the reading end. It reads as closed once this process is gone, whatever ended it.
        self._lifeline, self._held = os.pipe()

    def run(self) -> None:
        """Keeps the sandboxes alive until SIGTERM."""
        signal.signal(signal.SIGTERM, _leave)
        try:
            while True:
                while len(self._running) < self._count:
                    self._running.add(self._fork())
                pid, status = os.wait()
                self._running.discard(pid)
                sys.stderr.write(f"sandbox {pid} ended with {os.waitstatus_to_exitcode(status)}; replaced\n")
                sys.stderr.flush()
        finally:
            for pid in self._running:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            with suppress(ChildProcessError):
                while True:
                    os.wait()

    def _fork(self) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            die_with_parent(parent, signal.SIGKILL)
            os.close(self._held)
            serve(self._listener, self._lifeline, self._functions)
            code = 0
        finally:
            # Not sys.exit: this process must not run the parent's exit handlers or flush its buffers.
            os._exit(code)


def _leave(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    sys.exit(0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves one group until SIGTERM."""
    parser = argparse.ArgumentParser(prog="local.lambda_host")
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--sandboxes", type=int, required=True)
    parser.add_argument("--logs", type=Path, required=True)
    options = parser.parse_args(arguments)
    # Bind first, so that clients that connect during the imports wait instead of failing.
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(options.socket))
    listener.listen(BACKLOG)
    for name in PRELOADED:
        with suppress(ImportError):
            importlib.import_module(name)
    _read_descriptions()
    GUARD.install()
    functions = Plan.load(options.plan).groups()[options.group]
    loaded = {function.name: LoadedFunction.load(function, options.logs) for function in functions}
    # Keep what exists now shared between the forks: otherwise the garbage collector would write to it.
    gc.collect()
    gc.freeze()
    Host(listener, loaded, options.sandboxes).run()


def _read_descriptions() -> None:
    """Creates a client of each service, so that botocore's session has its description cached.

    None of them connects to anything.
    """
    with suppress(Exception):  # whoever needs one will find out what is wrong
        client: Any = importlib.import_module("boto3").client
        for service in DESCRIBED_SERVICES:
            client(service)


if __name__ == "__main__":
    main()
