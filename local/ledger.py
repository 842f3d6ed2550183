"""Replays the ledger of the stock from its first movement."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from holdfast.flows.stock.check_ledger import check_ledger
from holdfast.runtime import Runtime


def check(runtime: Runtime) -> tuple[list[str], bool]:
    """Return the findings of the replay as text, and whether every level agrees with its movements.

    ``runtime`` has the role of the system's schedules, of the local system or of any database.
    """
    begin = time.monotonic()
    found = check_ledger(runtime, lambda: datetime.now(UTC), lambda: 1.0, whole=True)
    seconds = time.monotonic() - begin
    told = [f"{found.organizations} organizations in {seconds:.1f} s: {found.differences} levels differ"]
    if found.differences:
        told.append("each is an open process failure StockLedger, with the orders that last moved it")
    if not found.finished:
        told.append("not every organization could be checked")
    return told, found.finished and not found.differences
