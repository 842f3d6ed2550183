"""Compare the rows of a stock file with their levels: by how much each changes what is on hand, and which cannot.

The book quantity of a level (``on_hand``) is sellable stock. It falls when a payment completes a hold, while the goods
leave later, with their shipment. So whoever counts a level finds what is on hand plus what is sold but has not left.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.inventory.stock import Level, LevelKey, Refusal, refused
from holdfast.inventory.stock_file import ImportMode, RowError, StockRow

Placed = list[tuple[StockRow, LevelKey]]
"""Rows, each with the key of the level that it names."""


@dataclass(frozen=True, slots=True)
class BesideBook:
    """Pieces that lay in a warehouse when a count began, and are not in its book now."""

    sold_unshipped: int
    """Sold, but still there."""
    left_since: int
    """Shipped since the count began."""

    @property
    def pieces(self) -> int:
        """How many pieces the count found in addition to what is on hand."""
        return self.sold_unshipped + self.left_since


@dataclass(frozen=True, slots=True)
class Difference:
    """A counted quantity that differs from the expected one.

    ``counted`` = ``on_hand`` + ``sold_unshipped`` + ``change``, if nothing has left since the count began.
    """

    row: int
    warehouse: str
    sku: str
    counted: int
    on_hand: int
    sold_unshipped: int
    change: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Some rows of a file and their levels and, for a count, the goods beside the book."""

    mode: ImportMode
    placed: Placed
    levels: Mapping[LevelKey, Level]
    beside: Mapping[LevelKey, BesideBook]

    def changes(self) -> dict[LevelKey, int]:
        """Return by how much each row changes what is on hand."""
        return {key: self._change(row, key) for row, key in self.placed}

    def unbearable(self) -> list[RowError]:
        """Return the rows whose change their level does not allow, and why."""
        rows = {key: row for row, key in self.placed}
        return [
            RowError(rows[each.key].number, "quantity", self._why(rows[each.key], each))
            for each in refused(self.levels, self.changes())
        ]

    def differences(self) -> list[Difference]:
        """Return where a count found more or less than there should be."""
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
