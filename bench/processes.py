"""CPU time of the system's processes, by the part of the system that they belong to (from /proc; Linux only)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_by_part(parts: Mapping[int, str]) -> dict[str, float]:
    """Return the CPU seconds used so far by each part: its process, all descendants, and those that have ended."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        parents[int(folder.name)] = int(fields[1])
        used[int(folder.name)] = sum(int(ticks) for ticks in fields[11:15]) / _TICKS
    totals = dict.fromkeys(parts.values(), 0.0)
    for pid, seconds in used.items():
        ancestor = pid
        while ancestor not in parts and ancestor in parents:
            ancestor = parents[ancestor]
        if ancestor in parts:
            totals[parts[ancestor]] += seconds
    return totals
