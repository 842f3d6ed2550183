"""The processes in which the system's functions run.

Each is forked with everything loaded and lives until it is killed.

An actor has one runtime for each database role, as the functions of that role have, and serves one invocation at a
time. It is a real process: SIGKILL closes its sockets wherever it is, and its successor knows nothing of it.
"""

import gc
import os
import pickle
import random
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final

from holdfast.runtime import Runtime
from holdfast.values import ids
from holdfast.values.errors import Rejected, Transient
from prove.aws import Box, Cloud
from prove.trap import TRAPPED, Step, Trap
from prove.wire import Wire

SLEEP_MAX_SECONDS: Final = 0.002
"""The longest real sleep, in seconds. Code that waits for another process polls at this interval; nothing waits for the
clock, because the plan moves it."""
PATIENCE_SECONDS: Final = 60.0
LOOK_EVERY_SECONDS: Final = 0.004


@dataclass(frozen=True, slots=True)
class Task:
    """One invocation of one function. ``dice`` seeds the random values that the invocation draws itself."""

    role: str
    now: datetime
    step: Step
    arguments: tuple[Any, ...]
    dice: str
    trap: Trap | None = None
    aws: str | None = None
    """``down``: every call to AWS fails. ``refuses``: the bus accepts only every other message."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task."""

    result: Any = None
    error: str | None = None
    """The name of the exception class that the task raised."""
    detail: str = ""
    is_understood: bool = True
    killed: bool = False
    trapped_at: str | None = None


@dataclass(frozen=True, slots=True)
class Cast:
    """The parts that every actor of a world is made with."""

    runtimes: Mapping[str, Runtime]
    cloud: Cloud
    box: Box


class Actor:
    """One process and its successors."""

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._process: int | None = None
        self._channel: socket.socket | None = None
        self._trapped_at: str | None = None

    def begin(self, task: Task) -> None:
        """Start a task. Fork a process first if none is alive."""
        if self._process is None:
            self._fork()
        self._trapped_at = None
        self._say(task)

    def go_on(self) -> None:
        """Let a paused task continue."""
        self._say("go on")

    def look(self, timeout_seconds: float) -> Outcome | str | None:
        """Return the outcome of the task, ``"paused"`` when it has paused, or ``None`` when the time ran out first."""
        assert self._channel is not None
        deadline = time.monotonic() + timeout_seconds
        while select.select([self._channel], [], [], max(0.0, deadline - time.monotonic()))[0]:
            heard = _hear(self._channel)
            match heard:
                case None:
                    return self._bury()
                case ("trapped", point):
                    self._trapped_at = point
                case "paused":
                    return "paused"
                case (result, error, detail, is_understood):
                    return Outcome(result, error, detail, is_understood, trapped_at=self._trapped_at)
        return None

    def finish(self) -> Outcome:
        """Wait for the end of the task. Raises RuntimeError for a task that does not end in time."""
        seen = self.look(PATIENCE_SECONDS)
        if isinstance(seen, Outcome):
            return seen
        self.end()
        raise RuntimeError(f"a task did not end within {PATIENCE_SECONDS:.0f} s: {seen}")

    def end(self) -> None:
        """Kill the process, if one is alive, without a successor."""
        if self._process is not None:
            os.kill(self._process, signal.SIGKILL)
            self._bury()

    def _bury(self) -> Outcome:
        assert self._channel is not None
        assert self._process is not None
        os.waitpid(self._process, 0)
        self._channel.close()
        self._process = self._channel = None
        return Outcome(killed=True, trapped_at=self._trapped_at)

    def _say(self, message: object) -> None:
        assert self._channel is not None
        _send(self._channel, message)

    def _fork(self) -> None:
        ours, theirs = socket.socketpair()
        gc.freeze()
        self._process = os.fork()
        if self._process == 0:
            try:
                ours.close()
                _live(theirs, self._cast)
            finally:
                os._exit(1)
        theirs.close()
        self._channel = ours


def _live(channel: socket.socket, cast: Cast) -> None:
    real_sleep = time.sleep

    def sleep(seconds: float) -> None:
        real_sleep(min(seconds, SLEEP_MAX_SECONDS))

    setattr(time, "sleep", sleep)  # noqa: B010 -- see SLEEP_MAX_SECONDS
    chance = random.Random()
    setattr(ids, "os", SimpleNamespace(urandom=chance.randbytes))  # noqa: B010 -- ids are drawn from the task's dice
    cast.cloud.box = cast.box
    cast.cloud.install()

    def note(point: str) -> None:
        if point.endswith(TRAPPED):
            _send(channel, ("trapped", point.removesuffix(TRAPPED)))

    def stand_still() -> None:
        _send(channel, "paused")
        if _hear(channel) is None:
            os._exit(0)

    any_runtime = next(iter(cast.runtimes.values()))
    wire = Wire(any_runtime.settings.database, note, stand_still)
    for runtime in cast.runtimes.values():
        runtime.database.engine.dispose(close=False)
    wire.lay()
    while (task := _hear(channel)) is not None:
        chance.seed(task.dice)
        random.seed(task.dice)
        cast.cloud.is_down = task.aws == "down"
        cast.cloud.refuses_every = 2 if task.aws == "refuses" else 0
        runtime = cast.runtimes[task.role]
        runtime.database.engine.connect().close()  # a new session's own first questions are not the flow's
        wire.arm(task.trap, runtime.settings.database)
        outcome = _run(task, runtime)
        wire.arm(None)
        _send(channel, outcome)


def _run(task: Task, runtime: Runtime) -> tuple[Any, str | None, str, bool]:
    def clock() -> datetime:
        return task.now

    try:
        return task.step(runtime, clock, *task.arguments), None, "", True
    except Exception as error:  # noqa: BLE001 -- what was raised is the task's outcome
        return None, type(error).__name__, str(error)[:500], isinstance(error, (Rejected, Transient))


def _send(channel: socket.socket, message: object) -> None:
    data = pickle.dumps(message)
    channel.sendall(struct.pack("!I", len(data)) + data)


def _hear(channel: socket.socket) -> Any:
    """Return the next message, or ``None`` when the other end is closed."""
    head = _read(channel, 4)
    return None if head is None else pickle.loads(_read(channel, struct.unpack("!I", head)[0]) or b"N.")


def _read(channel: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        try:
            chunk = channel.recv(count - len(data))
        except OSError:
            return None
        if not chunk:
            return None
        data += chunk
    return data


def run_together(
    first: tuple[Actor, Task], others: Sequence[tuple[Actor, Task]], waits_for_another: Callable[[], bool]
) -> tuple[list[Outcome], bool]:
    """Run a task and, while it stands paused, others beside it.

    Begin the first. If it pauses, run each of the others until it ends or waits for a lock; then let the first
    continue. Return all outcomes in order, and whether the first paused at all.
    """
    actor, task = first
    actor.begin(task)
    seen = actor.look(PATIENCE_SECONDS)
    is_paused = seen == "paused"
    done: list[Outcome | None] = []
    for other, other_task in others:
        other.begin(other_task)
        done.append(_until_it_waits(other, waits_for_another))
    if is_paused:
        actor.go_on()
    ended = seen if isinstance(seen, Outcome) else actor.finish()
    return [ended, *(known or other.finish() for known, (other, _) in zip(done, others, strict=True))], is_paused


def _until_it_waits(actor: Actor, waits_for_another: Callable[[], bool]) -> Outcome | None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        seen = actor.look(LOOK_EVERY_SECONDS)
        if isinstance(seen, Outcome):
            return seen
        if seen == "paused" or waits_for_another():
            return None
    return None
