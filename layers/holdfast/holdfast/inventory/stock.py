"""What a stock level is, and which changes it allows. Constraints of the database enforce the same rules again."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

ON_HAND_MAX: Final = 1_000_000_000
"""More than any shelf holds, and well within the range of the column."""

LevelKey = tuple[UUID, UUID]
"""(warehouse, variant). Everybody locks levels in the sort order of these keys."""


class ChangeType(StrEnum):
    """Why a person changes what is on hand. It becomes the type of the movement."""

    RECEIVE = "receive"
    ADJUSTMENT = "adjustment"
    DAMAGE = "damage"


@dataclass(frozen=True, slots=True)
class Level:
    """The stock of one variant in one warehouse: on hand, how much of that is held for orders, and incoming."""

    on_hand: int
    reserved: int
    incoming: int = 0

    @property
    def available(self) -> int:
        """The quantity that can be sold, moved or taken out."""
        return self.on_hand - self.reserved


@dataclass(frozen=True, slots=True)
class Refusal:
    """A change that a level does not allow, and why."""

    key: LevelKey
    level: Level
    change: int
    message: str


def refused(levels: Mapping[LevelKey, Level], changes: Mapping[LevelKey, int]) -> list[Refusal]:
    """Return the signed changes of ``on_hand`` that would take a level below what is reserved or above ON_HAND_MAX."""
    found = []
    for key, change in sorted(changes.items()):
        level = levels[key]
        after = level.on_hand + change
        if after < level.reserved:
            found.append(Refusal(key, level, change, f"{level.reserved} of {level.on_hand} on hand are reserved"))
        elif after > ON_HAND_MAX:
            found.append(Refusal(key, level, change, f"at most {ON_HAND_MAX} can be on hand"))
    return found
