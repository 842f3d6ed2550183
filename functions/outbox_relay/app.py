"""The outbox relay: woken by the bell right after a commit, and every minute in case a bell was lost."""

from collections.abc import Mapping
from typing import Any

from holdfast.flows.operations.relay_outbox import relay_outbox
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.schedules import time_left
from holdfast.web.telemetry import correlated, count


def handler(_event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Publish everything that waits. One run serves all bells of a batch, and none of them is worth a retry."""
    with correlated(getattr(context, "aws_request_id", None)):
        count("OutboxPublished", relay_outbox(runtime(), utc_now, time_left(context)))
        return {"batchItemFailures": []}
