"""Whether goods that are set aside for an order go to another warehouse: only for a saving that is worth the trouble.

What is compared is what the parcels cost the shop, one for each warehouse, by the figures of the day on both sides:
what the order costs as it lies now, and what it would cost as it would be allocated today. The saving is a part of what
it costs now. Where that is nothing, nothing can be saved.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SAVING_MIN_PERCENT: Final = 25
"""A saving of so much moves nothing; a saving of more does."""
_PERCENT_DECIMALS: Final = 2


class Cause(StrEnum):
    """Why it was decided anew where an order ships from."""

    LATE_PAYMENT = "late_payment"
    PAID_AGAIN = "paid_again"
    ADDRESS_CHANGE = "address_change"
    ADDRESS_REVIEW = "address_review"
    BY_HAND = "by_hand"


class Outcome(StrEnum):
    """What became of the decision."""

    APPLIED = "applied"
    HONOURED = "honoured"
    """The allocation as it was stands."""


@dataclass(frozen=True, slots=True)
class Saving:
    """Two costs in minor units, neither negative. A move that costs more saves less than nothing."""

    old_cost_minor: int
    new_cost_minor: int

    def __post_init__(self) -> None:
        if self.old_cost_minor < 0 or self.new_cost_minor < 0:
            raise ValueError(f"a parcel that costs {min(self.old_cost_minor, self.new_cost_minor)}")

    @property
    def saving_minor(self) -> int:
        """How much less the new allocation costs."""
        return self.old_cost_minor - self.new_cost_minor

    @property
    def percent(self) -> float:
        """The saving as a part of the old cost, rounded to show it; what decides is not rounded."""
        if self.old_cost_minor == 0:
            return 0.0
        return round(100 * self.saving_minor / self.old_cost_minor, _PERCENT_DECIMALS)

    @property
    def is_worth_moving(self) -> bool:
        """More than ``SAVING_MIN_PERCENT``, in whole numbers; the constraint ``reallocations_move_for_a_saving`` says
        the same."""
        return 100 * self.saving_minor > SAVING_MIN_PERCENT * self.old_cost_minor
