"""Read a CSV file of stock row by row: what the rows say, and what is wrong with those that cannot be read."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from holdfast.values.errors import InvalidInput

ROWS_MAX: Final = 200_000
QUANTITY_MAX: Final = 100_000_000
_REQUIRED: Final = ("warehouse", "sku", "quantity")
_OPTIONAL: Final = ("safety_stock", "note")
_WHOLE: Final = re.compile(r"-?[0-9]{1,9}")


class ImportMode(StrEnum):
    """What a row's quantity means: what was counted, what was received, or by how much the book was wrong."""

    LEVELS = "levels"
    RECEIPTS = "receipts"
    ADJUSTMENTS = "adjustments"


class ImportStatus(StrEnum):
    """What became of a file."""

    RUNNING = "running"
    APPLIED = "applied"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class StockRow:
    """A valid row. ``number`` is its line in the file; the header is line 1."""

    number: int
    warehouse: str
    sku: str
    quantity: int
    safety_stock: int | None


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong with one row, and in which column."""

    row: int
    column: str
    message: str


def read_rows(text: str, mode: ImportMode) -> Iterator[StockRow | RowError]:
    """Yield the rows of a file. Raises InvalidInput for an invalid header, or a file of too many rows."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    seen: set[int] = set()
    try:
        header = _header(next(lines, []))
        for fields in lines:
            if not any(fields):
                continue
            if len(seen) >= ROWS_MAX:
                raise InvalidInput(f"a file has at most {ROWS_MAX} rows: split it")
            cells = [cell.strip() for cell in fields]
            if any(cells[len(header) :]):  # such as 1,000 without quotes
                yield RowError(lines.line_num, "", f"has {len(cells)} cells, the header {len(header)}")
                continue
            found = _row(lines.line_num, dict(zip(header, cells, strict=False)), mode)
            if isinstance(found, StockRow):
                # Hashes, because the names of a large file would take more memory than the file.
                key = hash((found.warehouse, found.sku))
                if key in seen:
                    found = RowError(found.number, "sku", "an earlier row is about the same variant in this warehouse")
                seen.add(key)
            yield found
    except csv.Error as error:
        yield RowError(lines.line_num, "", f"is not CSV: {error}")


def _header(cells: Sequence[str]) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    if len(set(names)) != len(names) or not set(_REQUIRED) <= set(names) <= {*_REQUIRED, *_OPTIONAL}:
        raise InvalidInput(
            f"the first line names the columns: {', '.join(_REQUIRED)}, and if wished {', '.join(_OPTIONAL)}"
        )
    return names


def _row(number: int, cells: dict[str, str], mode: ImportMode) -> StockRow | RowError:
    for name in ("warehouse", "sku"):
        if not 1 <= len(cells.get(name, "")) <= 100 or not cells[name].isprintable():
            return RowError(number, name, "is missing or no name")
    quantity = _whole(cells.get("quantity", ""))
    if quantity is None or abs(quantity) > QUANTITY_MAX:
        return RowError(number, "quantity", "is no whole number of pieces")
    if mode is ImportMode.LEVELS and quantity < 0:
        return RowError(number, "quantity", "is below 0")
    if mode is ImportMode.RECEIPTS and quantity < 1:
        return RowError(number, "quantity", "is not above 0")
    safety = cells.get("safety_stock", "")
    safety_stock = _whole(safety) if safety else None
    if safety and (safety_stock is None or safety_stock < 0):
        return RowError(number, "safety_stock", "is no number of pieces")
    return StockRow(number, cells["warehouse"], cells["sku"], quantity, safety_stock)


def _whole(text: str) -> int | None:
    return int(text) if _WHOLE.fullmatch(text) else None
