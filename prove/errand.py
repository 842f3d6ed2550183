"""What a process is told to do, how it is to be disturbed, and what it leaves behind. Travels as a pickle."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from holdfast.settings import Settings

Step = Callable[..., object]
"""``step(runtime, clock, *arguments)``: one thing that one function of the system does in one invocation."""


class Deed(StrEnum):
    """What happens to the process at its point."""

    KILL_PROCESS = "kill the process"
    """SIGKILL: no handler, no rollback, sockets are closed by the kernel."""
    END_CONNECTION = "end the connection"
    """``pg_terminate_backend``: the server ends the session it is in; the process lives on."""
    CRASH_SERVER = "crash the server"
    """SIGKILL of the session's backend: PostgreSQL drops everybody, forgets its memory and recovers from the log."""
    LOSE_ANSWER = "lose the answer"
    """The statement is executed; the connection breaks before its answer is read."""
    REFUSE_40001 = "refuse with 40001"
    """The server refuses the statement: a serialization failure."""
    REFUSE_40P01 = "refuse with 40P01"
    """The server refuses the statement: a deadlock."""
    PAUSE = "pause"
    """The process stands still, with whatever it holds, until it is told to go on."""


class Among(StrEnum):
    """Which points are counted."""

    ALL = "points"
    STATEMENTS = "statements"
    """Before a statement to PostgreSQL that is not the beginning of a transaction."""
    COMMITS = "commits"
    """Before a statement that carries the COMMIT, or is it."""
    CALLS = "calls"
    """Before a request to a gateway or to AWS."""


@dataclass(frozen=True, slots=True)
class Trap:
    """The point (counted from 1) at which the deed is done."""

    at: int
    deed: Deed = Deed.KILL_PROCESS
    among: Among = Among.ALL
    saying: str = ""
    """Only points with these words are counted."""
    after: str = ""
    """Only points after the first with these words are counted."""


@dataclass(frozen=True, slots=True)
class Errand:
    """One step, run in a process of its own. The clock stands at ``now``."""

    settings: Settings
    secret_reference: str
    now: datetime
    step: Step
    arguments: tuple[Any, ...]
    trap: Trap | None = None


@dataclass(frozen=True, slots=True)
class Remains:
    """What is left of an errand."""

    signal: int
    """The signal the process died of; 0 when it ended by itself."""
    points: tuple[str, ...]
    """Every point the process passed, in words."""
    result: object = None
    error: str | None = None
    """What the step raised, in words."""
    is_understood: bool = True
    """Whether what it raised is an error that callers are told about: Rejected or Transient."""

    @property
    def trapped_at(self) -> str | None:
        """The point at which the deed was done; ``None``: the step ended before it came there."""
        return next((point.removesuffix(TRAPPED) for point in self.points if point.endswith(TRAPPED)), None)


TRAPPED = " <- here"
