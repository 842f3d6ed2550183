"""Notify people when a warehouse fills up."""

from collections.abc import Mapping
from typing import Any

from holdfast.flows.stock.watch_capacity import watch_capacity
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.schedules import time_left
from holdfast.web.telemetry import correlated, count


def handler(event: Mapping[str, Any], context: Any) -> dict[str, int]:
    """Raise, reopen, repeat and resolve the alerts of every warehouse."""
    with correlated(str(event.get("id", "tick"))):
        done = watch_capacity(runtime(), utc_now, time_left(context))
        for step, times in done.items():
            count("CapacityAlerts", times, Step=str(step))
        return {str(step): times for step, times in done.items()}
