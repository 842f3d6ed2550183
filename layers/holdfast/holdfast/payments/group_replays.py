"""The terms of group replays: dead letters of one trouble, replayed at a bounded rate until one relapses."""

from enum import StrEnum
from typing import Final

PER_MINUTE_MAX: Final = 600
REPLAYS_MAX: Final = 10_000


class GroupReplayState(StrEnum):
    """What became of the wish to replay a group."""

    RUNNING = "running"
    FINISHED = "finished"
    """None of the group is left, or the requested number was replayed."""
    STOPPED = "stopped"
    """One failed again: its cause is not gone."""
    CANCELLED = "cancelled"
