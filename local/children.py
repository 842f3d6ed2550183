"""The child processes of the local system: started together, watched, and always ended together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from local.aws import ACCESS
from local.launch import command

ROOT = Path(__file__).resolve().parent.parent
STOP_TIMEOUT_SECONDS = 5.0
READY_TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.02
LOG_TAIL_LINES = 15
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")


class ChildEnded(RuntimeError):
    """A process of the system ended although nobody had asked it to. The message has the end of its log."""


class Stopped(BaseException):
    """Somebody asked the system to stop before it was ready."""


@dataclass(frozen=True, slots=True)
class _Finished:
    problem: BaseException | None


@dataclass(frozen=True, slots=True)
class Child:
    """One process: a Python module in a session of its own, so that Ctrl-C reaches only the supervisor."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def describe_end(self) -> str:
        """Say how the process ended, with the last lines that it wrote."""
        code = self.process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with {code}"
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "\n".join([f"{self.name} {how}. The end of {self.log}:", *lines])


class Children:
    """Starts and stops processes.

    Start them from the main thread: Linux ends a child with the thread that started it.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[Child] = []
        self._stopping = False
        self._news: SimpleQueue[Child | signal.Signals | _Finished] = SimpleQueue()

    def start(
        self,
        name: str,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        fd: int | None = None,
    ) -> Child:
        """Starts `python -m module arguments` with its output in `logs/<name>.log`. `fd` stays open in the child."""
        log = self._logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command([sys.executable, "-m", module, *arguments]),
                cwd=ROOT,
                env=base_environment() | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=() if fd is None else (fd,),
            )
        child = Child(name, process, log)
        self._children.append(child)
        threading.Thread(target=self._watch, args=(child,), daemon=True).start()
        return child

    def adopt(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        """Watches a process that was started elsewhere and will be stopped there."""
        threading.Thread(target=self._watch, args=(Child(name, process, log),), daemon=True).start()

    def _watch(self, child: Child) -> None:
        child.process.wait()
        if not self._stopping:
            self._news.put(child)

    def signalled(self, number: signal.Signals) -> None:
        """Tells the waiting thread that somebody wants to stop. Safe in a signal handler: it only leaves a note.

        (An exception raised there can be lost: Python swallows those that hit an import or a finalizer.)
        """
        self._news.put(number)

    def wait(self) -> Child | signal.Signals:
        """Waits until a child ends by itself, or for a signal."""
        while True:
            news = self._news.get()
            if not isinstance(news, _Finished):
                return news

    def together(self, *works: Callable[[], object]) -> None:
        """Runs all the works, each in a thread, and waits for them.

        Raises what a work raised, ChildEnded as soon as a child ends, and Stopped at a signal. Works that are still
        under way then are abandoned.
        """
        for work in works:
            threading.Thread(target=self._do, args=(work,), daemon=True).start()
        for _ in works:
            news = self._news.get()
            if isinstance(news, Child):
                raise ChildEnded(news.describe_end())
            if isinstance(news, signal.Signals):
                raise Stopped(news.name)
            if news.problem is not None:
                raise news.problem

    def _do(self, work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as problem:  # noqa: BLE001 (raised again in the thread that waits)
            self._news.put(_Finished(problem))
        else:
            self._news.put(_Finished(None))

    def wait_for_port(self, child: Child, port: int) -> None:
        """Waits until something listens on the port. Raises ChildEnded when the child ended or took too long."""
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(POLL_SECONDS)
                raise ChildEnded(child.describe_end())
        raise ChildEnded(f"{child.name} did not listen on port {port} within {READY_TIMEOUT_SECONDS:g} seconds")

    def stop(self, *, timeout_seconds: float = STOP_TIMEOUT_SECONDS) -> None:
        """Ends all children, the last started first, so that a user ends before what it uses."""
        self._stopping = True
        deadline = time.monotonic() + timeout_seconds
        for child in reversed(self._children):
            child.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(max(POLL_SECONDS, deadline - time.monotonic()))
        for child in self._children:
            # A host that had to be killed cannot end its sandboxes. Nothing else is in its session.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()


def base_environment() -> dict[str, str]:
    """Return the environment of every child: of the developer's own, only what a program needs to run."""
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment |= ACCESS
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "layers" / "holdfast"), str(ROOT)])
    environment["PYTHONUNBUFFERED"] = "1"
    if sys.platform == "darwin":
        # Forking after imports is safe here: a host runs no thread before it forks.
        environment |= {"OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES", "no_proxy": "*"}
    return environment


def listeners(port: int, count: int) -> Sequence[socket.socket]:
    """Return `count` listening sockets of one port of 127.0.0.1: `port`, or the next free one (0: any).

    On Linux the kernel spreads connections over the sockets that share a port; elsewhere all workers accept from one
    socket.
    """
    shared = sys.platform == "linux"
    for candidate in range(port, port + 100) if port else (0,):
        # Try the port alone first: sharing would also succeed with the sockets of another local system.
        with suppress(OSError), socket.create_server(("127.0.0.1", candidate)) as probe:
            number = int(probe.getsockname()[1])
            probe.close()
            if not shared:
                return [socket.create_server(("127.0.0.1", number), backlog=1024)] * count
            return [socket.create_server(("127.0.0.1", number), backlog=1024, reuse_port=True) for _ in range(count)]
    raise OSError(f"no port from {port} to {port + 99} is free")
