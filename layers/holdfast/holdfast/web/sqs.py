"""SQS batches with partial failures: one bad message never causes the good ones to be redelivered."""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from holdfast.web.telemetry import correlated

_logger = logging.getLogger(__name__)


def process_batch(event: Mapping[str, Any], work: Callable[[Mapping[str, Any]], object]) -> dict[str, Any]:
    """Run ``work`` on every message's JSON body. Messages on which it raises are reported, and SQS redelivers them."""
    return process_records(event, lambda record: work(json.loads(record["body"])))


def process_records(event: Mapping[str, Any], work: Callable[[Mapping[str, Any]], object]) -> dict[str, Any]:
    """Do the same as ``process_batch``, but pass ``work`` the records as SQS delivers them."""
    failures = []
    for record in event["Records"]:
        with correlated(record["messageId"]):
            try:
                work(record)
            except Exception:
                _logger.exception("message %s failed and will come again", record["messageId"])
                failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}
