"""Who comes first in a scheduled run that may not reach everybody."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

_Each = TypeVar("_Each")


def in_turn(waiting: Sequence[_Each], now: datetime, *, every_seconds: int = 60) -> list[_Each]:
    """Return ``waiting`` rotated, so that each run of a schedule begins with the next one.

    ``every_seconds`` is the interval of the schedule. Of n that wait, each is first once in n runs. The rotation
    follows from the time, so nothing has to be stored between runs.
    """
    if not waiting:
        return []
    first = int(now.timestamp()) // every_seconds % len(waiting)
    return [*waiting[first:], *waiting[:first]]
