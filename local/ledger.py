"""Replays the ledger of the local system's stock from its first movement."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from holdfast.flows.stock.check_ledger import check_ledger
from local.runtimes import runtime_of
from local.system import LocalSystem


def check(system: LocalSystem) -> tuple[list[str], bool]:
    """Return the findings of the replay as text, and whether every level agrees with its movements."""
    begin = time.monotonic()
    with runtime_of(system) as runtime:
        found = check_ledger(runtime, lambda: datetime.now(UTC), lambda: 1.0, whole=True)
    seconds = time.monotonic() - begin
    told = [f"{found.organizations} organizations in {seconds:.1f} s: {found.differences} levels differ"]
    if found.differences:
        told.append("each is an open process failure StockLedger, with the orders that last moved it")
    return told, found.finished and not found.differences
