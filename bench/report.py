"""What every benchmark prints: the machine, the method, figures with their spread, and ratios."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Spread:
    """The smallest, the median and the largest of a figure's rounds."""

    minimum: float
    median: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        return cls(min(values), statistics.median(values), max(values))

    def __format__(self, form: str) -> str:
        return f"{self.median:{form}} [{self.minimum:{form}} .. {self.maximum:{form}}]"


def ratios(ours: Sequence[float], limits: Sequence[float]) -> Spread:
    """Return the spread of the ratios, round by round, of what was measured side by side."""
    return Spread.of([mine / limit for mine, limit in zip(ours, limits, strict=True)])


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of unsorted values."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, round(percent / 100 * len(ranked) + 0.5) - 1))]


def machine() -> str:
    """Return processor, cores, load and versions, on one line."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return f"{model}, {os.cpu_count()} cores, load {load}; Python {platform.python_version()}"


def heading(title: str, *method: str, say: Callable[[str], None] = print) -> None:
    """Print the title of a benchmark and how it measures."""
    say(f"\n== {title}")
    for line in (*method, f"machine: {machine()}"):
        say(f"   {line}")


def write_as_markdown() -> None:
    """Print tables as Markdown from now on, so that they can be put into a document as they are."""
    _form.is_markdown = True


@dataclass(slots=True)
class _Form:
    is_markdown: bool = False


_form = _Form()


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, say: Callable[[str], None] = print) -> None:
    """Print columns as wide as their widest cell, the first one left-aligned, the others right-aligned."""
    if _form.is_markdown:
        say("")
        for row in (head, ["---"] * len(head), *rows):
            say(f"| {' | '.join(row)} |")
        say("")
        return
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, ["-" * width for width in widths], *rows):
        cells = [
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        say("   " + "  ".join(cells).rstrip())
