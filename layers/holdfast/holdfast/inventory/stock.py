"""What a stock level is, and which changes it bears. The database says the same again, by constraint."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

ON_HAND_MAX: Final = 1_000_000_000
"""More than any shelf holds, and far from what the column holds."""

LevelKey = tuple[UUID, UUID]
"""(warehouse, variant). Sorted, it is the order in which everybody locks levels."""


class ChangeType(StrEnum):
    """Why a person changes what is on hand; the type of the movement that it writes."""

    RECEIVE = "receive"
    ADJUSTMENT = "adjustment"
    DAMAGE = "damage"


@dataclass(frozen=True, slots=True)
class Level:
    """What lies in one warehouse of one variant, what of it is held for orders, and what is on its way there."""

    on_hand: int
    reserved: int
    incoming: int = 0

    @property
    def available(self) -> int:
        """What can be sold, moved or taken away."""
        return self.on_hand - self.reserved


@dataclass(frozen=True, slots=True)
class Refusal:
    """A change that a level does not bear, and why."""

    key: LevelKey
    level: Level
    change: int
    message: str


def refused(levels: Mapping[LevelKey, Level], changes: Mapping[LevelKey, int]) -> list[Refusal]:
    """Which signed changes of on_hand cannot be made: never below what is reserved, never beyond ON_HAND_MAX."""
    found = []
    for key, change in sorted(changes.items()):
        level = levels[key]
        after = level.on_hand + change
        if after < level.reserved:
            found.append(Refusal(key, level, change, f"{level.reserved} of {level.on_hand} on hand are reserved"))
        elif after > ON_HAND_MAX:
            found.append(Refusal(key, level, change, f"at most {ON_HAND_MAX} can be on hand"))
    return found
