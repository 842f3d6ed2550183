"""Move messages that SQS gave up from every dead-letter queue of the deployment into the inbox of process failures."""

from collections.abc import Mapping
from typing import Any

from holdfast.flows.operations.keep_given_up_message import keep_given_up_message
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.sqs import process_records
from holdfast.web.telemetry import count


def handler(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    """Keep every message of the batch. SQS deletes those not reported as failed, which are committed by then."""
    return process_records(event, _keep)


def _keep(record: Mapping[str, Any]) -> None:
    queue = str(record["eventSourceARN"]).rpartition(":")[2]
    keep_given_up_message(runtime(), queue, record["messageId"], record["body"], utc_now())
    count("MessagesGivenUp")
