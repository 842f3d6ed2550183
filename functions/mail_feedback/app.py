"""Record bounces and complaints as Amazon SES publishes them. Each message is one event."""

import json
from collections.abc import Mapping
from typing import Any, Final

from holdfast.flows.notifications.record_feedback import record_feedback
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.sqs import process_records
from holdfast.web.telemetry import count

_TOPIC_TRIED: Final = "Successfully validated SNS topic"
"""The beginning of the sentence that SES publishes when its event destination is made or changed. It is no event."""


def handler(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    """Record every event of the batch. Those that could not be recorded are delivered again."""
    return process_records(event, lambda record: _record(record["body"]))


def _record(body: str) -> None:
    feedback = None if body.startswith(_TOPIC_TRIED) else record_feedback(runtime(), json.loads(body), utc_now())
    count("MailFeedback", Kind=feedback or "none")
