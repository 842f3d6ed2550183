"""What a victim is sent to do, and what it leaves behind. All of it can be pickled."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.settings import Settings
from prove.trap import TRAPPED, Step, Trap


@dataclass(frozen=True, slots=True)
class Errand:
    """One step, run in a process of its own, with the clock fixed at ``now``."""

    settings: Settings
    secret_reference: str
    now: datetime
    step: Step
    arguments: tuple[Any, ...]
    trap: Trap | None = None


@dataclass(frozen=True, slots=True)
class Remains:
    """What an errand leaves behind."""

    signal: int
    """The signal that killed the process, or 0 when it ended by itself."""
    points: tuple[str, ...]
    """Every point that the process passed, as text."""
    result: object = None
    error: str | None = None
    """The error that the step raised, as text."""
    is_understood: bool = True
    """Whether the error is one that callers are told about: Rejected or Transient."""

    @property
    def trapped_at(self) -> str | None:
        """The point at which the deed was done, or ``None`` when the step ended before it reached that point."""
        return next((point.removesuffix(TRAPPED) for point in self.points if point.endswith(TRAPPED)), None)
