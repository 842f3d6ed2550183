"""Record bounces and complaints as Amazon SES publishes them. Each message is one event."""

from collections.abc import Mapping
from typing import Any

from holdfast.flows.notifications.record_feedback import record_feedback
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.sqs import process_batch
from holdfast.web.telemetry import count


def handler(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    """Record every event of the batch. Those that could not be recorded are delivered again."""
    return process_batch(event, _record)


def _record(message: Mapping[str, Any]) -> None:
    feedback = record_feedback(runtime(), message, utc_now())
    count("MailFeedback", Kind=feedback or "none")
