"""Keep the books: look for differences of money, ask the gateways about past days, and add the days up."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from holdfast.flows.money.watch_money import watch_money
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.schedules import time_left
from holdfast.web.telemetry import correlated, count


def handler(event: Mapping[str, Any], context: Any) -> dict[str, int]:
    """Run once. The next run does what this one does not get to.

    Raises RuntimeError, once all is done and counted, if an organization failed: that rings the function's alarm.
    """
    with correlated(str(event.get("id", "tick"))):
        done = watch_money(runtime(), utc_now, time_left(context))
        count("PaymentsReconciled", done.asked)
        count("MoneyDifferencesOpen", done.differences)
        count("DisputesDueSoon", done.disputes_due_soon)
        if done.failed:
            raise RuntimeError(f"the money of {done.failed} organizations was not looked after; the log names them")
        return asdict(done)
