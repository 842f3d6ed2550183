"""Write mails: one for each event of the bus, and every minute those that wait."""

from collections.abc import Mapping
from typing import Any

from holdfast.flows.notifications.notify_shopper import notify_shopper
from holdfast.flows.notifications.resume_messages import resume_messages
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.schedules import time_left
from holdfast.web.sqs import process_batch
from holdfast.web.telemetry import correlated, count


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Handle a batch of events, or a tick."""
    if "Records" in event:
        return process_batch(event, _notify)
    with correlated(str(event.get("id", "tick"))):
        done = resume_messages(runtime(), utc_now, time_left(context))
        for status, number in done.items():
            count("Mails", number, Status=status)
        return {str(status): number for status, number in done.items()}


def _notify(message: Mapping[str, Any]) -> None:
    result = notify_shopper(runtime(), message["detail-type"], message["detail"], utc_now)
    if result is not None:
        count("Mails", Status=result.status)
