"""Daily housekeeping: create partitions ahead of time, and delete what has passed its retention."""

from collections.abc import Mapping
from typing import Any

from holdfast.flows.operations.keep_house import keep_house
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.schedules import time_left
from holdfast.web.telemetry import correlated, count


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Create partitions, and purge what has passed its retention."""
    with correlated(str(event.get("id", "tick"))):
        kept = keep_house(runtime(), utc_now, time_left(context))
        count("DefaultPartitionRows", kept.default_partition_rows)
        count("PartitionsMade", kept.partitions_made)
        return {
            "partitions_made": kept.partitions_made,
            "months_dropped": kept.months_dropped,
            "purged": kept.purged,
        }
