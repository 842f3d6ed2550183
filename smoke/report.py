"""What was checked and what was seen: one line for each check, and a table of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

SEEN_MAX_CHARACTERS = 110


class Result(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    NOT_ASKED = "not asked"


class NotAsked(Exception):
    """What the check needs was not given. The text says what that is."""


class Failed(Exception):
    """The system is not as it should be. The text says what was seen."""


def expect(holds: bool, seen: str) -> None:
    """Raise Failed with what was seen, unless ``holds`` is true."""
    if not holds:
        raise Failed(seen)


@dataclass(frozen=True, slots=True)
class Line:
    """A check and its result."""

    check: str
    result: Result
    seen: str


@dataclass(slots=True)
class Report:
    """All lines so far. ``tell`` receives each as soon as it is known."""

    tell: Callable[[Line], None]
    lines: list[Line] = field(default_factory=list)

    @contextmanager
    def check(self, what: str) -> Iterator[list[str]]:
        """Run one check.

        It is ok unless something is raised in it. What is appended to the list is reported as seen.
        """
        seen: list[str] = []
        try:
            yield seen
            self._add(what, Result.OK, "; ".join(seen))
        except NotAsked as reason:
            self._add(what, Result.NOT_ASKED, str(reason))
        except Exception as problem:  # noqa: BLE001 (whatever it is, the other checks are still worth asking)
            self._add(what, Result.FAILED, str(problem) if isinstance(problem, Failed) else repr(problem))

    def _add(self, what: str, result: Result, seen: str) -> None:
        line = Line(what, result, " ".join(seen.split())[:SEEN_MAX_CHARACTERS])
        self.lines.append(line)
        self.tell(line)

    def counted(self, result: Result) -> int:
        """Return how many checks ended with this result."""
        return sum(line.result is result for line in self.lines)


def written(line: Line) -> str:
    """Return a row of the table."""
    return f"{line.result:<10} {line.check:<58} {line.seen}".rstrip()
