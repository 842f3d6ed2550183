"""A shelf is counted while it is sold out."""

from collections.abc import Callable, Mapping
from typing import Any

from holdfast.flows.checkout.place_order import place_order
from holdfast.flows.claims.idempotency import Answer
from holdfast.flows.stock.import_stock import ImportStock, import_stock
from holdfast.inventory.stock_file import ImportMode
from holdfast.runtime import Runtime
from holdfast.web.answers import payment_answer
from tests.counting import level
from tests.house import House
from tests.races.crowd import crowd_of, guest, rush, tally
from tests.races.stock_acts import manager

PIECES = 10
BUYERS = 24
COUNTS = 8


def test_of_ten_that_are_counted_while_they_are_sold_ten_are_sold(house: House) -> None:
    """Whichever of a sale and a count gets the level first, nothing leaves, so every count finds all ten."""
    house.add_variant(stock=PIECES)
    who = manager(house)

    def buyer(runtime: Runtime) -> Callable[[], Answer]:
        command = house.command(caller=guest(house))
        return lambda: place_order(runtime, command, house.clock, payment_answer)

    def counter(runtime: Runtime, number: int) -> Callable[[], Mapping[str, Any] | str]:
        text = f"warehouse,sku,quantity,note\nEWR,TEE,{PIECES},{number}\n"
        command = ImportStock(who, text, ImportMode.LEVELS, "count of May", dry_run=False)
        return lambda: import_stock(runtime, command, house.clock, lambda: 60.0)["status"]

    with crowd_of(house, 16) as runtime:
        jobs: list[Callable[[], Any]] = [buyer(runtime) for _ in range(BUYERS)]
        for number in range(COUNTS):
            jobs.insert(number * 4, counter(runtime, number))
        outcomes = tally(rush(jobs, at_once=16))
    assert (outcomes["201"], outcomes["applied"]) == (PIECES, COUNTS), outcomes
    assert level(house) == (0, 0, PIECES)
    assert house.value("SELECT count(*) FROM inventory.stock_movements WHERE reference_type = 'import'") == 0
    assert house.violations() == []
