"""Rows of a stock file held against their levels: by how much each changes what is on hand, and which cannot.

The book of a level is sellable stock: it falls when a payment completes its hold, while the goods leave with their
shipment. So whoever counts a level finds what is on hand and, beside it, what is sold and has not left.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.inventory.stock import Level, LevelKey, Refusal, refused
from holdfast.inventory.stock_file import ImportMode, RowError, StockRow

Placed = list[tuple[StockRow, LevelKey]]
"""Rows, each with the level that it names."""


@dataclass(frozen=True, slots=True)
class BesideBook:
    """Pieces that lay in a warehouse when a count was begun, and are not in its book now."""

    sold_unshipped: int
    """Sold, and still there."""
    left_since: int
    """Shipped since the count was begun."""

    @property
    def pieces(self) -> int:
        """What the count found beside what is on hand."""
        return self.sold_unshipped + self.left_since


@dataclass(frozen=True, slots=True)
class Difference:
    """What a count found and what it was held against: ``counted`` = ``on_hand`` + ``sold_unshipped`` + ``change``."""

    row: int
    warehouse: str
    sku: str
    counted: int
    on_hand: int
    sold_unshipped: int
    change: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Some rows of a file, and their levels; of a count also what lies beside the book."""

    mode: ImportMode
    placed: Placed
    levels: Mapping[LevelKey, Level]
    beside: Mapping[LevelKey, BesideBook]

    def changes(self) -> dict[LevelKey, int]:
        """By how much each row changes what is on hand."""
        return {key: self._change(row, key) for row, key in self.placed}

    def unbearable(self) -> list[RowError]:
        """The rows whose change their level does not bear, and why."""
        rows = {key: row for row, key in self.placed}
        return [
            RowError(rows[each.key].number, "quantity", self._why(rows[each.key], each))
            for each in refused(self.levels, self.changes())
        ]

    def differences(self) -> list[Difference]:
        """Where a count found more or less than there should be."""
        if self.mode is not ImportMode.LEVELS:
            return []
        return [
            Difference(
                row.number,
                row.warehouse,
                row.sku,
                row.quantity,
                self.levels[key].on_hand,
                self.beside[key].sold_unshipped,
                change,
            )
            for row, key in self.placed
            if (change := self._change(row, key))
        ]

    def _change(self, row: StockRow, key: LevelKey) -> int:
        if self.mode is ImportMode.LEVELS:
            return row.quantity - self.levels[key].on_hand - self.beside[key].pieces
        return row.quantity

    def _why(self, row: StockRow, refusal: Refusal) -> str:
        if self.mode is not ImportMode.LEVELS or refusal.change > 0:
            return refusal.message
        beside = self.beside[refusal.key]
        left = f", and {beside.left_since} have left since" if beside.left_since else ""
        return (
            f"{row.quantity} were counted, but {refusal.level.reserved} are reserved and {beside.sold_unshipped} are"
            f" sold and have not left{left}"
        )
