"""What a process is told to do, and how it is disturbed. All of it can be pickled."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

TRAPPED = " <- here"
"""Marks the point at which the deed was done, in the text of the points."""
Step = Callable[..., object]
"""``step(runtime, clock, *arguments)``: what one function of the system does in one invocation."""


class Deed(StrEnum):
    """What happens to the process at the point of its trap."""

    KILL_PROCESS = "kill the process"
    """SIGKILL: no handler runs, nothing is rolled back by the process, and the kernel closes its sockets."""
    END_CONNECTION = "end the connection"
    """``pg_terminate_backend``: the server ends the session; the process lives on."""
    CRASH_SERVER = "crash the server"
    """SIGKILL of the session's backend: PostgreSQL ends every session, loses its memory and recovers from the WAL."""
    LOSE_ANSWER = "lose the answer"
    """The statement is executed, but the connection breaks before its answer is read."""
    REFUSE_40001 = "refuse with 40001"
    """The server refuses the statement with a serialization failure."""
    REFUSE_40P01 = "refuse with 40P01"
    """The server refuses the statement with a deadlock error."""
    PAUSE = "pause"
    """The process pauses, with every lock it holds, until it is told to go on."""


class Among(StrEnum):
    """Which points a trap counts."""

    ALL = "points"
    STATEMENTS = "statements"
    """Before a statement to PostgreSQL that does not begin a transaction."""
    COMMITS = "commits"
    """Before a statement that carries the COMMIT with it, or is the COMMIT."""
    CALLS = "calls"
    """Before a request to a gateway or to AWS."""


@dataclass(frozen=True, slots=True)
class Trap:
    """The point, counted from 1, at which the deed is done."""

    at: int
    deed: Deed = Deed.KILL_PROCESS
    among: Among = Among.ALL
    saying: str = ""
    """Count only points whose text contains these words."""
    after: str = ""
    """Count only points that follow the first one whose text contains these words."""
