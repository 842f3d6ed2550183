"""What the server has logged since a world began. Its statistics would say the same, but every crash resets them."""

import re
from collections import Counter
from pathlib import Path
from typing import Final

_REFUSAL: Final = re.compile(r'violates \w+ constraint "([^"]+)"')
_DEADLOCK: Final = re.compile(r"ERROR:  deadlock detected\n[^\n]*DETAIL:  (.*?)(?=\n\d{4}-|\Z)", re.DOTALL)
_PARTITION: Final = re.compile(r"_\d{4}_?\d{2}")
"""The month in the names of a partition's constraints."""


class ServerLog:
    """The log of a server, from its present end onwards."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin_bytes = path.stat().st_size

    def refusals(self) -> Counter[str]:
        """Count how often each constraint refused something."""
        return Counter(_PARTITION.sub("", name) for name in _REFUSAL.findall(self._said()))

    def deadlocks(self) -> list[str]:
        """Return who waited for whom, for each deadlock that the server found and ended."""
        return _DEADLOCK.findall(self._said())

    def _said(self) -> str:
        with self._path.open("rb") as log:
            log.seek(self._begin_bytes)
            return log.read().decode(errors="replace")
