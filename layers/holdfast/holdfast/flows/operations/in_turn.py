"""Whose turn comes first in a run that may not reach everybody."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

_Each = TypeVar("_Each")


def in_turn(waiting: Sequence[_Each], now: datetime, *, every_seconds: int = 60) -> list[_Each]:
    """The same ones in the same circle, beginning one further with every run of a schedule that comes every so many
    seconds: of n that wait each is first once in n runs. Nothing has to be remembered between runs."""
    if not waiting:
        return []
    first = int(now.timestamp()) // every_seconds % len(waiting)
    return [*waiting[first:], *waiting[:first]]
