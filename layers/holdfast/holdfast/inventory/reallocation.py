"""Whether the goods set aside for an order move to other warehouses: only if the saving is worth it.

The comparison is between what the parcels cost the shop, one for each warehouse, at today's figures on both sides: the
order as it is allocated now, and as it would be allocated today. The saving is a share of the present cost. If that is
zero, nothing can be saved.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SAVING_MIN_PERCENT: Final = 25
"""Goods move for a saving of more than this, but not for exactly this."""
_PERCENT_DECIMALS: Final = 2


class Cause(StrEnum):
    """Why it was decided anew from where an order ships."""

    LATE_PAYMENT = "late_payment"
    PAID_AGAIN = "paid_again"
    ADDRESS_CHANGE = "address_change"
    ADDRESS_REVIEW = "address_review"
    BY_HAND = "by_hand"


class Outcome(StrEnum):
    """What became of the decision."""

    APPLIED = "applied"
    HONOURED = "honoured"
    """The allocation stays as it was."""


@dataclass(frozen=True, slots=True)
class Saving:
    """Two costs in minor units, neither of them negative. For a move that costs more, the saving is negative."""

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
        """The saving as a percentage of the old cost, rounded for display. The decision uses the exact figures."""
        if self.old_cost_minor == 0:
            return 0.0
        return round(100 * self.saving_minor / self.old_cost_minor, _PERCENT_DECIMALS)

    @property
    def is_worth_moving(self) -> bool:
        """Whether the saving is more than ``SAVING_MIN_PERCENT``, in integer arithmetic.

        The constraint ``reallocations_move_for_a_saving`` states the same rule.
        """
        return 100 * self.saving_minor > SAVING_MIN_PERCENT * self.old_cost_minor
