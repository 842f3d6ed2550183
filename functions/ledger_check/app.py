"""Check that the stock ledger adds up to the present levels, and call a person where it does not."""

from collections.abc import Mapping
from typing import Any

from holdfast.flows.stock.check_ledger import check_ledger
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.schedules import time_left
from holdfast.web.telemetry import correlated, count


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Compare every level with its movements."""
    with correlated(str(event.get("id", "tick"))):
        checked = check_ledger(runtime(), utc_now, time_left(context))
        count("LedgerDifferences", checked.differences)
        count("LedgerCheckUnfinished", 0 if checked.finished else 1)
        return {
            "organizations": checked.organizations,
            "differences": checked.differences,
            "finished": checked.finished,
        }
