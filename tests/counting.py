"""Stock counts in a house: a file of what lies in its warehouses, and a level as staff see it."""

from collections.abc import Callable, Mapping
from typing import Any

from holdfast.flows.stock.import_stock import ImportStock, import_stock
from holdfast.flows.stock.read_stock import list_levels
from holdfast.inventory.stock_file import ImportMode
from tests.flows.actions import staff
from tests.house import House


def counted(
    house: House,
    shelves: Mapping[tuple[str, str], int],
    *,
    dry_run: bool = False,
    note: str = "",
    time_left_seconds: Callable[[], float] = lambda: 60.0,
) -> Mapping[str, Any]:
    """Import the counted quantities, by warehouse code and SKU, and return the result of the import.

    The same ``note`` makes it the same file; without one, the file is specific to the current instant.
    """
    rows = "".join(f"{code},{sku},{pieces},{note or house.clock()}\n" for (code, sku), pieces in shelves.items())
    text = f"warehouse,sku,quantity,note\n{rows}"
    command = ImportStock(staff(house), text, ImportMode.LEVELS, "count of May", dry_run)
    return import_stock(house.runtime, command, house.clock, time_left_seconds)


def level(house: House, sku: str = "TEE", code: str = "EWR") -> tuple[int, int, int]:
    """Return (on hand, reserved, sold and not shipped) of a level, as staff see it."""
    page = list_levels(
        house.runtime,
        staff(house),
        warehouse_id=house.warehouses[code],
        only_low=False,
        after=None,
        limit=200,
        now=house.clock(),
    )
    (found,) = [one for one in page["levels"] if one["sku"] == sku]
    return found["on_hand"], found["reserved"], found["sold_unshipped"]
